"""Every way to write a stage: both tools run it alike and write the same lock, ignore and cache files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, MakeTwins, Ran


def test_commands_as_text_list_and_block(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "in.txt": "in\n",
                "dvc.yaml": """\
stages:
  listed:
    cmd:
    - echo one > listed.txt
    - cat in.txt >> listed.txt
    deps:
    - in.txt
    outs:
    - listed.txt
  block:
    cmd: |
      x=1
      echo "one $x" > block.txt
      cat in.txt >> block.txt
    deps: [in.txt]
    outs: [block.txt]
  folded:
    cmd: >-
      cat in.txt
      listed.txt
      > folded.txt
    deps: [in.txt, listed.txt]
    outs: [folded.txt]
  long:
    cmd: "echo 'aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd eeeeeeeeee' 'naïve: yes, 0o17, 1e-3 # no comment' > long.txt"
    outs: [long.txt]
""",
            }
        )
    )
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    assert (pair.nbexp_side / "block.txt").read_text() == "one \nin\n"
    pair.replace("dvc.yaml", "x=1\n", "x=2\n")
    pair.replace("dvc.yaml", "- echo one >", "- echo two >")
    assert set(pair.agree_on_status()) == {"block", "listed"}
    theirs, ours = pair.run("-n", "second")
    assert lines(ours) == lines(theirs)
    pair.agree()


def test_commands_without_a_word_in_them(twins: MakeTwins, project: MakeProject) -> None:
    """What is no command at all stops the stage alone, if there is something for it to do."""
    pair = twins(
        project(
            {
                "in.txt": "in\n",
                "dvc.yaml": """\
stages:
  blank: {cmd: " ", deps: [in.txt]}
  listed: {cmd: ["", "echo x > x.txt"], outs: [x.txt]}
  nothing: {cmd: ""}
  none: {cmd: []}
  empty: {cmd: "", outs: [a.txt]}
""",
            }
        )
    )
    fine = ("blank", "listed", "nothing", "none")
    for words, code in ((fine, 0), (("empty",), 3), (("-k", "nothing", "empty"), 1)):
        pair.look.dvc("repro", *words, cwd=pair.dvc_side, code=code and 255)
        refused = pair.look.nbexp("repro", *words, cwd=pair.nbexp_side, code=code)
        pair.agree_on_files()
        pair.agree_on_cache()
        assert ("Stage `empty` has no command to run." in refused.stderr) == (code == 1)
        assert ("stage `empty` has no command to run." in refused.stderr) == (code == 3)
    pair.delete("in.txt")
    assert set(pair.agree_on_status()) == {"blank", "empty"}


def test_stages_run_in_the_order_of_their_files(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    """A diamond and two loose ends, written from the end to the beginning; then a circle."""
    stage = "  {0}:\n    cmd: cat {1} > {0}.txt\n    deps: [{2}]\n    outs: [{0}.txt]\n"
    needs = {
        "last": ("left.txt", "right.txt"),
        "right": ("first.txt",),
        "loose": ("in.txt",),
        "left": ("first.txt", "in.txt"),
        "first": ("in.txt",),
        "other": ("loose.txt",),
    }
    stages = {
        name: stage.format(name, " ".join(files), ", ".join(files)) for name, files in needs.items()
    }
    pair = twins(project({"in.txt": "1\n", "dvc.yaml": "stages:\n" + "".join(stages.values())}))
    theirs, ours = pair.run("-n", "one")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.write("in.txt", "2\n")
    # Which of two targets comes first is not defined by DVC.
    theirs, ours = pair.run("right", "other", "-n", "two")
    assert sorted(lines(ours)) == sorted(lines(theirs))
    pair.agree_on_refs()
    pair.replace(
        "dvc.yaml",
        "deps: [in.txt]\n    outs: [first.txt]",
        "deps: [last.txt]\n    outs: [first.txt]",
    )
    pair.look.dvc("exp", "run", cwd=pair.dvc_side, code=255)
    refused = pair.look.nbexp("run", cwd=pair.nbexp_side, code=3).stderr
    assert all(f"`{name}`" in refused for name in ("first", "left", "last"))


def test_a_command_that_fails_half_way_stops_the_others(
    twins: MakeTwins, project: MakeProject, ran: Callable[[Path], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "dvc.yaml": "stages:\n  one:\n    cmd:\n    - echo a >> ../ran\n    - 'false'\n"
                "    - echo b >> ../ran\n  two:\n    cmd: |\n      echo c >> ../ran\n      exit 4\n"
                "      echo d >> ../ran\n"
            }
        )
    )
    for target, words in (("one", ["a"]), ("two", ["c"])):
        pair.run(target, code=1)
        assert [ran(side) for side in pair.sides] == [words, words]
    pair.agree_on_refs()


def test_stages_in_another_directory(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "in.txt": "in\n",
                "params.yaml": "lr: 1\n",
                "work/params.yaml": "lr: 2\n",
                "work/deep/.keep": "",
                "dvc.yaml": """\
stages:
  below:
    wdir: work
    cmd: cat ../in.txt params.yaml > out.txt && cp out.txt ../up.txt
    deps: [../in.txt]
    params: [lr]
    outs: [out.txt, ../up.txt]
  deeper:
    wdir: ./work/deep/
    cmd: cat ../out.txt ../../params.yaml > made.txt
    deps: [../out.txt]
    params:
    - ../../params.yaml:
      - lr
    outs: [made.txt]
""",
            }
        )
    )
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.replace("params.yaml", "lr: 1", "lr: 3")
    pair.write("in.txt", "other\n")
    pair.delete("up.txt")
    assert set(pair.agree_on_status()) == {"below", "deeper"}
    inside = [pair.look.status(side, "dvc", side / "work") for side in pair.sides]
    assert pair.look.status(pair.nbexp_side, "nbexp", pair.nbexp_side / "work") == inside[0]
    pair.run("-n", "second")
    pair.agree()


_PARAMS = """\
lr: 1e-3
decay: 0.001
name: yes
octal: 0o17
old_octal: 017
nothing:
text: 'he said "hi"'
big: 1e5
flags: {b: true, a: off}
net:
  layers: [16, 32]
  act: "relu"
  empty: {}
"""


def test_params_by_key_by_tree_and_by_file(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                "params.yaml": _PARAMS,
                "other.yaml": "b: 2\na: [1, {x: y}]\n",
                "more.json": '{"k": {"z": 1.0, "y": "t"}, "j": null}',
                "conf.toml": 'title = "x"\n[opt]\nlr = 0.5\nsteps = [1, 2]\n',
                "part.json": '{"k": {"z": 1.0, "y": "t"}, "j": null, "l": [1]}',
                "conf.py": "BATCH = 32\nNAME = 'n'\n\n\nclass Net:\n    depth = 3\n    width = 2\n",
                "dvc.yaml": """\
stages:
  keys:
    cmd: echo keys > keys.txt
    params: [text, lr, decay, name, octal, old_octal, nothing, big, net.layers.1, net.act]
    outs: [keys.txt]
  trees:
    cmd: echo trees > trees.txt
    params: [net, flags, net.layers]
    outs: [trees.txt]
  files:
    cmd: echo files > files.txt
    params:
    - other.yaml:
    - more.json:
      - k
      - k.z
    - part.json:
      - k.z
      - l
    - lr
    - conf.toml:
      - opt.lr
      - opt
    - conf.py:
      - BATCH
      - Net.depth
    outs: [files.txt]
  whole:
    cmd: echo whole > whole.txt
    params:
    - more.json: []
    - conf.toml:
    outs: [whole.txt]
""",
            }
        )
    )
    pair.agree_on_status()
    pair.run("-n", "first")
    pair.agree()
    pair.replace("params.yaml", "[16, 32]", "[16, 64]")
    pair.replace("params.yaml", "nothing:\n", "nothing: 0\n")
    pair.replace("other.yaml", "b: 2\n", "c: 2\n")
    pair.replace("conf.py", "depth = 3", "depth = 4")
    pair.replace("more.json", '"j": null', '"j": 1')
    pair.agree_on_status()
    pair.run("-n", "second")
    pair.agree()


def test_a_params_file_that_is_listed_as_a_whole_may_be_empty_or_gone(
    twins: MakeTwins, project: MakeProject
) -> None:
    stage = "  {0}:\n    cmd: echo > {0}\n    params: [{0}.yaml: ]\n    outs: [{0}]\n"
    names = ("gone", "empty", "some")
    pair = twins(
        project(
            {
                "dvc.yaml": "stages:\n" + "".join(map(stage.format, names)),
                "empty.yaml": "{}\n",
                "some.yaml": "a: 1\n",
            }
        )
    )
    assert set(pair.agree_on_status()) == set(names)
    pair.run("empty", "some", "-n", "first")
    # Of the empty file DVC has no hash, so the run cache holds the run with the other alone.
    pair.agree()
    assert len(pair.look.run_cache(pair.nbexp_side)) == 1
    pair.delete("some.yaml", "empty.yaml")
    assert set(pair.agree_on_status()) == set(names)
    pair.write("empty.yaml", "b: 2\n")
    pair.write("some.yaml", "")
    assert set(pair.agree_on_status()) == set(names)


def test_a_param_that_is_gone_is_an_error(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                "params.yaml": "lr: 1\ngone: 2\n",
                "dvc.yaml": "stages:\n  one:\n    cmd: cp params.yaml one.txt\n    params: [lr, gone]\n    outs: [one.txt]\n",
            }
        )
    )
    pair.run("-n", "first")
    pair.write("params.yaml", "lr: 1\n")
    pair.agree_on_status()
    before = pair.look.files(pair.nbexp_side)
    pair.look.dvc("exp", "run", cwd=pair.dvc_side, code=255)
    pair.look.nbexp("run", cwd=pair.nbexp_side, code=3)
    # DVC has deleted the output before it found out; nbexp changes nothing.
    assert pair.look.files(pair.nbexp_side) == before
    (pair.nbexp_side / "params.yaml").unlink()
    found = pair.look.status(pair.nbexp_side, "dvc")
    assert pair.look.status(pair.nbexp_side, "nbexp") == found


_TREE = """\
set -eu
rm -rf made && mkdir -p made/deep/er made/void
echo a > made/a.txt
: > made/empty
echo run > made/run.sh && chmod +x made/run.sh
echo low > made/deep/er/low.txt
echo Z > made/Z.txt
echo e > "made/é b.txt"
cp raw/one.txt made/deep/copied.txt
"""


def test_directories_as_deps_and_outputs(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "raw/one.txt": "1\n",
                "raw/in/two.txt": "2\n",
                "make.sh": _TREE,
                "dvc.yaml": """\
stages:
  make:
    cmd: sh make.sh
    deps: [raw, make.sh]
    outs: [made/]
  file:
    cmd: cp made/deep/copied.txt picked.txt
    deps: [made/deep/copied.txt]
    outs: [picked.txt]
  folder:
    cmd: ls made/deep > listed.txt
    deps: [made/deep]
    outs: [listed.txt]
  kept:
    cmd: mkdir -p kept/in && cp picked.txt kept/in/p.txt && cp picked.txt kept/q.txt
    deps: [picked.txt]
    outs:
    - kept:
        cache: false
""",
            }
        )
    )
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.write("raw/in/three.txt", "3\n")
    theirs, ours = pair.run("-n", "second")
    assert lines(ours) == lines(theirs)
    pair.write("raw/one.txt", "other\n")
    for side in pair.sides:
        (side / "made" / "extra.txt").write_text("by hand\n")
    pair.agree_on_status()
    theirs, ours = pair.run("-n", "third")
    assert lines(ours) == lines(theirs)
    # `made` as it was edited, its one new file, and the listing of `kept`, which no cache holds.
    found = pair.only_ours()
    listed = [json.loads(file.read_bytes()) for file in found if file.suffix == ".dir"]
    names = [{entry["relpath"] for entry in listing} for listing in sorted(listed, key=len)]
    made = {"a.txt", "Z.txt", "empty", "run.sh", "é b.txt", "deep/copied.txt", "deep/er/low.txt"}
    assert names == [{"in/p.txt", "q.txt"}, made | {"extra.txt"}]
    assert [file.read_bytes() for file in found if not file.suffix] == [b"by hand\n"]
    pair.agree(undo=3)


def test_metrics_and_plots_in_cache_and_in_git(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "params.yaml": "x: 1\n",
                "score.sh": "set -eu\nx=$(sed 's/x: //' params.yaml)\nmkdir -p out\n"
                'echo "{\\"acc\\": 0.$x, \\"by\\": {\\"us\\": $x, \\"list\\": [1, 2], \\"n\\": null}}" > out/a.json\n'
                "printf 'loss: %s\\nok: true\\nword: text\\n' $x > out/b.yaml\n"
                "printf 'f1 = 0.%s\\n' $x > c.toml\n"
                "printf 'step,v\\n0,%s\\n' $x > out/p.csv\nprintf 'step\\tv\\n0\\t%s\\n' $x > q.tsv\n"
                "cp out/a.json top.json\n",
                "dvc.yaml": """\
metrics:
- top.json
plots:
- q.tsv:
    x: step
stages:
  score:
    cmd: sh score.sh
    deps: [score.sh]
    params: [x]
    metrics:
    - out/a.json
    - out/b.yaml:
        cache: false
    - c.toml:
        cache: false
        persist: false
    plots:
    - out/p.csv
    - q.tsv:
        cache: false
        x: step
        y: v
""",
            }
        )
    )
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.run("-S", "x=2", "-n", "second")
    pair.delete("out/b.yaml", "q.tsv")
    pair.agree_on_status()
    pair.run("-n", "third")
    pair.agree()


def test_outputs_that_git_keeps_and_outputs_that_persist(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "in.txt": "1\n",
                "dvc.yaml": """\
stages:
  git:
    cmd: cp in.txt kept.txt && cp in.txt cached.txt
    deps: [in.txt]
    outs:
    - kept.txt:
        cache: false
    - cached.txt
  log:
    cmd: cat in.txt >> log.txt
    deps: [in.txt]
    outs:
    - log.txt:
        persist: true
""",
            }
        )
    )
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.write("in.txt", "2\n")
    theirs, ours = pair.run("-n", "second")
    assert lines(ours) == lines(theirs)
    pair.agree()
    assert (pair.nbexp_side / "log.txt").read_text() == "1\n2\n"
    # Neither tool may bring these back from the run cache.
    pair.write("in.txt", "1\n")
    theirs, ours = pair.run("-n", "third")
    assert lines(ours) == lines(theirs)
    pair.agree()


def test_an_output_that_persists_may_be_there_before_the_first_run(
    twins: MakeTwins, project: MakeProject
) -> None:
    pair = twins(
        project(
            {
                "dvc.yaml": "stages:\n  log:\n    cmd: echo more >> log.txt\n    outs:\n    - log.txt:\n        persist: true\n",
            }
        )
    )
    pair.write("log.txt", "before\n")
    pair.agree_on_status()
    # `dvc exp run` deletes it, `dvc repro` goes on from it, as the word has it; so does nbexp.
    pair.look.dvc("repro", cwd=pair.dvc_side)
    pair.look.nbexp("run", "-n", "first", cwd=pair.nbexp_side)
    pair.agree_on_files()
    pair.agree_on_cache(undo=1)
    pair.agree_on_status()


def test_stages_that_always_run_and_stages_without_deps(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "params.yaml": "x: 1\n",
                "dvc.yaml": """\
stages:
  always:
    cmd: echo made > always.txt
    always_changed: true
    outs: [always.txt]
  callback:
    cmd: echo called
  once:
    cmd: echo once > once.txt
    outs: [once.txt]
  checks:
    cmd: grep -q x params.yaml
    params: [x]
""",
            }
        )
    )
    for name in ("first", "second"):
        theirs, ours = pair.run("-n", name)
        assert lines(ours) == lines(theirs)
    assert set(pair.agree_on_status()) == {"always", "callback"}
    pair.agree()
    theirs, ours = pair.run("-S", "x=2", "-n", "third")
    assert lines(ours) == lines(theirs)
    pair.agree()


def test_frozen_stages(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "in.txt": "1\n",
                "dvc.yaml": """\
stages:
  first:
    cmd: cp in.txt first.txt
    deps: [in.txt]
    outs: [first.txt]
  second:
    cmd: cp first.txt second.txt
    deps: [first.txt]
    outs: [second.txt]
  third:
    cmd: cp second.txt third.txt
    deps: [second.txt]
    outs: [third.txt]
""",
            }
        )
    )
    pair.run("-n", "first")
    pair.replace(
        "dvc.yaml", "cp first.txt second.txt\n", "cp first.txt second.txt\n    frozen: true\n"
    )
    pair.write("in.txt", "2\n")
    pair.agree_on_status()
    theirs, ours = pair.run("third", "-n", "second")
    assert lines(ours) == lines(theirs)
    pair.agree()
    theirs, ours = pair.run("-n", "third")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.delete("second.txt")
    pair.write("in.txt", "3\n")
    pair.run("-n", "fourth")
    pair.agree()


def test_names_with_spaces_accents_and_signs(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                "in put/é [1].txt": "1\n",
                "dvc.yaml": "stages:\n  odd_Name-1:\n    cmd: \"cp 'in put/é [1].txt' 'out put #1.txt' && mkdir -p 'ä*b' && cp 'in put/é [1].txt' 'ä*b/!x'\"\n"
                "    deps: ['in put/é [1].txt']\n    outs: ['out put #1.txt', 'ä*b/!x']\n",
            }
        )
    )
    pair.run("-n", "first")
    pair.agree()


def test_other_keys_of_a_stage_change_nothing(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "in.txt": "1\n",
                "dvc.yaml": """\
artifacts:
  model:
    path: out.txt
    type: model
stages:
  one:
    desc: what it does
    cmd: cp in.txt out.txt
    deps: [in.txt]
    outs:
    - out.txt:
        desc: what it is
        type: model
        labels: [a, b]
        meta: {by: hand}
        push: false
    meta:
      nbexp: {kernel: python3}
""",
            }
        )
    )
    pair.run("-n", "first")
    pair.agree()
    pair.replace("dvc.yaml", "desc: what it does", "desc: something else")
    assert pair.agree_on_status() == {}
    theirs = pair.look.dvc("exp", "run", "-n", "second", cwd=pair.dvc_side)
    ours = pair.look.nbexp("run", "--new", "-n", "second", cwd=pair.nbexp_side)
    assert lines(ours) == lines(theirs)
    pair.agree()


def test_a_stage_that_is_added_renamed_and_removed(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    stage = "  {0}:\n    cmd: cp in.txt {0}.txt\n    deps: [in.txt]\n    outs: [{0}.txt]\n"
    pair = twins(project({"in.txt": "1\n", "dvc.yaml": "stages:\n" + stage.format("one")}))
    pair.run("-n", "first")
    pair.write(
        "dvc.yaml", "stages:\n" + stage.format("zero") + stage.format("one") + stage.format("two")
    )
    pair.agree_on_status()
    pair.run("-n", "second")
    pair.agree()
    # The entries of stages that are gone stay in dvc.lock.
    pair.write("dvc.yaml", "stages:\n" + stage.format("two") + stage.format("three"))
    pair.write("in.txt", "2\n")
    pair.run("-n", "third")
    pair.agree_on_refs()
    pair.agree_on_cache()
    pair.agree_on_status()
    # DVC deletes what no stage makes any more; nbexp leaves files of the past where they are.
    theirs, ours = map(pair.look.files, pair.sides)
    assert {path: ours[path] for path in theirs} == theirs
    assert set(ours) - set(theirs) == {"zero.txt", "one.txt"}


def test_dvcignore_leaves_files_out_of_directories(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                ".dvcignore": "*.log\n/raw/tmp\n/old\n",
                "old/dvc.yaml": "stages:\n  past:\n    cmd: exit 1\n    outs: [x]\n",
                "raw/a.txt": "a\n",
                "raw/b.log": "b\n",
                "raw/tmp/c.txt": "c\n",
                "dvc.yaml": "stages:\n  one:\n    cmd: mkdir -p made && cp raw/a.txt made && cp raw/b.log made\n    deps: [raw]\n    outs: [made]\n",
            }
        )
    )
    pair.run("-n", "first")
    pair.agree()
    pair.write("raw/b.log", "other\n")
    pair.write("raw/tmp/d.txt", "more\n")
    assert pair.agree_on_status() == {}


def test_lock_files_of_long_ago_are_read(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    """Entries without `hash: md5` hold DVC 2's digest of text, its line ends made Unix's."""
    pair = twins(
        project(
            {
                "in.txt": b"a\r\nb\r\n",
                "dvc.yaml": "stages:\n  one:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n    outs:\n    - out.txt:\n        cache: false\n",
                "out.txt": b"a\r\nb\r\n",
                "dvc.lock": "schema: '2.0'\nstages:\n  one:\n    cmd: cp in.txt out.txt\n    deps:\n    - path: in.txt\n"
                "      md5: dd8c6a395b5dd36c56d23275028f526c\n      size: 6\n    outs:\n    - path: out.txt\n"
                "      md5: dd8c6a395b5dd36c56d23275028f526c\n      size: 6\n",
            }
        )
    )
    assert pair.agree_on_status() == {}
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.write("in.txt", b"a\r\nc\r\n")
    pair.agree_on_status()


@pytest.mark.parametrize("shape", ["json", "yaml"])
def test_a_metric_that_is_no_number(twins: MakeTwins, project: MakeProject, shape: str) -> None:
    value = (
        '{"a": NaN, "b": "text", "c": true, "d": 1e400}'
        if shape == "json"
        else "a: .nan\nb: text\nd: .inf\n"
    )
    pair = twins(
        project(
            {
                f"in.{shape}": value,
                "dvc.yaml": f"stages:\n  one:\n    cmd: cp in.{shape} m.{shape}\n    deps: [in.{shape}]\n    metrics:\n    - m.{shape}:\n        cache: false\n",
            }
        )
    )
    pair.run("-n", "first")
    pair.agree_on_refs()
    theirs = pair.look.dvc("exp", "show", "--csv", cwd=pair.nbexp_side).stdout
    assert pair.look.nbexp("show", "--csv", cwd=pair.nbexp_side).stdout == theirs
    # Strict JSON has no NaN: where DVC writes one, nbexp writes null.
    table = json.loads(pair.look.nbexp("show", "--json", cwd=pair.nbexp_side).stdout)
    assert table[0]["data"]["metrics"][f"m.{shape}"]["data"]["a"] is None
