"""What an experiment's commit holds, beside DVC's: tree, parent, message, author; and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nbexp

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, RunGit, RunProgram
    from tests.conftest import MakePipelineProject

DVC_PYTHON = Path(__file__).resolve().parents[2] / ".venv-dvc" / "bin" / "python"

_COPY = "stages:\n  one:\n    cmd: sh make.sh\n    deps: [make.sh, in.txt]\n    outs: [out.txt]\n    metrics:\n    - m.json:\n        cache: false\n"
_MAKE = "set -e\ncp in.txt out.txt\necho '{\"n\": 1}' > m.json\n"


def test_what_is_edited_deleted_and_staged_is_recorded(
    twins: MakeTwins, project: MakeProject, git: RunGit
) -> None:
    pair = twins(
        project(
            {
                "dvc.yaml": _COPY,
                "make.sh": _MAKE,
                "in.txt": "1\n",
                "notes.md": "a\n",
                "gone.md": "b\n",
                "gone-staged.md": "c\n",
                "old name.md": "d\nd\nd\n",
                "tool": "#!/bin/sh\n",
                "deep/er/é.md": "e\n",
                ".gitignore": "*.log\n",
            }
        )
    )
    pair.write("in.txt", "2\n")
    pair.write("notes.md", "edited\n")
    pair.write("deep/er/é.md", "edited\n")
    pair.write("new.md", "staged\n")
    pair.write("staged-then-edited.md", "staged\n")
    pair.write("new-untracked.md", "untracked\n")
    pair.write("deep/untracked.log", "ignored\n")
    pair.git("add", "new.md", "staged-then-edited.md")
    pair.write("staged-then-edited.md", "edited\n")
    pair.git("rm", "--quiet", "gone-staged.md")
    pair.git("mv", "old name.md", "new name.md")
    pair.delete("gone.md")
    for side in pair.sides:
        (side / "tool").chmod(0o755)
        (side / "link").symlink_to("notes.md")
    pair.git("add", "link")
    pair.run("-n", "one")
    pair.agree()
    tree = pair.look.tree(pair.nbexp_side, pair.look.experiments(pair.nbexp_side).popitem()[1])
    assert {"new.md", "staged-then-edited.md", "new name.md", "link", "m.json", "dvc.lock"} <= set(
        tree
    )
    assert not {"gone.md", "gone-staged.md", "old name.md", "new-untracked.md", "out.txt"} & set(
        tree
    )
    assert tree["tool"][0] == "100755"
    assert (
        git("status", "--porcelain", cwd=pair.nbexp_side).splitlines()[-1] == "?? new-untracked.md"
    )


def test_what_a_stage_leaves_beside_its_outputs_is_named(
    twins: MakeTwins, project: MakeProject
) -> None:
    """Neither tool records it; nbexp says so (R020)."""
    pair = twins(
        project({"dvc.yaml": _COPY, "make.sh": _MAKE + "echo 1 > stray.csv\n", "in.txt": "1\n"})
    )
    pair.write("before.txt", "not written by the stage\n")
    _, ours = pair.run("-n", "one")
    pair.agree()
    assert "stray.csv" in ours.stdout
    assert "before.txt" not in ours.stdout
    again = pair.look.nbexp("run", "-f", "--json", cwd=pair.nbexp_side).stdout
    assert json.loads(again)["not_recorded"] == [{"path": "stray.csv", "stage": "one"}]


def test_a_new_pipeline_records_what_its_stages_name(
    twins: MakeTwins, project: MakeProject
) -> None:
    """Nothing of it was ever committed: definition, scripts, data and params come along, the rest does not."""
    pair = twins(project({"README.md": "nothing yet\n"}))
    pair.write("dvc.yaml", _COPY + "metrics: [top.json]\nplots: [curve.csv]\nparams: [top.yaml]\n")
    pair.write(
        "make.sh", _MAKE + "echo '{\"t\": 1}' > top.json\nprintf 'a,b\\n1,2\\n' > curve.csv\n"
    )
    pair.write("in.txt", "1\n")
    pair.write("top.yaml", "z: 1\n")
    pair.write("stray.txt", "stray\n")
    pair.write("data/a.txt", "a\n")
    pair.write("data/in/b.txt", "b\n")
    pair.write(
        "sub/dvc.yaml",
        "stages:\n  two:\n    cmd: cat ../data/a.txt > two.txt\n    deps: [../data]\n    params: [x]\n    outs: [two.txt]\n",
    )
    pair.write("sub/params.yaml", "x: 1\n")
    pair.run("-n", "one")
    pair.run("sub/dvc.yaml:two", "-n", "two")
    pair.agree()


def test_files_that_git_ignores(twins: MakeTwins, project: MakeProject) -> None:
    """Named by a stage, ignored by the user: a dep, a metric, a top-level metric, a params file.

    Both leave them out of the commit; nbexp says so of what the stage made.
    """
    pair = twins(
        project(
            {
                "dvc.yaml": "metrics: [top.json]\nstages:\n  one:\n    cmd: cp in.log m.json && cp in.log top.json && cp in.log out.log\n"
                "    deps: [in.log]\n    params:\n    - p.log:\n      - a\n"
                "    outs: [out.log]\n    metrics:\n    - m.json:\n        cache: false\n",
                ".gitignore": "*.log\n*.json\n",
            }
        )
    )
    pair.write("in.log", '{"a": 1}\n')
    pair.write("p.log", "a: 1\n")
    _, ours = pair.run("-n", "one")
    pair.agree()
    assert "Git ignores m.json, so the experiment does not hold it." in ours.stderr


def test_an_ignore_file_that_is_tracked(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project({"dvc.yaml": _COPY, "make.sh": _MAKE, "in.txt": "1\n", ".gitignore": "*.log"})
    )
    pair.run("-n", "one")
    pair.agree()
    assert (pair.nbexp_side / ".gitignore").read_text() == "*.log\n/out.txt\n"
    tree = pair.look.tree(pair.nbexp_side, pair.look.experiments(pair.nbexp_side).popitem()[1])
    assert tree[".gitignore"] != pair.look.tree(pair.nbexp_side, "HEAD")[".gitignore"]


def test_a_new_ignore_file_is_recorded_so_that_a_branch_does_not_show_outputs(
    twins: MakeTwins, project: MakeProject, git: RunGit
) -> None:
    """Difference 11: DVC writes the same file, and leaves it out of its commit."""
    pair = twins(project({"dvc.yaml": _COPY, "make.sh": _MAKE, "in.txt": "1\n"}))
    pair.run("-n", "one")
    pair.agree()
    theirs, ours = (
        pair.look.tree(side, pair.look.experiments(side).popitem()[1]) for side in pair.sides
    )
    assert set(ours) - set(theirs) == {".gitignore"}
    written = (pair.dvc_side / ".gitignore").read_text()
    assert written == "/out.txt\n"
    rev = pair.look.experiments(pair.nbexp_side).popitem()[1]
    assert git("show", f"{rev}:.gitignore", cwd=pair.nbexp_side) + "\n" == written


def test_ignore_lines_where_outputs_are(twins: MakeTwins, project: MakeProject) -> None:
    """In the output's own folder, appended to what is there, not where something else ignores it already."""
    pair = twins(
        project(
            {
                ".gitignore": "covered/\nlist\n",
                "a/.gitignore": "x",
                "dvc.yaml": """\
stages:
  one:
    cmd: mkdir -p a/b covered d/list && for f in a/1 a/b/2 covered/3 d/list/4 5; do echo $f > $f; done
    outs: [a/1, a/b/2, covered/3, d/list, '5']
  two:
    cmd: echo 6 > a/6; mkdir -p new; echo 7 > new/7; echo 8 > new/8
    outs: [a/6, new/7]
    metrics:
    - new/8:
        cache: false
""",
            }
        )
    )
    pair.run("two", "-n", "one")
    pair.agree_on_files()
    pair.run("-n", "two")
    pair.agree()


@pytest.mark.parametrize("where", ["tag", "branch", "detached"])
def test_any_commit_is_a_baseline(
    twins: MakeTwins, pipeline: MakePipelineProject, git: RunGit, where: str
) -> None:
    pair = twins(pipeline(stages=1))
    pair.git("commit", "--quiet", "--allow-empty", "--message=second")
    if where == "tag":
        pair.git("tag", "v1")
        pair.git("checkout", "--quiet", "v1")
    elif where == "branch":
        pair.git("checkout", "--quiet", "-b", "topic/one", "HEAD~1")
    else:
        pair.git("checkout", "--quiet", "HEAD~1")
    pair.run("-n", "one")
    pair.agree()
    head = git("rev-parse", "HEAD", cwd=pair.nbexp_side)
    (one,) = pair.look.recorded(pair.nbexp_side).values()
    assert one.parents == (head,)
    # Names are looked up on the present commit first; the listing says the same.
    theirs = pair.look.dvc("exp", "list", "--name-only", cwd=pair.nbexp_side).stdout.split()
    assert (
        pair.look.nbexp("list", "--name-only", cwd=pair.nbexp_side).stdout.split()
        == theirs
        == ["one"]
    )


def test_the_author_is_git_s(
    twins: MakeTwins, pipeline: MakePipelineProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = twins(pipeline(stages=1))
    pair.git("config", "user.name", "Grace Ünal")
    pair.git("config", "user.email", "grace@example.org")
    pair.run("-n", "configured")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Author")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "author@example.org")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Committer")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "committer@example.org")
    pair.run("-S", "prepare.rows=3", "-n", "environment")
    pair.agree_on_refs()
    authors = {one.author for one in pair.look.recorded(pair.nbexp_side).values()}
    assert authors == {
        "Grace Ünal <grace@example.org> Grace Ünal <grace@example.org>",
        "Author <author@example.org> Committer <committer@example.org>",
    }


def test_what_stages_are_told_by_the_environment(twins: MakeTwins, project: MakeProject) -> None:
    show = "env | grep -E '^DVC_(ROOT|STAGE|EXP_NAME|EXP_BASELINE_REV)=' | sed 's#'$(dirname $DVC_ROOT)'##' | sort"
    pair = twins(
        project(
            {
                "sub/dvc.yaml": f"stages:\n  low:\n    cmd: {show} > env.txt\n    outs: [env.txt]\n",
                "dvc.yaml": f"stages:\n  top:\n    cmd: {show} > env.txt; pwd | sed 's#.*/##' >> env.txt\n    deps: [sub/env.txt]\n    outs: [env.txt]\n",
            }
        )
    )
    pair.run("-n", "one")
    pair.agree()
    assert "DVC_EXP_NAME=one\n" in (pair.nbexp_side / "env.txt").read_text()


def test_git_of_the_user_is_left_alone(
    pipeline: MakePipelineProject,
    nbexp_cli: RunProgram,
    dvc: RunProgram,
    git: RunGit,
    look: Look,
    isolated: Callable[[Path], dict[str, object]],
) -> None:
    top = pipeline()
    (top / "README.md").write_text("stashed\n")
    git("stash", cwd=top)
    (top / "README.md").write_text("edited\n")
    (top / "new.txt").write_text("staged\n")
    git("add", "new.txt", cwd=top)
    git("branch", "other", cwd=top)
    before = isolated(top)
    # `--exclude` counts for the `--all` behind it.
    hidden = ("--exclude=refs/exps/*", "--exclude=refs/nbexp/*", "--exclude=refs/notes/nbexp")
    for words in (
        ("run", "-n", "one"),
        ("run", "-S", "train.lr=0.5", "-n", "two"),
        ("run", "-S", "train.lr=0.5"),
        ("run", "-f", "-n", "one"),
        ("run", "nonsense"),
        ("show", "--json"),
        ("diff", "one", "two"),
        ("list", "-A"),
        ("status",),
        ("apply", "one"),
        ("undo",),
        ("remove", "two"),
    ):
        nbexp_cli(*words, cwd=top, code=None)
        assert isolated(top) == before, words
    commits = git("log", "--format=%H", *hidden, "--all", cwd=top)
    opened = nbexp.open(top)
    for number in range(50):
        opened.run({"seed": number})
    assert len(opened.show().experiments) == 51
    assert isolated(top) == before
    assert git("log", "--format=%H", *hidden, "--all", cwd=top) == commits
    opened.remove(*(row.name for row in opened.show().experiments if row.name != "one"))
    nbexp_cli("branch", "one", "kept", cwd=top)
    after = isolated(top)
    assert set(after["refs"]) - set(before["refs"]) == {"refs/heads/kept"}  # type: ignore[call-overload]
    assert [
        ref
        for ref in look.refs(top)
        if not ref.startswith(("refs/heads/", "refs/nbexp/", "refs/notes/nbexp", "refs/stash"))
    ] == [ref for ref in look.refs(top, "refs/exps") if ref.endswith("/one")]
    git("fsck", "--strict", "--no-dangling", cwd=top)
    assert "experiment" not in git("log", "--format=%s", "main", "other", cwd=top)
    # Nothing that real dvc would stumble over.
    dvc("exp", "show", "--json", cwd=top)


_LIVE = """\
import json
from pathlib import Path
from dvclive import Live

lr = float(Path("params.yaml").read_text().split("lr: ")[1])
with Live() as live:
    live.log_param("width", 3)
    for step in range(3):
        live.log_metric("train/loss", lr / (step + 1))
        live.log_metric("acc", step * lr)
        live.next_step()
    live.summary["best"] = 2 * lr
Path("model.txt").write_text(str(lr))
"""


@pytest.mark.parametrize("listed", [True, False])
def test_dvclive_inside_a_stage(twins: MakeTwins, project: MakeProject, listed: bool) -> None:
    """The logger stages its own files and writes its part of dvc.yaml; the commits are equal."""
    metrics = "    metrics:\n    - dvclive/metrics.json:\n        cache: false\n    plots:\n    - dvclive/plots:\n        cache: false\n"
    pair = twins(
        project(
            {
                "params.yaml": "lr: 0.5\n",
                "train.py": _LIVE,
                "dvc.yaml": f"stages:\n  train:\n    cmd: {DVC_PYTHON} train.py\n    deps: [train.py]\n    params: [lr]\n    outs: [model.txt]\n"
                + (metrics if listed else ""),
            }
        )
    )
    pair.run("-n", "one")
    pair.agree()
    pair.run("-S", "lr=0.25", "-n", "two")
    pair.agree()
    tree = pair.look.recorded(pair.nbexp_side).popitem()[1].tree
    assert "dvclive/plots/metrics/train/loss.tsv" in tree
