"""What becomes part of an experiment's commit, and where experiments go when they are removed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import NotFound, StageFailed
from nbexp.experiments import record as recording
from nbexp.formats import ref_names

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def listed(git: Git, root: Path, rev: str) -> set[str]:
    return set(git("ls-tree", "-r", "--name-only", rev, cwd=root).splitlines())


def pipeline(root: Path, git: Git, text: str, **files: str) -> None:
    """Another pipeline, committed with its files."""
    (root / "dvc.yaml").write_text(text)
    for name, content in files.items():
        path = root / name.replace("___", "/").replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    git("add", "dvc.yaml", cwd=root)
    git("commit", "--quiet", "--message=pipeline", cwd=root)


# --- The tree -----------------------------------------------------------------------------------


def test_deps_that_are_not_tracked_yet_are_recorded(project: Project, git: Git) -> None:
    root = project.root
    pipeline(
        root, git, "stages:\n  a:\n    cmd: cat new.csv more/* > o\n    deps: [new.csv, more]\n    outs: [o]\n",
        new__csv="1\n", more___x__csv="2\n", beside__csv="3\n",
    )  # fmt: skip
    made = project.run()
    found = listed(git, root, made.rev)
    assert {"new.csv", "more/x.csv", "dvc.lock", ".gitignore"} <= found
    assert "beside.csv" not in found
    assert "o" not in found


def test_metrics_and_plots_that_git_keeps_are_recorded_whole(project: Project, git: Git) -> None:
    root = project.root
    pipeline(
        root, git,
        "stages:\n  a:\n    cmd: mkdir -p live/plots && echo '{}' | tee m.json live/m.json live/plots/x.tsv\n"
        "    metrics: [{m.json: {cache: false}}]\n    plots: [{live: {cache: false}}]\n",
    )  # fmt: skip
    made = project.run()
    assert {"m.json", "live/m.json", "live/plots/x.tsv"} <= listed(git, root, made.rev)


def test_top_level_params_metrics_and_plots_are_recorded(project: Project, git: Git) -> None:
    root = project.root
    pipeline(
        root, git,
        "params: [conf.json]\nmetrics: [m.json]\nplots: [p.csv]\n"
        "stages:\n  a:\n    cmd: echo '{}' > m.json; echo 1 > p.csv\n",
        conf__json="{}",
    )  # fmt: skip
    assert {"conf.json", "m.json", "p.csv"} <= listed(git, root, project.run().rev)


def test_what_git_ignores_is_not_recorded_and_of_a_metric_it_is_said(
    project: Project, git: Git
) -> None:
    root = project.root
    (root / ".gitignore").write_text("*.json\n*.log\n")
    pipeline(
        root, git,
        "stages:\n  a:\n    cmd: echo '{}' > m.json\n    deps: [in.log]\n    metrics: [{m.json: {cache: false}}]\n",
        in__log="x\n",
    )  # fmt: skip
    told: list[events.Event] = []
    found = listed(git, root, project.run(emit=told.append).rev)
    assert not {"m.json", "in.log"} & found
    (notice,) = [event for event in told if isinstance(event, events.Notice)]
    assert notice.message == "Git ignores m.json, so the experiment does not hold it."
    assert notice.hint == "take it out of .gitignore."


@pytest.mark.parametrize("dep", ["lib", "lib/x.txt"])
def test_of_a_dep_in_a_repository_of_its_own_it_is_said(
    dep: str, project: Project, git: Git
) -> None:
    root = project.root
    git("init", "--quiet", root / "lib")
    (root / "lib" / "x.txt").write_text("x\n")
    git("add", "x.txt", cwd=root / "lib")
    git("commit", "--quiet", "--message=x", cwd=root / "lib")
    (root / "dvc.yaml").write_text(f"stages:\n  a:\n    cmd: cat lib/x.txt\n    deps: [{dep}]\n")
    git("commit", "--quiet", "--all", "--message=a", cwd=root)
    told: list[events.Event] = []
    found = listed(git, root, project.run(emit=told.append).rev)
    assert [path for path in found if path.startswith("lib")] == []
    (notice,) = [event for event in told if isinstance(event, events.Notice)]
    assert notice.message == (
        "lib is a Git repository of its own, so the experiment does not hold what stages read there."
    )
    assert notice.hint == "`git submodule add URL lib` makes it a part of this one."


def test_deleted_files_are_deleted_in_the_experiment(project: Project, git: Git) -> None:
    (project.root / "README.md").unlink()
    made = project.run()
    assert "README.md" not in listed(git, project.root, made.rev)


def test_modes_and_links_are_recorded(project: Project, git: Git) -> None:
    root = project.root
    (root / "train.sh").chmod(0o755)
    (root / "link").symlink_to("README.md")
    git("add", "link", cwd=root)
    made = project.run()
    tree = git("ls-tree", made.rev, "train.sh", "link", cwd=root)
    assert "100755 blob" in tree
    assert "120000 blob" in tree


def test_files_go_through_gits_filters(project: Project, git: Git) -> None:
    """A commit of nbexp has the blobs that `git add` makes."""
    root = project.root
    (root / ".gitattributes").write_text("*.txt text eol=crlf\n*.csv text\n")
    git("add", ".gitattributes", cwd=root)
    git("commit", "--quiet", "--message=attributes", cwd=root)
    (root / "data" / "raw.csv").write_bytes(b"x,y\r\n1,2\r\n")
    made = project.run()
    assert git("show", f"{made.rev}:data/raw.csv", cwd=root) == "x,y\n1,2"


def test_the_message_is_dvcs_and_its_hash_is_of_what_ran(project: Project, git: Git) -> None:
    made = project.run()
    message = git("show", "--no-patch", "--format=%B", made.rev, cwd=project.root).strip()
    assert message.startswith("dvc: commit experiment ")
    digest = message.removeprefix("dvc: commit experiment ")
    assert len(digest) == 64
    assert hashlib.sha256(b"{}").hexdigest() != digest


def test_the_author_is_who_git_says(
    project: Project, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project.run()
    shown = git("show", "--no-patch", "--format=%an <%ae> %cn <%ce>", made.rev, cwd=project.root)
    assert shown == "Ada <ada@example.org> Ada <ada@example.org>"
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Grace")
    other = project.run({"seed": 1})
    shown = git("show", "--no-patch", "--format=%an %cn", other.rev, cwd=project.root)
    assert shown == "Grace Ada"


def test_hooks_of_the_repository_do_not_run(project: Project) -> None:
    hooks = project.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-commit", "post-commit", "reference-transaction", "post-checkout"):
        (hooks / name).write_text(
            '#!/bin/sh\ntouch "$(git rev-parse --show-toplevel)/hooked"\nexit 1\n'
        )
        (hooks / name).chmod(0o755)
    project.run(name="one")
    project.run({"seed": 1}, name="two")
    project.apply("one")
    project.undo()
    assert not (project.root / "hooked").exists()


# --- Failed runs --------------------------------------------------------------------------------


def test_a_failed_run_says_why_in_its_commit(project: Project, git: Git) -> None:
    (project.root / "train.sh").write_text("exit 3\n")
    with pytest.raises(StageFailed):
        project.run(name="bad")
    (ref,) = project.git.refs(ref_names.FAILED)
    message = git("show", "--no-patch", "--format=%B", ref, cwd=project.root)
    assert message.startswith("nbexp: failed experiment bad\n\nStage `train` stopped")
    assert "Nbexp-State: failed\nNbexp-Stage: train" in message
    parsed = ref_names.parse_failed(ref)
    assert (parsed.baseline, parsed.name) == (git("rev-parse", "HEAD", cwd=project.root), "bad")


def test_a_failed_run_shows_no_metrics_of_the_run_before(project: Project) -> None:
    project.run(name="good")
    (project.root / "train.sh").write_text("exit 3\n")
    with pytest.raises(StageFailed):
        project.run({"seed": 1}, name="bad")
    (row,) = [row for row in project.show(all_states=True).experiments if row.name == "bad"]
    assert row.metrics == {}


# --- Removing -----------------------------------------------------------------------------------


def test_a_removed_experiment_is_in_the_trash(project: Project, git: Git) -> None:
    one, two = project.run(name="one"), project.run({"seed": 1}, name="two")
    removed = project.remove("one", "two")
    assert removed.to_json() == {"removed": ["one", "two"], "remote": None}
    assert project.names == []
    refs = project.git.refs(recording.TRASH)
    assert set(refs.values()) == {one.rev, two.rev}
    assert git("fsck", "--unreachable", "--no-reflogs", cwd=project.root) == ""


def test_an_experiment_can_be_removed_made_and_removed_again(project: Project) -> None:
    for seed in (1, 2, 1):
        project.run({"seed": seed}, name="one", new=True)
        project.remove("one")
    assert len(project.git.refs(recording.TRASH)) == 3
    assert project.names == []


def test_all_or_none_are_removed(project: Project) -> None:
    project.run(name="one")
    with pytest.raises(NotFound):
        project.remove("one", "nobody")
    assert project.names == ["one"]


def test_the_results_stay_in_the_workspace_after_a_removal(project: Project) -> None:
    project.run({"train.lr": 0.03}, name="one")
    project.remove("one")
    assert json.loads((project.root / "metrics.json").read_text())["acc"] == 0.9333
