"""Where files are: sub-directories, links, other caches, data of `dvc add`, paths out of the project."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.conformance.conftest import write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran, RunGit, RunProgram
    from tests.conftest import MakePipelineProject


def test_a_project_in_a_folder_of_the_repository(
    twins: MakeTwins, pipeline: MakePipelineProject, git: RunGit, dvc: RunProgram
) -> None:
    """`dvc init --subdir`: Git's paths are not the project's."""
    top = pipeline(subdir="ml/one")
    for name in (".dvc", ".dvcignore"):
        (top / name).rename(top / "ml" / "one" / name)
    (top / "other.txt").write_text("other\n")
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=moved", cwd=top)
    pair = twins(top)
    pair.write("other.txt", "edited\n")
    pair.write("ml/stray.txt", "stray\n")
    pair.run("-n", "one", cwd="ml/one")
    pair.run("-S", "train.lr=0.5", "-n", "two", cwd="ml/one")
    pair.agree_on_refs()
    pair.agree_on_files()
    inner = type(pair)(*(side / "ml" / "one" for side in pair.sides), pair.look)
    inner.agree_on_cache()
    assert inner.agree_on_status() == {}
    inner.agree_on_table()
    for name in ("one", "two", "one"):
        pair.look.dvc("exp", "apply", name, cwd=inner.dvc_side)
        pair.look.nbexp("apply", name, cwd=inner.nbexp_side)
        pair.agree_on_files()


def test_the_table_and_diffs_seen_from_a_sub_directory(
    twins: MakeTwins, project: MakeProject
) -> None:
    stage = "stages:\n  one:\n    cmd: cp params.yaml m.yaml\n    params: [x]\n    metrics:\n    - m.yaml:\n        cache: false\n"
    pair = twins(
        project(
            {
                "dvc.yaml": stage,
                "params.yaml": "x: 1\n",
                "sub/dvc.yaml": stage,
                "sub/params.yaml": "x: 2\ny: 3\n",
            }
        )
    )
    pair.run("-n", "one")
    pair.run("-S", "x=5", "-n", "two", cwd="sub")
    pair.agree()
    for words in (("show", "--json"), ("diff", "--json", "one", "two")):
        place = pair.nbexp_side / "sub"
        theirs = json.loads(pair.look.dvc("exp", *words, cwd=place).stdout)
        ours = json.loads(pair.look.nbexp(*words, cwd=place).stdout)
        for found in (theirs, ours):
            if words[0] == "show":
                found[1]["experiments"].sort(key=lambda one: one["name"])
        if words[0] == "diff":
            ours = {key: ours[key] for key in theirs}
        assert ours == theirs


def test_deps_that_are_links(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    top = project(
        {
            "real/a.txt": "a\n",
            "real/in/b.txt": "b\n",
            "dvc.yaml": "stages:\n  one:\n    cmd: cat link.txt folder/in/b.txt > out.txt\n    deps: [link.txt, folder]\n    outs: [out.txt]\n",
        }
    )
    (top / "folder").symlink_to("real")
    pair = twins(top)
    pair.git("add", "folder")
    for side in pair.sides:
        (side / "link.txt").symlink_to("real/a.txt")
    pair.run("-n", "one")
    # DVC commits the files of a linked folder in its place, nbexp the link as the user has it.
    theirs, ours = (pair.look.recorded(side).popitem()[1] for side in pair.sides)
    others = [
        {path: entry for path, entry in one.tree.items() if not path.startswith(("folder", ".git"))}
        for one in (theirs, ours)
    ]
    assert others[1] == others[0]
    assert ours.tree["folder"][0] == ours.tree["link.txt"][0] == "120000"
    assert ours.message == theirs.message
    pair.agree_on_files()
    pair.agree_on_cache()
    pair.agree_on_table()
    pair.write("real/in/b.txt", "c\n")
    assert pair.agree_on_status() == {"one": [{"changed deps": {"folder": "modified"}}]}


def test_outputs_that_are_programs(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                "params.yaml": "x: 1\n",
                "dvc.yaml": "stages:\n  one:\n    cmd: cp params.yaml tool && chmod +x tool && cp tool kept && mkdir -p d && cp tool d && touch empty\n"
                "    params: [x]\n    outs: [tool, d, empty]\n    metrics:\n    - kept:\n        cache: false\n",
            }
        )
    )
    pair.run("-n", "one")
    pair.agree()
    pair.run("-S", "x=2", "-n", "two")
    pair.delete("tool", "kept", "d", "empty", "dvc.lock")
    pair.run("-S", "x=1", "-f", "-n", "three")
    pair.agree()
    pair.look.dvc("exp", "run", "-S", "x=2", "-n", "four", cwd=pair.dvc_side)
    pair.look.nbexp("run", "--new", "-S", "x=2", "-n", "four", cwd=pair.nbexp_side)
    pair.agree()
    assert "isexec: true" in (pair.nbexp_side / "dvc.lock").read_text()


def test_params_files_that_a_stage_writes(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "in.txt": "1\n",
                "dvc.yaml": "stages:\n  use:\n    cmd: cp tuned.yaml used.txt\n    params:\n    - tuned.yaml:\n      - x\n    outs: [used.txt]\n"
                '  tune:\n    cmd: "echo \\"x: $(cat in.txt)\\" > tuned.yaml"\n    deps: [in.txt]\n    outs: [tuned.yaml]\n',
            }
        )
    )
    theirs, ours = pair.run("-n", "one")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.write("in.txt", "2\n")
    theirs, ours = pair.run("-n", "two")
    assert lines(ours) == lines(theirs)
    pair.agree()


def test_a_cache_in_another_place(twins: MakeTwins, pipeline: MakePipelineProject) -> None:
    top = pipeline(stages=1)
    (top / ".dvc" / "config").write_text("[cache]\n    dir = ../../cache\n")
    pair = twins(top)
    pair.git("commit", "--quiet", "--all", "--message=cache")
    pair.run("-n", "one")
    pair.agree_on_refs()
    pair.agree_on_files()
    pair.agree_on_status()
    found = [
        sorted(
            path.relative_to(side.parent).as_posix() for path in (side.parent / "cache").rglob("*")
        )
        for side in pair.sides
    ]
    assert found[0] == found[1] != []
    assert not (pair.nbexp_side / ".dvc" / "cache").exists()


def test_deps_outside_of_the_project(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    """By an absolute path, and by one that leads out: files and folders, from the root and from a `wdir`."""
    pair = twins(
        project(
            {
                "in.txt": "in\n",
                "sub/.keep": "",
                "dvc.yaml": """\
stages:
  first:
    cmd: cat ../up.txt ../folder/* in.txt /etc/os-release > out.txt
    deps: [../folder, ../up.txt, in.txt, /etc/os-release]
    outs: [out.txt]
  below:
    wdir: sub
    cmd: cat ../../up.txt ../out.txt > below.txt
    deps: [../../up.txt, ../out.txt]
    outs: [below.txt]
""",
            }
        )
    )

    def agree() -> None:
        pair.agree_on_refs()
        pair.agree_on_files()
        pair.agree_on_cache()
        assert pair.agree_on_status() == {}

    assert set(pair.agree_on_status()) == {"first", "below"}
    pair.look.nbexp("repro", cwd=pair.nbexp_side, code=3)
    for text in ("1\n", "2\n"):
        for side in pair.sides:
            (side.parent / "folder").mkdir(exist_ok=True)
            (side.parent / "folder" / "a.txt").write_text(text)
            (side.parent / "up.txt").write_text(text)
        pair.agree_on_status()
        theirs, ours = pair.run("-n", f"run-{text.strip()}")
        assert lines(ours) == lines(theirs)
        agree()
    for side in pair.sides:
        (side.parent / "up.txt").write_text("1\n")
        (side.parent / "folder" / "a.txt").write_text("1\n")
    pair.delete("out.txt")
    theirs = pair.look.dvc("repro", cwd=pair.dvc_side)
    ours = pair.look.nbexp("repro", cwd=pair.nbexp_side)
    assert "Stage 'first' is cached - skipping run" in ours.stdout
    assert lines(ours) == lines(theirs)
    agree()
    # `show` names them as dvc.yaml does; DVC has `up.txt` and `etc/os-release` for those of a commit.
    one, *_ = pair.look.table(pair.nbexp_side, "nbexp")[1]["experiments"]
    assert {"../up.txt", "/etc/os-release"} < set(one["revs"][0]["data"]["deps"])


def test_absolute_paths_into_the_project_are_files_of_it(
    look: Look, git: RunGit, tmp_path: Path
) -> None:
    """Both tools spell them in dvc.lock as they would any other, and see which stage writes them."""
    locks, states = [], []
    for by in ("dvc", "nbexp"):
        top = tmp_path / by
        stages = (
            f"stages:\n  first:\n    cmd: cat in.txt params.toml > out.txt\n    deps: [{top}/in.txt]\n"
            f"    params: [{top}/params.toml: [lr]]\n    outs: [out.txt]\n"
            f"  below:\n    wdir: sub\n    cmd: cat ../out.txt > below.txt\n    deps: [{top}/out.txt]\n"
            "    outs: [below.txt]\n"
        )
        files = {"in.txt": "1\n", "params.toml": "lr = 1\n", "dvc.yaml": stages, "sub/.keep": ""}
        write(top, {**files, ".dvc/config": "", ".dvcignore": ""})
        git("init", "--quiet", cwd=top)
        git("add", "--all", cwd=top)
        git("commit", "--quiet", "--message=pipeline", cwd=top)
        (look.dvc if by == "dvc" else look.nbexp)("repro", cwd=top)
        locks.append((top / "dvc.lock").read_bytes())
        states.append(look.status(top, "nbexp"))
        states.append(look.status(top, "dvc"))
        write(top, {"in.txt": "2\n"})
        states.append(look.status(top, by))
    assert locks[0] == locks[1]
    assert b"path: ../out.txt" in locks[0]
    changed = {"first": [{"changed deps": {"in.txt": "modified"}}]}
    assert states == [{}, {}, changed] * 2
    data = look.table(tmp_path / "nbexp", "nbexp")[0]["data"]
    assert set(data["deps"]) == {"in.txt", "out.txt"}
    assert set(data["params"]) == {"params.toml"}


def test_deps_of_the_repository_that_a_project_in_a_folder_reads(
    look: Look, git: RunGit, tmp_path: Path
) -> None:
    """In place and beside the user's files; the run beside them has the files of its own work tree."""
    locks = []
    for by in ("dvc", "nbexp"):
        top = tmp_path / by
        stage = (
            "stages:\n  read:\n    cmd: cat ../lib/*.txt ../params.yaml > out.txt\n    deps: [../lib]\n"
            "    params: [../params.yaml: [lr]]\n    outs: [out.txt]\n"
        )
        write(
            top,
            {
                "lib/a.txt": "1\n",
                "params.yaml": "lr: 1\n",
                "project/dvc.yaml": stage,
                "project/.dvc/config": "",
                "project/.dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            },
        )
        git("init", "--quiet", cwd=top)
        git("add", "--all", cwd=top)
        git("commit", "--quiet", "--message=pipeline", cwd=top)
        words = ("exp", "run") if by == "dvc" else ("run",)
        program = look.dvc if by == "dvc" else look.nbexp
        program(*words, "-q", "-n", "one", cwd=top / "project")
        write(top, {"lib/a.txt": "2\n"})
        program(*words, "-q", "--temp", "-n", "two", cwd=top / "project")
        for name, ref in sorted(look.refs(top, "refs/exps").items()):
            if name.endswith(("/one", "/two")):
                locks.append((name[-3:], git("show", f"{ref}:project/dvc.lock", cwd=top)))
                assert git("show", f"{ref}:lib/a.txt", cwd=top) == ("2" if "two" in name else "1")
        program(*words, "-q", "-S", "../params.yaml:lr=5", "-n", "set", cwd=top / "project")
        (ref,) = [name for name in look.refs(top, "refs/exps") if name.endswith("/set")]
        assert git("show", f"{ref}:params.yaml", cwd=top) == "lr: 5"
        assert (top / "params.yaml").read_text() == "lr: 5\n"
    assert locks[:2] == locks[2:]
    assert locks[0][1] != locks[1][1]


def test_data_of_dvc_add(
    twins: MakeTwins,
    project: MakeProject,
    dvc: RunProgram,
    git: RunGit,
    lines: Callable[[Ran], list[str]],
) -> None:
    top = project(
        {
            "data/a.txt": "a\n",
            "raw.txt": "raw\n",
            "dvc.yaml": "stages:\n  one:\n    cmd: cat data/a.txt raw.txt > out.txt\n    deps: [data, raw.txt]\n    outs: [out.txt]\n",
        }
    )
    git("rm", "--quiet", "-r", "--cached", "data", "raw.txt", cwd=top)
    dvc("add", "data", "raw.txt", cwd=top)
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=data", cwd=top)
    pair = twins(top)
    theirs, ours = pair.run("-n", "one")
    assert lines(ours) == lines(theirs)
    pair.agree_on_refs()
    pair.agree_on_files()
    pair.agree_on_cache()
    assert pair.agree_on_status() == {}


def test_unreadable_metrics_and_params(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                "params.yaml": "x: 1\n",
                "bad.json": "{not json",
                "bad.yaml": "a: [1\n",
                "bad.toml": "a = = 1\n",
                "list.json": "[1, 2]",
                "text.json": '"abc"',
                "none.json": "null",
                "empty.yaml": "",
                "dvc.yaml": "metrics: [bad.json, bad.yaml, bad.toml, list.json, text.json, none.json, empty.yaml, gone.json]\n"
                "params: [bad.yaml]\nstages:\n  one:\n    cmd: cp params.yaml m.yaml\n    params: [x]\n    metrics: [m.yaml]\n",
            }
        )
    )
    pair.run("-n", "one")
    pair.agree()


def test_experiments_of_a_temporary_directory(
    pipeline: MakePipelineProject, look: Look, git: RunGit
) -> None:
    top = pipeline(stages=1)
    look.dvc("exp", "run", "-n", "here", cwd=top)
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=up to date", cwd=top)
    look.dvc("exp", "run", "--temp", "-S", "prepare.rows=3", "-n", "there", cwd=top)
    assert look.nbexp("list", "--name-only", cwd=top).stdout.split() == ["there"]
    look.nbexp("apply", "there", cwd=top)
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}
    assert "rows: 3" in (top / "params.yaml").read_text()
