"""`stage add` and `stage list`: the same lines to both tools leave the same files and say the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Twins

FILES = {
    "params.yaml": "lr: 0.1\nnet: {depth: 2}\n",
    "raw.csv": "a\n1\n",
    "sub/in.txt": "in\n",
    "models/dvc.yaml": "stages:\n  fit:\n    desc: |-\n\n      fits it\n      in two lines\n    cmd: echo\n"
    "  each:\n    foreach: [us, uk]\n    do:\n      cmd: echo ${item}\n      deps: [x.txt]\n      params: [a]\n",
}

# Each with all that is new to it; together every option there is.
ADDED = [
    ["-n", "all-options", "-d", "./sub//in.txt", "-d", "raw.csv", "-o", "sub/../o.txt", "-p", "lr,net.depth",
     "-p", "other.yaml:", "-p", "o2.yaml:x,,y", "-p", "z.json:q", "-p", "z.json:b", "--desc", "some: text",
     "--always-changed", "-m", "m.json", "-M", "n.json", "--plots", "p.csv", "--plots-no-cache", "q.csv",
     "--outs-persist", "op", "--outs-persist-no-cache", "opn", "-O", "onc", "python", "a b", 'c"d', "", "$(x)"],
    ["--name", "in_sub", "--wdir", "sub", "--deps", "in.txt", "--outs", "made.txt", "cat in.txt > made.txt"],
    ["-n", "block", "-p", "lr", "--metrics", "k.json", "--metrics-no-cache", "l.json", "echo a\necho b\n"],
    ["-n", "folded", "-O", "f.txt", "echo " + "a-long-word " * 10],
    ["-n", "braces", "-d", "raw.csv", "-o", "odd name#1.txt", "echo \\${HOME} ${lr} {a: b}"],
    ["-n", "nowhere", "-o", "not-there/x.txt", "echo"],
    ["-n", "right-here", "-w", "./", "-o", "here.txt", "echo"],
]  # fmt: skip


def left(look: Look, pair: Twins) -> tuple[dict[str, object], dict[str, object]]:
    one, other = (look.files(side) for side in pair.sides)
    return dict(one), dict(other)


def test_added_stages_are_written_to_the_byte(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    pair = twins(project(FILES))
    for words in ADDED:
        look.dvc("stage", "add", "--quiet", *words, cwd=pair.dvc_side)
        look.nbexp("stage", "add", *words, cwd=pair.nbexp_side)
        theirs, ours = left(look, pair)
        assert ours == theirs, words
    assert "stages:" in (pair.nbexp_side / "dvc.yaml").read_text()
    # From a directory below, into a file of its own.
    words = ["-n", "here", "-w", "..", "-d", "raw.csv", "-o", "there.txt", "cp raw.csv there.txt"]
    look.dvc("stage", "add", "--quiet", *words, cwd=pair.dvc_side / "sub")
    look.nbexp("stage", "add", *words, cwd=pair.nbexp_side / "sub")
    theirs, ours = left(look, pair)
    assert ours == theirs


def test_an_added_stage_may_be_run_at_once(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    pair = twins(project(FILES))
    words = ["-n", "clean", "-d", "raw.csv", "-o", "clean.csv", "-M", "m.json", "--run"]
    command = "cp raw.csv clean.csv; echo '{}' > m.json"
    look.dvc("stage", "add", *words, command, cwd=pair.dvc_side)
    look.nbexp("stage", "add", *words, command, cwd=pair.nbexp_side)
    pair.agree_on_files()
    pair.agree_on_cache()
    assert "clean" not in pair.agree_on_status()
    assert (pair.nbexp_side / "clean.csv").read_text() == "a\n1\n"


def test_a_replaced_stage_keeps_what_no_option_says(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    text = """\
# of the file
stages:
  train:   # of the stage
    cmd: old
    outs:
    - a.txt:
        desc: kept
        push: false
    - b.txt
    desc: what it is for
    meta: {owner: ada}
  other:
    cmd: other   # of another
"""
    pair = twins(project({**FILES, "dvc.yaml": text}))
    for words in (
        ["-n", "train", "-f", "-d", "raw.csv", "-o", "a.txt", "-o", "c.txt", "new"],
        ["-n", "train", "--force", "-w", "sub", "newer"],
    ):
        look.dvc("stage", "add", "--quiet", *words, cwd=pair.dvc_side)
        look.nbexp("stage", "add", *words, cwd=pair.nbexp_side)
        theirs, ours = left(look, pair)
        assert ours == theirs
    assert "# of another" in (pair.nbexp_side / "dvc.yaml").read_text()


def test_what_one_refuses_the_other_refuses(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    pair = twins(project({**FILES, "dvc.yaml": "stages:\n  a: {cmd: x, deps: [d], outs: [o]}\n"}))
    before = look.files(pair.nbexp_side)
    for words in (
        ["-n", "a", "x"],
        ["-n", "b", "-o", "o", "x"],
        ["-n", "b", "-o", "o/deep", "x"],
        ["-n", "b", "-d", "o", "-o", "d", "x"],
        ["-n", "b", "-d", "e", "-o", "e", "x"],
        ["-n", "b", "-d", "e", "-d", "./e", "x"],
        ["-n", "b.c", "x"],
        ["-n", "b", "-w", "nowhere", "x"],
        ["-n", "b", "-o", "raw.csv", "x"],
        ["-n", "b"],
    ):
        look.dvc("stage", "add", "--quiet", *words, cwd=pair.dvc_side, code=255)
        look.nbexp("stage", "add", *words, cwd=pair.nbexp_side, code=2)
        assert look.files(pair.nbexp_side) == before, words


def test_an_added_stage_is_staged_where_that_is_set(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    pair = twins(project({**FILES, ".dvc/config": "[core]\n    autostage = true\n"}))
    words = ["-n", "made", "-d", "raw.csv", "-o", "sub/made.txt", "cp raw.csv sub/made.txt"]
    look.dvc("stage", "add", "--quiet", *words, cwd=pair.dvc_side)
    said = look.nbexp("stage", "add", *words, cwd=pair.nbexp_side).stdout
    assert said == "Added stage 'made' in 'dvc.yaml'\n"
    for side in pair.sides:
        assert look.git("status", "--porcelain", cwd=side) == "A  dvc.yaml\nA  sub/.gitignore"


def listed(text: str) -> list[tuple[str, str]]:
    """Name and description of each line, however wide the columns are."""
    return [
        (name, rest.strip())
        for line in text.splitlines()
        for name, _, rest in [line.partition("  ")]
    ]


def test_stages_are_listed_in_dvcs_words(
    twins: MakeTwins, project: MakeProject, look: Look
) -> None:
    root = project(
        {
            **FILES,
            "dvc.yaml": "stages:\n"
            "  a: {cmd: x, deps: [raw.csv], params: [lr, {o.yaml: [b]}]}\n"
            "  b: {cmd: x, outs: [b1, b2], metrics: [m.json], plots: [p.csv]}\n"
            "  c: {cmd: x}\n"
            f"  d: {{cmd: x, outs: [{', '.join(f'a-rather-long-name-{n}.txt' for n in range(9))}]}}\n"
            "  m:\n    matrix: {x: [1, 2]}\n    cmd: y ${item.x}\n",
            "data.dvc": "outs:\n- md5: 0cc175b9c0f1b6a831c399e269772661\n  size: 1\n  hash: md5\n  path: data\n",
        }
    )
    for words in (
        [],
        ["--all"],
        ["--name-only"],
        ["--all", "--names-only"],
        ["b", "m", "m@2", "a"],
        ["models/dvc.yaml", "models/dvc.yaml:each"],
        ["-R", "models"],
        ["data.dvc"],
        ["--fail", "dvc.yaml"],
    ):
        theirs = look.dvc("stage", "list", *words, cwd=root).stdout
        ours = look.nbexp("stage", "list", *words, cwd=root).stdout
        assert sorted(listed(ours)) == sorted(listed(theirs)), words
        if "--all" not in words and "-R" not in words:
            assert listed(ours) == listed(theirs)
    look.dvc("stage", "list", "nope", cwd=root, code=255)
    look.nbexp("stage", "list", "nope", cwd=root, code=3)
    inside = look.nbexp("stage", "list", "--all", cwd=root / "models").stdout
    assert sorted(listed(inside)) == sorted(
        listed(look.dvc("stage", "list", "--all", cwd=root / "models").stdout)
    )


def test_the_files_of_a_folder_are_listed_before_those_below_it(
    project: MakeProject, look: Look
) -> None:
    """Of folders side by side the file system says which is first, to DVC; so there are none here."""
    stages = "stages: {z: {cmd: x}, a: {cmd: x}}\n"
    root = project({f"{folder}dvc.yaml": stages for folder in ("", "b/", "b/a/", "b/a/c/")})
    for words in (["--all"], ["-R", "."], ["-R", "b"], ["-R", "b/a"]):
        theirs = look.dvc("stage", "list", "--name-only", *words, cwd=root).stdout
        ours = look.nbexp("stage", "list", "--name-only", *words, cwd=root).stdout
        assert ours.split() == theirs.split(), words
        assert "b/a/dvc.yaml:z" in ours


def test_a_broken_file_elsewhere_hides_its_own_stages_alone(
    project: MakeProject, look: Look
) -> None:
    root = project(
        {**FILES, "dvc.yaml": "stages: {a: {cmd: x}}\n", "broken/dvc.yaml": "stages: 3\n"}
    )
    shutil.rmtree(root / "models")
    for program in (look.dvc, look.nbexp):
        assert listed(program("stage", "list", "--all", cwd=root).stdout) == [
            ("a", "No outputs or dependencies")
        ]
    look.dvc("stage", "list", "--all", "--fail", cwd=root, code=255)
    look.nbexp("stage", "list", "--all", "--fail", cwd=root, code=3)
    refused = look.nbexp("stage", "list", "broken/dvc.yaml", cwd=root, code=3)
    assert refused.stderr.startswith("broken/dvc.yaml, line 1: `stages` is a number (3)")
    assert Path(root, "dvc.yaml").is_file()
