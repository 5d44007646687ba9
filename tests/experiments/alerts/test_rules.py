"""Which alerts are set up, what is wrong with one, and whose commands are carried out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbexp.errors import ProjectFileError
from nbexp.experiments.alerts import rules
from nbexp.experiments.alerts.rules import Rule


def own(home: Path, text: str) -> None:
    file = home / ".config" / "nbexp" / "nbexp.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_settings_there_are_none(tmp_path: Path) -> None:
    assert rules.read(tmp_path) == ()


def test_the_users_own_come_first_and_count_where_names_are_the_same(
    tmp_path: Path, home: Path
) -> None:
    own(home, '[alerts.mine]\ncommand = "true"\n[alerts.both]\nwhen = "acc > 0.9"\n')
    (tmp_path / "nbexp.toml").write_text('[alerts.both]\nwhen = "failed"\n[alerts.theirs]\n')
    assert rules.read(tmp_path) == (
        Rule("mine", command="true", file="~/.config/nbexp/nbexp.toml"),
        Rule("both", ("acc > 0.9",), file="~/.config/nbexp/nbexp.toml"),
        Rule("theirs", ("finished", "failed"), file="nbexp.toml"),
    )


def test_they_may_stand_in_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.nbexp.alerts.long]\nwhen = ["finished", "loss is nan"]\nmin_seconds = 60\nnotebook = false\n'
    )
    assert rules.read(tmp_path) == (
        Rule("long", ("finished", "loss is nan"), notebook=False, min_seconds=60, file="pyproject.toml"),
    )  # fmt: skip


def test_a_projects_command_counts_once_the_user_has_agreed_to_it(tmp_path: Path) -> None:
    root, other = tmp_path / "one", tmp_path / "two"
    text = (
        '[alerts.a]\ncommand = "./tell"\n[alerts.b]\nwebhook = "https://example.org"\n[alerts.c]\n'
    )
    for folder in (root, other):
        folder.mkdir()
        (folder / "nbexp.toml").write_text(text)
    assert [rule.trusted for rule in rules.read(root)] == [False, False, True]
    assert [rule.name for rule in rules.trust(root)] == ["a", "b"]
    assert [rule.trusted for rule in rules.read(root)] == [True, True, True]
    assert rules.trust(root) == ()
    # Neither another place nor another text was agreed to.
    assert [rule.trusted for rule in rules.read(other)] == [False, False, True]
    (root / "nbexp.toml").write_text(text.replace("./tell", "./steal"))
    assert [rule.trusted for rule in rules.read(root)] == [False, True, True]
    file = Path(os.environ["XDG_STATE_HOME"]) / "nbexp" / "trusted-alerts"
    assert len(file.read_text().split()) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "alerts = 3",
            "nbexp.toml: `alerts` is 3; a table is expected.",
        ),
        (
            "[alerts]\na = 3",
            "nbexp.toml: `alerts.a` is 3; a table is expected.\nHint: `[alerts.a]` and below it `when = \"finished\"`.",
        ),
        (
            "[alerts.a]\nwen = 'failed'",
            "nbexp.toml: there is no setting `alerts.a.wen`.\nHint: did you mean `when`?",
        ),
        (
            "[alerts.a]\nnotebook = 'no'",
            "nbexp.toml: `alerts.a.notebook` is 'no'; true or false is expected.",
        ),
        (
            "[alerts.a]\ncommand = []",
            "nbexp.toml: `alerts.a.command` is []; a line for the shell, or a list of a program and its words is expected.",
        ),
        (
            "[alerts.a]\nwebhook = 'ftp://x'",
            "nbexp.toml: `alerts.a.webhook` is no address that begins with https://.",
        ),
        (
            "[alerts.a]\nmin_seconds = true",
            "nbexp.toml: `alerts.a.min_seconds` is True; a number of seconds is expected.",
        ),
        (
            "[alerts.a]\nwhen = 'finishd'",
            ("nbexp.toml: `alerts.a.when` is 'finishd', which is no end of a run and compares nothing.\n"
            'Hint: did you mean "finished"?'),
        ),
        (
            "[alerts.a]\nwhen = ['failed', 'acc > > 1']",
            ("nbexp.toml: `alerts.a.when`: `acc > > 1` cannot be understood at `> 1`.\n"
            'Hint: "finished", "failed", "interrupted", or a condition as "acc > 0.95" and "loss is nan".'),
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "nbexp.toml").write_text(text + "\n")
    with pytest.raises(ProjectFileError) as caught:
        rules.read(tmp_path)
    assert str(caught.value).startswith(said)


def test_the_users_own_file_has_alerts_alone(tmp_path: Path, home: Path) -> None:
    own(home, "hints = false\n")
    with pytest.raises(
        ProjectFileError, match="no setting `hints` for all projects, only `alerts`"
    ):
        rules.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "metrics", "holds"),
    [
        ("acc > 0.95", {"acc": 0.96}, True),
        ("acc > 0.95", {"acc": 0.95}, False),
        ("acc > 0.95", {"metrics.json:val.acc": 0.96}, True),
        ("acc > 0.95", {"val/acc": 0.96}, True),
        ("val.acc > 0.95", {"val/acc": 0.96, "acc": 0}, True),
        ("acc > 0.95", {"val/acc": 0.96, "acc": 0}, False),
        ("acc > 0.95", {}, False),
        ("loss is nan", {"loss": "nan"}, True),
        ("loss is nan", {"loss": float("nan")}, True),
        ("loss is nan", {"loss": 1}, False),
        ("loss is nan", {}, False),
        ("loss is nan or loss > 10", {"loss": "inf"}, True),
        ("0.1 < lr <= 0.2 and not acc < 1", {"lr": 0.2, "acc": 1}, True),
    ],
)
def test_a_condition_is_over_metrics_by_name(
    text: str, metrics: dict[str, object], holds: bool
) -> None:
    assert rules.condition(text)(metrics) is holds


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/***"),
        ("https://u:p@host:8443/x?y=z", "https://host:8443/***"),
        ("https://host?token=1", "https://host/***"),
        ("https://host", "https://host"),
        ("${SLACK_URL}", "${SLACK_URL}"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert rules.shown_url(url) == shown
