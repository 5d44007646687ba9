"""Chains of checkpoints to real DVC: it lists, applies, pushes and removes them as experiments, and runs their code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def root(training_project: Callable[..., Path]) -> Path:
    return training_project()


def table(shown: str) -> list[dict[str, Any]]:
    """`exp show --json` without what nbexp adds."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            own = {"step", "steps", "state"} if "revs" not in value and "rev" in value else set()
            return {key: plain(inner) for key, inner in value.items() if key not in own}
        return [plain(one) for one in value] if isinstance(value, list) else value

    found: list[dict[str, Any]] = plain(json.loads(shown))
    return found


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not {".git", ".dvc", "__pycache__"} & {*path.parts}
    }


@pytest.mark.parametrize("trouble", ["", "exit@3"])
def test_dvc_shows_and_lists_a_chain_as_nbexp_does(trouble, root, nbexp_cli, dvc, git):
    nbexp_cli("run", "-n", "long", cwd=root, code=None, env={"TROUBLE": trouble})
    ours = table(nbexp_cli("show", "--json", cwd=root).stdout)
    theirs = table(dvc("exp", "show", "--json", cwd=root).stdout)
    assert ours == theirs
    (experiment,) = theirs[1]["experiments"]
    assert experiment["name"] == "long"
    assert len(experiment["revs"]) == (3 if trouble else 5)
    assert "long" in dvc("exp", "list", cwd=root).stdout
    assert "long" in dvc("exp", "show", "--csv", cwd=root).stdout


def test_dvc_applies_the_tip_and_any_step(root, nbexp_cli, dvc, git, tmp_path):
    # DVC wants an entry in dvc.lock for every stage of an experiment that it applies.
    pipeline = (root / "dvc.yaml").read_text().partition("  report:")[0]
    (root / "dvc.yaml").write_text(pipeline)
    git("commit", "--quiet", "--all", "--message=one stage", cwd=root)
    nbexp_cli("run", "-n", "long", cwd=root)
    git("checkout", "--quiet", "--", ".", cwd=root)
    twin = Path(shutil.copytree(root, tmp_path / "twin", symlinks=True))
    for name, rev in (("long", "long"), ("long@2", _step(root, git, 2))):
        nbexp_cli("apply", "--force", name, cwd=root)
        dvc("exp", "apply", rev, cwd=twin)
        assert files(root) == files(twin)
        assert dvc("status", cwd=root).stdout == nbexp_cli("status", cwd=root).stdout
    assert files(root)["model/weights.txt"] == b"2\n"


def _step(root: Path, git: Callable[..., str], number: int) -> str:
    ref = git("for-each-ref", "--format=%(refname)", "refs/exps/**/long", cwd=root)
    return git("rev-list", "--reverse", f"HEAD..{ref}", cwd=root).split()[number - 1]


@pytest.mark.parametrize("by", ["dvc", "nbexp"])
def test_a_chain_travels_with_all_of_its_data(by, root, nbexp_cli, dvc, git, tmp_path):
    hub, store = tmp_path / "hub.git", tmp_path / "store"
    git("init", "--quiet", "--bare", str(hub), cwd=tmp_path)
    git("remote", "add", "origin", str(hub), cwd=root)
    (root / ".dvc" / "config").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n"
    )
    git("commit", "--quiet", "--all", "--message=remote", cwd=root)
    git("push", "--quiet", "origin", "main", cwd=root)
    nbexp_cli("run", "-n", "long", cwd=root)
    nbexp_cli("push", "origin", "long", cwd=root)
    clone = tmp_path / "clone"
    git("clone", "--quiet", str(hub), str(clone), cwd=tmp_path)
    if by == "dvc":
        dvc("exp", "pull", "origin", "long", cwd=clone)
    else:
        nbexp_cli("pull", "origin", "long", cwd=clone)
    ours = table(nbexp_cli("show", "--json", "--hide-workspace", cwd=clone).stdout)
    assert len(ours[0]["experiments"][0]["revs"]) == 5
    nbexp_cli("apply", "long", cwd=clone)
    assert (clone / "report.txt").read_text() == "4\n"
    if by == "nbexp":
        # DVC brings what the tip needs; nbexp what each step does.
        nbexp_cli("apply", "long@1", cwd=clone)
        assert (clone / "model" / "weights.txt").read_text() == "1\n"
        nbexp_cli("run", "--resume", "long@1", "-n", "other", cwd=clone)


def test_neither_collector_takes_the_data_of_a_step(root, nbexp_cli, dvc, git):
    nbexp_cli("run", "-n", "long", cwd=root)
    git("checkout", "--quiet", "--", ".", cwd=root)
    nbexp_cli("data", "gc", "--workspace", "--yes", cwd=root)
    for number in (1, 2, 3, 4):
        nbexp_cli("apply", "--force", f"long@{number}", cwd=root)
        assert (root / "model" / "weights.txt").read_text() == f"{number}\n"
    nbexp_cli("remove", "long@2..", cwd=root)
    nbexp_cli("data", "gc", "--workspace", "--yes", cwd=root)
    nbexp_cli("trash", "restore", "long", cwd=root)
    nbexp_cli("apply", "--force", "long@3", cwd=root)
    nbexp_cli("rename", "long", "longer", cwd=root)
    nbexp_cli("apply", "--force", "longer@4", cwd=root)
    assert nbexp_cli("doctor", cwd=root).returncode == 0


def test_under_dvc_the_code_runs_and_says_that_nothing_is_kept(root, nbexp_cli, dvc, git):
    ran = dvc("exp", "run", "-n", "theirs", cwd=root)
    said = ran.stdout + ran.stderr
    assert "live.checkpoint() recorded nothing: this is no run of nbexp." in said
    assert said.count("recorded nothing") == 1
    assert "epoch 4 is step None" in said
    (experiment,) = table(nbexp_cli("show", "--json", cwd=root).stdout)[1]["experiments"]
    assert len(experiment["revs"]) == 1
    reproduced = nbexp_cli("repro", "--force", cwd=root)
    assert "recorded nothing" in reproduced.stdout + reproduced.stderr


def test_outputs_marked_as_checkpoints_are_taken_by_both(root, nbexp_cli, dvc, git):
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(
        text.replace(
            "    - model\n    metrics", "    - model:\n        checkpoint: true\n    metrics"
        )
    )
    git("commit", "--quiet", "--all", "--message=marked", cwd=root)
    nbexp_cli("run", "-n", "long", cwd=root)
    assert dvc("status", cwd=root).stdout == "Data and pipelines are up to date.\n"
    theirs = table(dvc("exp", "show", "--json", cwd=root).stdout)
    assert len(theirs[1]["experiments"][0]["revs"]) == 5


def test_dvc_removes_a_chain(root, nbexp_cli, dvc):
    nbexp_cli("run", "-n", "long", cwd=root)
    dvc("exp", "remove", "long", cwd=root)
    assert "long" not in nbexp_cli("show", cwd=root).stdout
