"""What users get wrong: one line and a hint, the exit code, and every byte as it was before.

Each case is a project, what is wrong with it, what was typed, and the whole text that comes of it.
`{root}` stands for the project's folder.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nbexp import cli

PIPELINE = """\
stages:
  train:
    cmd: cp data.csv model.txt
    deps: [data.csv]
    params: [lr, net.depth]
    outs: [model.txt]
"""
FILES: dict[str, str | bytes | None] = {
    ".dvc/config": "",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "",
    "dvc.yaml": PIPELINE,
    "params.yaml": "lr: 0.1  # by hand\nnet:\n  depth: 2\n",
    "data.csv": "1,2\n",
}
CELLS = ["lr = 0.1\nepochs = 2", "print(lr)"]


def notebook(*cells: str, tagged: bool = True, kernel: str = "python3") -> str:
    made = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["parameters"]} if tagged and not number else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


NOTEBOOK: dict[str, str | bytes | None] = {
    "dvc.yaml": "stages:\n  train:\n    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train\n"
    "    deps: [train.ipynb]\n    params: [train]\n    outs: [runs/train.ipynb]\n",
    "params.yaml": "train: {lr: 0.1, epochs: 2}\n",
    "train.ipynb": notebook(*CELLS),
}


@dataclass(frozen=True)
class Case:
    """`files` are laid over the plain project (None: not there); `then` is done after the commit."""

    name: str
    argv: str
    text: str
    code: int = 3
    files: dict[str, str | bytes | None] = field(default_factory=dict)
    then: Callable[[Path], object] | None = None
    out: str = ""


def stage(**changes: str) -> str:
    """The pipeline with keys of its stage replaced."""
    text = PIPELINE
    for key, value in changes.items():
        lines = [line for line in text.splitlines() if line.startswith(f"    {key}:")]
        text = text.replace(lines[0], f"    {key}: {value}") if lines else text
        text = text if lines else f"{text}    {key}: {value}\n"
    return text


def mend(path: str, line: int | None = None) -> str:
    place = path if line is None else f"line {line} of {path}"
    return f"Hint: correct {place}; `git diff {path}` shows what changed since the last commit."


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in itertools.pairwise("abcdefghi")
)
"""Nine lines that come to 400 million values."""


def elsewhere(root: Path) -> None:
    """A folder outside of the project, with somebody's file in it, and a link that leads there."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "model.txt").write_text("precious\n")
    (root / "link").symlink_to(outside)


BEHIND = (
    "dvc.yaml, line 2: the output `{}` of stage `train` lies behind a symbolic link that leads out of the "
    "project. Nothing was run.\n"
    "Hint: put a folder in the place of the link, or correct outs of `train`."
)

# What no verb that looks at the pipeline takes: files, what is said, and what is done after the commit.
HOSTILE: dict[str, tuple[dict[str, str | bytes | None], str]] = {
    "a YAML bomb": (
        {"dvc.yaml": f"vars:\n- {BOMB.replace(chr(10), chr(10) + '  ')}\n{PIPELINE}"},
        "dvc.yaml, line 7: the file holds more than 100,000 values, those behind aliases counted.\n"
        + mend("dvc.yaml", 7),
    ),
    "a bomb of params": (
        {"params.yaml": BOMB},
        "params.yaml, line 6: the file holds more than 100,000 values, those behind aliases counted.\n"
        + mend("params.yaml", 6),
    ),
    "a bomb for a dvc.lock": (
        {"dvc.lock": f"schema: '2.0'\n{BOMB}"},
        "dvc.lock, line 8: the file holds more than 1,000,000 values, those behind aliases counted.\n"
        + mend("dvc.lock", 8),
    ),
    "an alias of itself": (
        {"dvc.yaml": "stages: &s\n  a: *s\n"},
        "dvc.yaml, line 2: this is not valid YAML: `*s` has no `&s` before it.\n" + mend("dvc.yaml", 2),
    ),
    "a list of a hundred thousand levels": (
        {"dvc.yaml": "stages: " + "[" * 100_000},
        "dvc.yaml, line 1: values are nested deeper than 100 levels.\n" + mend("dvc.yaml", 1),
    ),
    "a stage that is there twice": (
        {"dvc.yaml": "stages:\n  a: {cmd: x}\n  a: {cmd: y}\n"},
        "dvc.yaml, line 3: this is not valid YAML: the key `a` is there twice.\n" + mend("dvc.yaml", 3),
    ),
    "an output in another's": (
        {"dvc.yaml": "stages:\n  a: {cmd: x, outs: [d]}\n  b: {cmd: x, outs: [d/e]}\n"},
        (
            "dvc.yaml, line 3: the output `d/e` of stage `b` and the output `d` of stage `a` overlap; an output "
            "belongs to one stage.\n"
            "Hint: take it out of the outs of one of them, or have it write elsewhere."
        ),
    ),
    "an output that a .dvc file has": (
        {
            "d.dvc": f"outs:\n- path: d\n  md5: {'0' * 32}\n",
            "dvc.yaml": "stages:\n  a: {cmd: x, outs: [d]}\n",
        },
        (
            "dvc.yaml, line 2: d.dvc and stage `a` both have the output `d`; an output belongs to one stage.\n"
            "Hint: take it out of the outs of one of them, or have it write elsewhere."
        ),
    ),
    "an output that is the project": (
        {"dvc.yaml": "stages:\n  a:\n    cmd: x\n    wdir: sub\n    outs: [..]\n", "sub/x": ""},
        (
            "dvc.yaml, line 2: the output `..` of stage `a` holds dvc.yaml itself.\n"
            "Hint: write to a folder of its own."
        ),
    ),
    **{
        f"an output that is {what}": (
            {"dvc.yaml": stage(outs=f"[{path}]")},
            f"dvc.yaml, line 6: `{path}` in `outs` of stage `train` {why}\n" + mend("dvc.yaml", 6),
        )
        for what, path, why in (
            ("an absolute path", "/etc/model.txt", "is an absolute path; a path inside the project is expected."),
            ("above the project", "a/../../x", "leads out of the project; a path inside the project is expected."),
            ("in .git", ".git/config", "is in .git, which is not for stages."),
            ("in .dvc", ".dvc/config", "is in .dvc, which is not for stages."),
        )
    },
    "an output of no name": (
        {"dvc.yaml": stage(outs='[""]')},
        (
            "dvc.yaml, line 6: `` in `outs` of stage `train` is empty; a path inside the project is expected.\n"
            + mend("dvc.yaml", 6)
        ),
    ),
    "an output of two lines": (
        {"dvc.yaml": stage(outs='["a\\nb"]')},
        (
            "dvc.yaml, line 6: `a\\nb` in `outs` of stage `train` has a control character in it.\n"
            + mend("dvc.yaml", 6)
        ),
    ),
    "a dep that is the disk": (
        {"dvc.yaml": stage(deps="[/]")},
        "dvc.yaml, line 4: `/` in `deps` of stage `train` is an absolute path; a path inside "
        "the project is expected.\n" + mend("dvc.yaml", 4),
    ),
    "a dep that the project lies in": (
        {"dvc.yaml": stage(deps="[..]")},
        "dvc.yaml, line 4: `..` in `deps` of stage `train` leads out of the project; a path inside the "
        "project is expected.\n" + mend("dvc.yaml", 4),
    ),
    "a stage that a group makes as well": (
        {
            "dvc.yaml": "stages:\n  train@1:\n    cmd: echo\n  train:\n    foreach: [1, 2]\n    do:\n"
            "      cmd: echo ${item}\n"
        },
        "dvc.yaml, line 4: two entries make a stage `train@1`.\nHint: give one of them another name.",
    ),
    "a wdir outside": (
        {"dvc.yaml": stage(wdir="..")},
        "dvc.yaml, line 7: `..` in `wdir` of stage `train` leads out of the project; a path inside the "
        "project is expected.\n" + mend("dvc.yaml", 7),
    ),
}  # fmt: skip

RUNNING = ("run", "repro", "status", "plan")
LOOKING = ("dag", "why train", "data status")
"""What looks at dvc.yaml and `.dvc` files alone, not at params, nor all at dvc.lock."""

CASES = [
    # --- stages without an experiment, several at once
    Case(
        "repro of an unknown stage",
        "repro trian",
        "There is no stage `trian`. Nothing was run.\nHint: did you mean `train`?",
    ),
    Case(
        "repro of a pattern like nothing",
        "repro --glob x*",
        "There is no stage like `x*`. Nothing was run.\nHint: stages: train.",
    ),
    Case(
        "repro of stages in a circle",
        "repro",
        "dvc.yaml, line 2: the stages `a` -> `b` -> `a` need each other in a circle.\n"
        "Hint: take one of these deps out of dvc.yaml.",
        files={
            "dvc.yaml": "stages:\n  a: {cmd: x, deps: [b.txt], outs: [a.txt]}\n"
            "  b: {cmd: x, deps: [a.txt], outs: [b.txt]}\n"
        },
    ),
    Case(
        "repro without a dep",
        "repro -j 2",
        "Dep `data.csv` of stage `train` does not exist. Nothing was run.\n"
        "Hint: create it, or correct deps in dvc.yaml.",
        files={"data.csv": None},
    ),
    Case(
        "no stages at once",
        "run -j 0",
        "Argument -j/--jobs: `0` is no number above 0. Nothing was done.\n"
        "Hint: `nbexp run -h` has the options.",
        code=2,
    ),
    Case(
        "a number of stages that is none",
        "repro -j many",
        "Argument -j/--jobs: `many` is no number above 0. Nothing was done.\n"
        "Hint: `nbexp repro -h` has the options.",
        code=2,
    ),
    Case(
        "nobody to ask",
        "run -i",
        "`-i` asks before each stage, and there is no terminal to ask on. Nothing was run.\n"
        "Hint: `nbexp run --dry` says what would run.",
        code=2,
    ),
    Case(
        "resources that are no amount",
        "repro",
        "dvc.yaml, line 2: resources of stage `train`: mem is 'lots'; a number above 0 or a size such as 4GB "
        f"is expected.\n{mend('dvc.yaml', 2)}",
        files={"dvc.yaml": stage(meta="{nbexp: {resources: {mem: lots}}}")},
    ),
    Case(
        "resources that are no mapping",
        "repro",
        "dvc.yaml, line 2: resources of stage `train` are ['gpu']; a mapping such as {gpu: 1} is expected.\n"
        f"{mend('dvc.yaml', 2)}",
        files={"dvc.yaml": stage(meta="{nbexp: {resources: [gpu]}}")},
    ),
    Case(
        "more resources than there are",
        "run",
        "dvc.yaml, line 2: stage `train` needs gpu: 2, which is more than there is.\n"
        "Hint: lower it, or raise `gpu` below `[resources]` in nbexp.toml.",
        files={
            "dvc.yaml": stage(meta="{nbexp: {resources: {gpu: 2}}}"),
            "nbexp.toml": "[resources]\ngpu = 1\n",
        },
    ),
    Case(
        "a total that is no amount",
        "repro",
        "nbexp.toml: `resources`: gpu is -1; a number above 0 or a size such as 4GB is expected.\n"
        f"{mend('nbexp.toml')}",
        files={"nbexp.toml": "[resources]\ngpu = -1\n"},
    ),
    *[
        Case(f"{name} to {verb}", verb, text, files=files)
        for name, (files, text) in HOSTILE.items()
        for verb in (
            *RUNNING,
            *(LOOKING if "bomb of" not in name and "bomb for" not in name else ()),
        )
    ],
    *[
        Case(
            f"an output behind a link to {verb}",
            verb,
            BEHIND.format("link/model.txt"),
            files={"dvc.yaml": stage(outs=f"[{out}]")},
            then=elsewhere,
        )
        for verb in ("run", "repro")
        for out in (
            "link/model.txt",
            "link/model.txt: {cache: false}",
            "link/model.txt: {persist: true}",
        )
    ],
    *[
        Case(
            f"a wdir behind a link to {verb}",
            verb,
            BEHIND.format("model.txt"),
            files={
                "dvc.yaml": "stages:\n  train:\n    cmd: echo > model.txt\n    wdir: link\n    outs: [model.txt]\n"
            },
            then=elsewhere,
        )
        for verb in ("run", "repro")
    ],
    # --- The run cache
    Case(
        "an unknown run",
        "cache show beef",
        "The run cache has no run `beef`.\nHint: `nbexp cache` lists them, each with its key.",
    ),
    Case(
        "an unknown run to restore",
        "cache restore ../../etc",
        "The run cache has no run `../../etc`.\nHint: `nbexp cache` lists them, each with its key.",
    ),
    Case(
        "an unknown run to promote",
        "cache promote beef -n late",
        "The run cache has no run `beef`.\nHint: `nbexp cache` lists them, each with its key.",
    ),
    Case(
        "no run",
        "cache show",
        "The following arguments are required: KEY. Nothing was done.\n"
        "Hint: `nbexp cache show -h` has the options.",
        code=2,
    ),
    Case(
        "an unknown word of a family",
        "cache shwo",
        "There is no command `cache shwo`.\nHint: did you mean `nbexp cache show`?",
        code=2,
    ),
    Case(
        "a condition that is none",
        "cache list --params lr",
        "`lr` is no condition on a param.\nHint: for example `--params 'lr>0.01'`, or `epochs=3`.",
        code=2,
    ),
    Case(
        "a time that is none",
        "cache --since soon",
        "`soon` is no time.\nHint: `--since 2h`, `3d`, or a date: `--since 2026-11-20`.",
        code=2,
    ),
    Case(
        "an unknown stage of runs",
        "cache --stage trian",
        "Nothing knows of a stage `trian`.\nHint: did you mean `train`?",
    ),
    # --- dvc.yaml
    Case(
        "no pipeline",
        "run",
        "There is no dvc.yaml and so no pipeline to run.\n"
        "Hint: `nbexp init train.ipynb` makes one of a notebook.",
        files={"dvc.yaml": None},
    ),
    Case(
        "yaml that does not parse",
        "run",
        "dvc.yaml, line 5: this is not valid YAML: did not find expected ',' or ']'.\n"
        + mend("dvc.yaml", 5),
        files={"dvc.yaml": PIPELINE.replace("[data.csv]", "[data.csv")},
    ),
    Case(
        "tabs",
        "run",
        "dvc.yaml, line 2: this is not valid YAML: found character that cannot start any token.\n"
        + mend("dvc.yaml", 2),
        files={"dvc.yaml": "stages:\n\ttrain:\n"},
    ),
    Case(
        "not text",
        "run",
        "dvc.yaml, line 2: this is not UTF-8 text.\n" + mend("dvc.yaml", 2),
        files={"dvc.yaml": b"stages:\n  tr\xe4in:\n    cmd: x\n"},
    ),
    Case(
        "a list",
        "run",
        "dvc.yaml: this file is a list; a mapping is expected.\n" + mend("dvc.yaml"),
        files={"dvc.yaml": "- train\n"},
    ),
    Case(
        "a number for deps",
        "run",
        "dvc.yaml, line 4: `deps` of stage `train` is a number (3); a list of paths is expected.\n"
        + mend("dvc.yaml", 4),
        files={"dvc.yaml": stage(deps="3")},
    ),
    Case(
        "no command",
        "run",
        "dvc.yaml, line 2: stage `train` has no `cmd`.\n" + mend("dvc.yaml", 2),
        files={"dvc.yaml": "stages:\n  train:\n    deps: [data.csv]\n"},
    ),
    Case(
        "a key that is none",
        "run",
        "dvc.yaml, line 7: `dep` is no key of stage `train`.\nHint: did you mean `deps`?",
        files={"dvc.yaml": stage(dep="[x]")},
    ),
    Case(
        "marks of a merge",
        "run",
        "dvc.yaml, line 1: this file has the conflict marks of a Git merge.\n"
        "Hint: resolve them, or keep this branch's file: `git checkout --ours dvc.yaml`.",
        files={"dvc.yaml": f"<<<<<<< HEAD\n{PIPELINE}=======\n{PIPELINE}>>>>>>> other\n"},
    ),
    Case(
        "a circle",
        "run",
        "dvc.yaml, line 2: the stages `a` -> `b` -> `a` need each other in a circle.\n"
        "Hint: take one of these deps out of dvc.yaml.",
        files={
            "dvc.yaml": "stages:\n  a: {cmd: x, deps: [b.txt], outs: [a.txt]}\n"
            "  b: {cmd: x, deps: [a.txt], outs: [b.txt]}\n"
        },
    ),
    Case(
        "a stage that needs itself",
        "run",
        "dvc.yaml, line 2: stage `a` has `a.txt` as an output and as a dep.\n"
        "Hint: take it out of one of the two in dvc.yaml.",
        files={"dvc.yaml": "stages:\n  a: {cmd: x, deps: [a.txt], outs: [a.txt]}\n"},
    ),
    Case(
        "two stages with one output",
        "run",
        "dvc.yaml, line 3: stages `a` and `b` both have the output `o.txt`; an output belongs to one "
        "stage.\nHint: take it out of the outs of one of them, or have it write elsewhere.",
        files={"dvc.yaml": "stages:\n  a: {cmd: x, outs: [o.txt]}\n  b: {cmd: x, outs: [o.txt]}\n"},
    ),
    Case(
        "an output outside of the project",
        "run",
        "dvc.yaml, line 6: `../model.txt` in `outs` of stage `train` leads out of the project; a path "
        "inside the project is expected.\n" + mend("dvc.yaml", 6),
        files={"dvc.yaml": stage(outs="[../model.txt]")},
    ),
    # --- Templates
    Case(
        "a template that names nothing",
        "run",
        "dvc.yaml, line 3: `cmd` of stage `train` has `${net.dpth}`, and there is no `net.dpth` in "
        "params.yaml.\nHint: did you mean `${net.depth}`?",
        files={"dvc.yaml": stage(cmd="echo ${net.dpth}")},
    ),
    Case(
        "a variable of the shell",
        "run",
        "dvc.yaml, line 3: `cmd` of stage `train` has `${HOME}`, and there is no `HOME` in params.yaml.\n"
        "Hint: for a variable of the shell write `\\${HOME}`.",
        files={"dvc.yaml": stage(cmd="echo ${HOME}")},
    ),
    Case(
        "a template of a list",
        "run",
        "dvc.yaml, line 3: `cmd` of stage `a` has `${l}`, which is a list; text or a number can stand "
        "here.\nHint: name one of its values: `${train.lr}`, `${models[0]}`.",
        files={"dvc.yaml": "stages:\n  a:\n    cmd: echo ${l}\n", "params.yaml": "l: [1, 2]\n"},
    ),
    Case(
        "a template that is none",
        "run",
        "dvc.yaml, line 3: `cmd` of stage `a` has `${a..b}`, which is no template.\n"
        "Hint: names are like `${train.lr}` or `${models[0]}`; for the shell's own write `\\${a..b}`.",
        files={"dvc.yaml": "stages:\n  a:\n    cmd: echo ${a..b}\n"},
    ),
    Case(
        "foreach over text",
        "run",
        "dvc.yaml, line 3: `foreach` of stage `a` is neither a list nor a mapping.\n"
        + mend("dvc.yaml", 3),
        files={"dvc.yaml": "stages:\n  a:\n    foreach: us\n    do:\n      cmd: echo ${item}\n"},
    ),
    Case(
        "foreach without do",
        "run",
        "dvc.yaml, line 2: stage `a` has no `do`.\n" + mend("dvc.yaml", 2),
        files={"dvc.yaml": "stages:\n  a:\n    foreach: [us]\n"},
    ),
    Case(
        "foreach beside cmd",
        "run",
        "dvc.yaml, line 5: `cmd` is no key of stage `a`, which has `foreach`.\nHint: keys: do, foreach.",
        files={"dvc.yaml": "stages:\n  a:\n    foreach: [us]\n    do: {cmd: x}\n    cmd: y\n"},
    ),
    Case(
        "a key of an item that is not there",
        "run",
        "dvc.yaml, line 5: `cmd` of stage `a@0` has `${item.deph}`, and there is no `item.deph`.\n"
        "Hint: did you mean `${item.depth}`?",
        files={
            "dvc.yaml": "stages:\n  a:\n    foreach: [{depth: 2}]\n    do:\n      cmd: echo ${item.deph}\n",
            "params.yaml": None,
        },
    ),
    Case(
        "a matrix of a word",
        "run",
        "dvc.yaml, line 3: `matrix` of stage `a` has an axis `x`, which is no list.\n"
        + mend("dvc.yaml", 3),
        files={"dvc.yaml": "stages:\n  a:\n    matrix: {x: abc}\n    cmd: echo ${item.x}\n"},
    ),
    Case(
        "a matrix of far too much",
        "run",
        "dvc.yaml, line 3: `matrix` of stage `a` makes 1,000,000,000,000 stages; 10,000 are taken.\n"
        + mend("dvc.yaml", 3),
        files={
            "dvc.yaml": "stages:\n  a:\n    matrix: {a: &l [1,2,3,4,5,6,7,8,9,0], b: *l, c: *l, d: *l, "
            "e: *l, f: *l, g: *l, h: *l, i: *l, j: *l, k: *l, l: *l}\n    cmd: echo ${key}\n"
        },
    ),
    Case(
        "vars of a file that is not there",
        "run",
        "dvc.yaml, line 2: item 1 of `vars` names x.yaml, and there is no such file.\n"
        + mend("dvc.yaml", 2),
        files={"dvc.yaml": "vars:\n- x.yaml\nstages: {}\n"},
    ),
    Case(
        "vars out of the project",
        "run",
        "dvc.yaml, line 1: item 1 of `vars` names `../x.yaml`, which leads out of the project.\n"
        + mend("dvc.yaml", 1),
        files={"dvc.yaml": "vars: [../x.yaml]\nstages: {}\n"},
    ),
    Case(
        "vars that set what is set",
        "run",
        "dvc.yaml, line 3: item 2 of `vars` sets `net.depth`, which params.yaml sets already.\n"
        "Hint: a value is set in one place; give one of the two another name.",
        files={"dvc.yaml": "vars:\n- {a: 1}\n- {net: {depth: 3}}\nstages: {}\n"},
    ),
    Case(
        "vars with a template",
        "run",
        "dvc.yaml, line 1: item 1 of `vars` has a template; `vars` are what templates name, and take none.\n"
        + mend("dvc.yaml", 1),
        files={"dvc.yaml": "vars: [{a: '${lr}'}]\nstages: {}\n"},
    ),
    Case(
        "a part of a file that is loaded",
        "run",
        "dvc.yaml, line 1: item 1 of `vars` loads parts of params.yaml, which is loaded as a whole.\n"
        "Hint: take `params.yaml:net` out; what is in params.yaml may be named already.",
        files={"dvc.yaml": "vars: ['params.yaml:net']\nstages: {}\n"},
    ),
    Case(
        "a part of a file that it has not",
        "run",
        "dvc.yaml, line 1: item 1 of `vars` names `modles` of m.json, and there is no such key.\n"
        "Hint: did you mean `m.json:models`?",
        files={"dvc.yaml": "vars: ['m.json:modles']\nstages: {}\n", "m.json": '{"models": 1}\n'},
    ),
    Case(
        "params that templates cannot be filled in from",
        "run",
        "params.yaml, line 2: this is not valid YAML: did not find expected ',' or ']'.\n"
        + mend("params.yaml", 2),
        files={"dvc.yaml": stage(cmd="echo ${a}"), "params.yaml": "a: [1\n"},
    ),
    # --- What stages read
    Case(
        "a missing dep",
        "run",
        "Dep `dat.csv` of stage `train` does not exist. Nothing was run.\n"
        "Hint: did you mean `data.csv`?",
        files={"dvc.yaml": stage(deps="[dat.csv]")},
    ),
    Case(
        "a dep that is a link to itself",
        "run",
        "Dep `loop` of stage `train` does not exist. Nothing was run.\n"
        "Hint: create it, or correct deps in dvc.yaml.",
        files={"dvc.yaml": stage(deps="[loop]")},
        then=lambda root: (root / "loop").symlink_to("loop"),
    ),
    Case(
        "a dep that is neither file nor directory",
        "run",
        "Dep `pipe` of stage `train` is neither a file nor a directory. Nothing was run.\n"
        "Hint: create it, or correct deps in dvc.yaml.",
        files={"dvc.yaml": stage(deps="[pipe]")},
        then=lambda root: os.mkfifo(root / "pipe"),
    ),
    Case(
        "a missing wdir",
        "run",
        "The wdir `src` of stage `train` is no directory. Nothing was run.\n"
        "Hint: create it, or correct wdir in dvc.yaml.",
        files={"dvc.yaml": stage(wdir="src")},
    ),
    Case(
        "a missing params file",
        "run",
        "Params file `params.yaml` of stage `train` does not exist. Nothing was run.\n"
        "Hint: create it, or correct params in dvc.yaml.",
        files={"params.yaml": None},
    ),
    Case(
        "a param that the file lacks",
        "run",
        "No param `net.dept` in params.yaml, which stage `train` reads. Nothing was run.\n"
        "Hint: did you mean `net.depth`?",
        files={"dvc.yaml": stage(params="[net.dept]")},
    ),
    Case(
        "a params file that does not parse",
        "run",
        "params.yaml, line 2: this is not valid YAML: did not find expected ',' or ']'.\n"
        + mend("params.yaml", 2),
        files={"params.yaml": "lr: [1\nnet: 2\n"},
    ),
    Case(
        "a params file that does not parse, to be changed",
        "run -S lr=1",
        "params.yaml, line 2: this is not valid YAML: did not find expected ',' or ']'.\n"
        + mend("params.yaml", 2),
        files={"params.yaml": "lr: [1\nnet: 2\n"},
    ),
    # --- What is typed after -S
    Case(
        "an unknown param",
        "run -S net.dept=3",
        "No param `net.dept` in params.yaml. Nothing was run.\n"
        "Hint: did you mean `net.depth`? A new param is added with a plus: "
        "`nbexp run -S +net.dept=3`.",
    ),
    Case(
        "a param below a value",
        "run -S lr.x=1",
        "No param `lr.x` in params.yaml. Nothing was run.\n"
        "Hint: did you mean `lr`? A new param is added with a plus: `nbexp run -S +lr.x=1`.",
    ),
    Case(
        "a params file that is not there",
        "run -S conf.json:lr=1",
        "There is no params file conf.json. Nothing was run.\n"
        "Hint: a value of another file is set as `nbexp run -S other.json:key=value`.",
    ),
    Case(
        "no value",
        "run -S lr",
        "`lr` gives `lr` no value. Nothing was run.\nHint: `nbexp run -S lr=VALUE`.",
        code=2,
    ),
    Case(
        "grammar that does not end",
        "run -S lr=[1,2",
        "`lr=[1,2` cannot be read. Nothing was run.\n"
        "Hint: text with grammar in it stands in quotes: `nbexp run -S 'lr=\"[1,2\"'`.",
        code=2,
    ),
    Case(
        "an interval",
        "run -S lr=interval(0.1,1)",
        "`lr=interval(0.1,1)` names an interval; a run takes one value of it. Nothing was run.\n"
        "Hint: `nbexp sweep --random 20 -S 'lr=interval(0.1,1)'` draws some, `--optuna` looks for the best.",
        code=2,
    ),
    # --- Names
    Case(
        "a taken name",
        "run -n one -S lr=1",
        "Experiment `one` already exists on baseline {head}. Nothing was run.\n"
        "Hint: `nbexp run -n one --force` replaces it; without `-n` a fresh name is drawn.",
        then=lambda root: run(root, "run", "-n", "one"),
    ),
    Case(
        "a name taken in other letters",
        "run -n ONE -S lr=1",
        "Experiment `one` already exists on baseline {head}. Nothing was run.\n"
        "Hint: `nbexp run -n one --force` replaces it; without `-n` a fresh name is drawn.",
        then=lambda root: run(root, "run", "-n", "one"),
    ),
    *[
        Case(
            f"the name {name!r}",
            f"run -n {name}",
            f"`{name}` cannot be the name of an experiment: a name has up to 64 letters, digits, `.`, "
            "`_` and `-`, and starts with a letter, a digit or `_`.\n"
            f"Hint: for example `{better}`.",
            code=2,
        )
        for name, better in (
            ("a/b", "a-b"),
            ("a~1", "a-1"),
            (".x", "x"),
            ("..", "low-lr"),
            ("@", "low-lr"),
            ("é", "low-lr"),
            ("a:b", "a-b"),
            ("a^", "a"),
            ("x" * 65, "x" * 60),
        )
    ],
    *[
        Case(
            f"the name {name!r}",
            f"run -n {name}",
            f"`{name}` cannot be the name of an experiment: Git takes no `..` in a name, and no `.` or "
            f"`.lock` at its end.\nHint: for example `{better}`.",
            code=2,
        )
        for name, better in (("x.lock", "x"), ("a..b", "a-b"), ("a.", "a"))
    ],
    *[
        Case(
            f"the name {name!r}",
            f"run -n {name}",
            f"`{name}` cannot be the name of an experiment: it reads like the start of a commit's SHA, "
            f"and Git would take it for one.\nHint: for example `run-{name}`.",
            code=2,
        )
        for name in ("abc1234", "deadbeef", "1234567")
    ],
    Case(
        "the name HEAD",
        "run -n HEAD",
        "`HEAD` cannot be the name of an experiment: Git and DVC use that word themselves.\n"
        "Hint: for example `run-HEAD`.",
        code=2,
    ),
    Case(
        "the name workspace",
        "run -n workspace",
        "`workspace` cannot be the name of an experiment: Git and DVC use that word themselves.\n"
        "Hint: for example `run-workspace`.",
        code=2,
    ),
    # --- Commands, options, targets
    Case(
        "an unknown command",
        "rnu",
        "There is no command `rnu`.\nHint: did you mean `nbexp run`?",
        code=2,
    ),
    Case(
        "an unknown option",
        "run --nmae x",
        "There is no option `--nmae`. Nothing was done.\nHint: did you mean `--name`?",
        code=2,
    ),
    Case(
        "an unknown stage",
        "run trian",
        "There is no stage `trian`. Nothing was run.\nHint: did you mean `train`?",
    ),
    Case(
        "a directory that is not there",
        "run --cd nowhere",
        "There is no directory nowhere. Nothing was done.\n"
        "Hint: `nbexp run --cd DIR` takes one that is there.",
        code=2,
    ),
    Case(
        "a directory without a pipeline",
        "run --cd sub",
        "There is no dvc.yaml here; this project has ../dvc.yaml.\n"
        "Hint: `nbexp run --cd ..` runs the pipeline of that directory.",
        then=lambda root: (root / "sub").mkdir(),
    ),
    *[
        Case(
            f"an unknown experiment to {verb}",
            f"{verb} onee",
            "There is no experiment `onee`.\nHint: did you mean `one`?",
            then=lambda root: run(root, "run", "-n", "one"),
        )
        for verb in ("apply", "open", "remove", "branch", "diff", "plot acc")
    ],
    Case(
        "nothing to undo",
        "undo",
        "There is nothing to undo: no command has changed this workspace.\n"
        "Hint: `nbexp run` and `nbexp apply` make undo points.",
    ),
    Case(
        "an experiment without a notebook",
        "open one",
        "Experiment `one` has no executed notebook.\n"
        "Hint: `nbexp init train.ipynb` makes a stage that writes one.",
        then=lambda root: run(root, "run", "-n", "one"),
    ),
    Case(
        "a metric that nobody logged",
        "plot acc",
        "No experiment here has a plot of `acc`.\n"
        "Hint: log it in training code with `nbexp.live.log(step=step, acc=acc)`.",
        then=lambda root: run(root, "run", "-n", "one"),
    ),
    Case(
        "a branch that is there",
        "branch one main",
        "Branch `main` already exists.\nHint: `nbexp branch one another-name`",
        then=lambda root: run(root, "run", "-n", "one"),
    ),
    Case(
        "a name that is none for a branch",
        "branch one a..b",
        "`a..b` is not a name that Git gives a branch.\nHint: `nbexp branch one better-lr`",
        code=2,
        then=lambda root: run(root, "run", "-n", "one"),
    ),
    # --- Files of DVC and of nbexp
    Case(
        "a bad config",
        "run",
        ".dvc/config, line 1: `[core` is neither a [section] nor `name = value`.\n"
        + mend(".dvc/config", 1),
        files={".dvc/config": "[core\nremote = x\n"},
    ),
    Case(
        "a broken dvc.lock",
        "run",
        "dvc.lock, line 3: this is not valid YAML: did not find expected node content.\n"
        + mend("dvc.lock", 3),
        files={"dvc.lock": "schema: '2.0'\nstages: [\n"},
    ),
    Case(
        "a dvc.lock that is something else",
        "status",
        "dvc.lock: this is no dvc.lock.\n"
        "Hint: `git checkout dvc.lock` gives the committed one back; without the file, every stage "
        "runs once.",
        files={"dvc.lock": "garbage\n"},
    ),
    Case(
        "a setting that does not exist",
        "run",
        "nbexp.toml: there is no setting `hint`.\nHint: did you mean `hints`?",
        files={"nbexp.toml": "hint = false\n"},
    ),
    Case(
        "settings that are no toml",
        "run",
        "nbexp.toml: this is not TOML (Invalid value (at line 1, column 9)).\n"
        + mend("nbexp.toml"),
        files={"nbexp.toml": "hints = maybe\n"},
    ),
    # --- Notebooks
    Case(
        "a notebook that is not there",
        "init trian.ipynb",
        "There is no notebook trian.ipynb in {root}.\nHint: `nbexp init train.ipynb`",
        files={**NOTEBOOK, "dvc.yaml": None},
    ),
    Case(
        "a directory for a notebook",
        "init train.ipynb",
        "There is no notebook train.ipynb in {root}.\nHint: save the notebook here first.",
        files={"dvc.yaml": None, "train.ipynb/x": ""},
    ),
    *[
        Case(
            f"a notebook that is {what}",
            "init train.ipynb",
            f"train.ipynb: this is no notebook ({what}).\n"
            "Hint: open it in JupyterLab, or take the last committed one: `git restore train.ipynb`.",
            files={"dvc.yaml": None, "train.ipynb": data},
        )
        for what, data in {
            "the file is empty": "",
            "not JSON: Expecting value": "not json",
            "not UTF-8": b"\x00\xff",
            "it has no `nbformat`": "{}",
            "it has no list of cells": '{"nbformat": 4, "cells": 3}',
        }.items()
    ],
    Case(
        "a notebook without a parameters cell",
        "init train.ipynb",
        "train.ipynb has no cell tagged `parameters`. Nothing was written.\n"
        "Hint: `nbexp init train.ipynb --untagged` takes lr, epochs of its first code cell.",
        files={"dvc.yaml": None, "train.ipynb": notebook(*CELLS, tagged=False)},
    ),
    Case(
        "a notebook that has no parameters at all",
        "init train.ipynb",
        "train.ipynb has no cell tagged `parameters`. Nothing was written.\n"
        "Hint: put its values in one cell and give it the tag `parameters` (in JupyterLab: the gears at "
        "the top right, Common Tools, Cell Tags).",
        files={"dvc.yaml": None, "train.ipynb": notebook("print(1)", tagged=False)},
    ),
    Case(
        "a parameters cell that is no Python",
        "init train.ipynb",
        "train.ipynb: cell 1, tagged `parameters`, is not valid Python. Nothing was written.\n"
        "Hint: run that cell in JupyterLab: it says where.",
        files={"dvc.yaml": None, "train.ipynb": notebook("lr = = 0.1")},
    ),
    Case(
        "a stage of that name that does something else",
        "init train.ipynb",
        "dvc.yaml: there is a stage `train` already, and it does not run this notebook.\n"
        "Hint: rename the notebook, or the stage.",
        files={"train.ipynb": notebook(*CELLS)},
    ),
    Case(
        "a param where the notebook's parameters belong",
        "init train.ipynb",
        "params.yaml: `train` is 3, but the notebook's parameters belong there.\n"
        "Hint: rename `train` in params.yaml, or the notebook.",
        files={"dvc.yaml": None, "params.yaml": "train: 3\n", "train.ipynb": notebook(*CELLS)},
    ),
    Case(
        "a notebook that broke",
        "run",
        "train.ipynb: this is no notebook (not JSON: Expecting property name enclosed in double "
        "quotes).\n"
        "Hint: open it in JupyterLab, or take the last committed one: `git restore train.ipynb`.",
        files={**NOTEBOOK, "train.ipynb": "{"},
    ),
    Case(
        "a notebook that goes missing",
        "run",
        "Dep `train.ipynb` of stage `train` does not exist. Nothing was run.\n"
        "Hint: create it, or correct deps in dvc.yaml.",
        files={**NOTEBOOK, "train.ipynb": None},
    ),
]


def run(root: Path, *argv: str) -> None:
    """A command that is to succeed, without a word."""
    assert cli.main([*argv, "--quiet", "--cd", str(root)]) == 0


def make(root: Path, git: Callable[..., str], files: dict[str, str | bytes | None]) -> None:
    """A committed project of the plain files with others laid over them."""
    root.mkdir()
    git("init", "--quiet", "--template=", cwd=root)
    write(root, {**FILES, **files})
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=first", cwd=root)


def write(root: Path, files: dict[str, str | bytes | None]) -> None:
    for path, content in files.items():
        if content is None:
            continue
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


def state(root: Path) -> dict[str, object]:
    """Every file of the user's and of Git's, refs, index and reflogs included; objects left out."""
    found: dict[str, object] = {}
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root).as_posix()
        if here == ".git":
            folders.remove("objects")
        if here == ".dvc":
            folders[:] = [name for name in folders if name not in {"tmp", "cache"}]
        for name in (*names, *folders):
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            if path.is_symlink():
                found[key] = os.readlink(path)
            elif path.is_file():
                found[key] = (path.stat().st_mode, path.read_bytes())
            else:
                found[key] = path.stat().st_mode
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_mistake_is_explained_and_changes_nothing(
    case: Case,
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "project"
    make(root, git, case.files)
    if case.then is not None:
        case.then(root)
    monkeypatch.chdir(root)
    capfd.readouterr()
    before = state(root)
    code = cli.main(case.argv.split(" "))
    told = capfd.readouterr()
    head = git("rev-parse", "--short=7", "HEAD", cwd=root)
    one = git("for-each-ref", "--format=%(objectname:short=7)", "refs/exps", cwd=root)
    text = case.text.replace("{root}", str(root)).replace("{head}", head).replace("{one}", one)
    assert told.err == f"{text}\n"
    assert told.out == case.out
    assert code == case.code
    assert state(root) == before


def test_what_lies_behind_a_link_stays_as_it_is(
    tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a stage makes the link itself, and where a link is the output."""
    root = tmp_path / "project"
    outs = "[{link/model.txt: {cache: false}}]"
    make(root, git, {"dvc.yaml": stage(cmd="echo mine > link/model.txt", outs=outs)})
    elsewhere(root)
    monkeypatch.chdir(root)
    assert cli.main(["run"]) == 3
    made = stage(cmd="ln -s ../outside d && cp data.csv d/new.txt", outs="[d]")
    (root / "dvc.yaml").write_text(made)
    assert cli.main(["run", "-n", "one"]) == 0
    (root / "data.csv").write_text("3,4\n")
    assert cli.main(["run", "-n", "two"]) == 0
    assert cli.main(["apply", "one"]) == 0
    assert cli.main(["undo"]) == 0
    outside = root.parent / "outside"
    assert (outside / "model.txt").read_text() == "precious\n"
    assert (outside / "new.txt").read_text() == "3,4\n"  # what the stage itself wrote there last


def test_names_that_begin_with_a_dash_are_names(
    tmp_path: Path, git: Callable[..., str], nbexp_cli: Callable[..., Any], dvc: Callable[..., Any]
) -> None:
    """Files, params files, outputs and stages; to Git and to the shell's programs as well."""
    root = tmp_path / "project"
    make(
        root,
        git,
        {
            "dvc.yaml": "stages:\n  -train:\n    cmd: cp ./--data.csv ./-rf\n    deps: [--data.csv]\n"
            "    params: [{-p.yaml: [lr]}]\n    outs: [-rf]\n    metrics: [{-m.yaml: {cache: false}}]\n".replace(
                "./-rf\n", "./-rf && cp ./-p.yaml ./-m.yaml\n"
            ),
            "-p.yaml": "lr: 1\n",
            "--data.csv": "1\n",
        },
    )
    nbexp_cli("run", "-n", "one", cwd=root)
    nbexp_cli("run", "-n", "two", "--set-param=-p.yaml:lr=2", cwd=root)
    assert (root / "-p.yaml").read_text() == "lr: 2\n"
    nbexp_cli("apply", "one", cwd=root)
    assert (root / "-m.yaml").read_text() == "lr: 1\n"
    nbexp_cli("undo", cwd=root)
    key = json.loads(nbexp_cli("cache", "--stage=-train", "--json", cwd=root).stdout)[1]["key"]
    nbexp_cli("cache", "restore", key, cwd=root)
    assert (root / "-m.yaml").read_text() == "lr: 1\n"
    nbexp_cli("undo", cwd=root)
    assert (
        nbexp_cli("status", "--", "-train", cwd=root).stdout
        == "Data and pipelines are up to date.\n"
    )
    assert json.loads(dvc("status", "--json", cwd=root).stdout) == {}


# --- Where there is no project -------------------------------------------------------------------

VERBS = (
    "run",
    "show",
    "status",
    "list",
    "undo",
    "diff",
    "apply x",
    "open x",
    "plot x",
    "remove x",
    "branch x",
)


@pytest.mark.parametrize("argv", VERBS)
def test_outside_of_git_every_verb_says_so(
    argv: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv.split(" ")) == 3
    assert capsys.readouterr().err == (
        f"{tmp_path} is in no Git repository.\n"
        "Hint: `nbexp init train.ipynb` makes one around a notebook.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", VERBS)
def test_in_a_repository_that_is_no_project_every_verb_says_so(
    argv: str, repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo)
    before = state(repo)
    assert cli.main(argv.split(" ")) == 3
    assert capsys.readouterr().err == (
        f"The repository {repo} is no project yet: it has no .dvc folder.\n"
        "Hint: `nbexp init train.ipynb` makes it one.\n"
    )
    assert state(repo) == before


@pytest.mark.parametrize("argv", ["run", "list", "diff", "plot x"])
def test_before_the_first_commit_there_is_nothing_to_start_from(
    argv: str,
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    git("init", "--quiet", cwd=tmp_path)
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    before = state(tmp_path)
    assert cli.main(argv.split(" ")) == 3
    assert capsys.readouterr().err == (
        "This repository has no commit yet, so an experiment has nothing to start from.\n"
        "Hint: `nbexp init train.ipynb` makes the first one, or `git commit`.\n"
    )
    assert state(tmp_path) == before


def test_before_the_first_commit_the_workspace_can_be_seen(
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    git("init", "--quiet", cwd=tmp_path)
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["show"]) == 0
    assert capsys.readouterr().out == (
        "experiment  created  lr   net.depth\nworkspace   -        0.1  2\n"
    )
    # Programs are told what DVC tells them: there is nothing yet.
    for shape, told in (
        ("--json", "[]\n"),
        ("--csv", "Experiment,rev,typ,Created,parent\r\n"),
        ("--md", "| Experiment   | Created   |\n|--------------|-----------|\n"),
    ):
        assert cli.main(["show", shape]) == 0
        assert capsys.readouterr().out == told
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out.startswith("train:\n  data.csv is new\n")


def test_a_bare_repository_is_none_to_work_in(
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    git("init", "--quiet", "--bare", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run"]) == 3
    assert "is in no Git repository." in capsys.readouterr().err


def test_init_before_the_first_commit_makes_it(
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    git("init", "--quiet", cwd=tmp_path)
    write(tmp_path, {"train.ipynb": notebook(*CELLS), "mine.txt": "mine\n"})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "train.ipynb"]) == 0
    assert git("status", "--porcelain", cwd=tmp_path) == "?? mine.txt"


# --- Without a Git identity it works -------------------------------------------------------------


def test_without_a_git_identity_everything_works(
    no_identity: None,
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    write(root, {"train.ipynb": notebook(*CELLS)})
    monkeypatch.chdir(root)
    assert cli.main(["init", "train.ipynb"]) == 0
    write(
        root, {"dvc.yaml": PIPELINE, "params.yaml": "lr: 1\nnet: {depth: 2}\n", "data.csv": "1\n"}
    )
    assert cli.main(["run", "-n", "one"]) == 0
    assert cli.main(["run", "-n", "two", "-S", "lr=2"]) == 0
    assert cli.main(["apply", "one"]) == 0
    assert cli.main(["undo"]) == 0
    assert cli.main(["branch", "one"]) == 0
    assert cli.main(["remove", "two"]) == 0
    who = git("log", "--format=%an <%ae> %cn <%ce>", "--all", cwd=root).splitlines()
    assert set(who) == {"nbexp <nbexp@localhost> nbexp <nbexp@localhost>"}


# --- Stages that cannot run: exit code 1, and the workspace as it was ----------------------------


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (
            {**NOTEBOOK, "train.ipynb": notebook(*CELLS, kernel="nope")},
            (
                "The kernel `nope` of train.ipynb is not installed. Nothing was run.\n"
                "Hint: installed: python3; `--kernel python3` takes that one.\n"
            ),
        ),
        (
            {**NOTEBOOK, "params.yaml": "train: {lr: 0.1, epochs: 2, epoch: 3}\n"},
            (
                "No parameter `epoch` in the parameters cell of train.ipynb; it has lr, epochs. Nothing "
                "was run.\nHint: did you mean `epochs`? rename `train.epoch` in params.yaml, or assign `epoch` in that "
                "cell.\n"
            ),
        ),
        (
            {"dvc.yaml": stage(cmd="nosuchprogram --fast")},
            (
                "Stage `train` stopped, `nosuchprogram --fast`: a program was not found.\n"
                "Hint: the shell names it in "
            ),
        ),
        (
            {"dvc.yaml": stage(cmd="'true'")},
            (
                "Stage `train` ended without writing its output `model.txt`.\n"
                "Hint: correct outs of `train` in dvc.yaml, or what it writes.\n"
            ),
        ),
    ],
)
def test_a_stage_that_cannot_run_leaves_everything_as_it_was(
    files: dict[str, str | bytes | None],
    text: str,
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "project"
    make(root, git, files)
    monkeypatch.chdir(root)
    before = state(root)
    assert cli.main(["run", "-n", "bad"]) == 1
    assert text in capfd.readouterr().err
    after = {key: value for key, value in state(root).items() if not key.startswith(".git/refs/")}
    assert after == {
        key: value for key, value in before.items() if not key.startswith(".git/refs/")
    }
    assert git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=root) == ""


# --- Things that break afterwards ----------------------------------------------------------------


@pytest.fixture
def two_runs(tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    make(root, git, {})
    run(root, "run", "-n", "one")
    write(root, {"data.csv": "3,4\n"})
    run(root, "run", "-n", "two")
    monkeypatch.chdir(root)
    return root


def test_a_damaged_object_of_the_cache_is_not_taken_for_the_output(
    two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (two_runs / ".dvc" / "cache" / "files" / "md5").glob("*/*"):
        if path.read_text() == "1,2\n":
            path.chmod(0o644)
            path.write_text("9,9\n")
    before = state(two_runs)
    assert cli.main(["apply", "one"]) == 3
    assert capsys.readouterr().err == (
        "The cache lacks model.txt of experiment `one`. Nothing was applied.\n"
        "Hint: `nbexp data fetch` brings them when a remote has them; running the experiment again makes them.\n"
    )
    assert state(two_runs) == before
    # A run of it makes the output again, and so mends the cache.
    write(two_runs, {"data.csv": "1,2\n"})
    run(two_runs, "run", "--new", "-n", "mended")
    assert (two_runs / "model.txt").read_text() == "1,2\n"
    write(two_runs, {"data.csv": "3,4\n"})
    run(two_runs, "run")
    run(two_runs, "apply", "one")
    assert (two_runs / "model.txt").read_text() == "1,2\n"


def test_one_commit_that_cannot_be_read_does_not_hide_the_others(
    two_runs: Path, git: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    write(two_runs, {"dvc.yaml": "stages: [\n"})
    git("commit", "--quiet", "--all", "--message=broken", cwd=two_runs)
    write(two_runs, {"dvc.yaml": PIPELINE})
    assert cli.main(["show"]) == 0
    told = capsys.readouterr()
    assert (
        told.err
        == "main: dvc.yaml, line 2: this is not valid YAML: did not find expected node content.\n"
    )
    names = [line.split()[0] for line in told.out.splitlines()]
    first = git("rev-parse", "--short=7", "HEAD~1", cwd=two_runs)
    assert names == ["experiment", "workspace", "main", first, "two", "one"] or names == [
        "experiment", "workspace", "main", first, "one", "two",
    ]  # fmt: skip
    assert cli.main(["show", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[1]["data"] is None
    assert rows[1]["error"]["msg"].startswith("dvc.yaml, line 2: this is not valid YAML")


def test_a_workspace_that_cannot_be_read_does_not_hide_the_experiments(
    two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(two_runs, {"dvc.yaml": "stages: [\n"})
    assert cli.main(["show"]) == 0
    told = capsys.readouterr()
    assert (
        told.err
        == "dvc.yaml, line 2: this is not valid YAML: did not find expected node content.\n"
    )
    assert [line.split()[0] for line in told.out.splitlines()][:3] == [
        "experiment",
        "workspace",
        "main",
    ]


def test_a_run_in_the_middle_of_a_merge_records_what_is_there(
    two_runs: Path, git: Callable[..., str]
) -> None:
    """And leaves the merge as it is."""
    git("commit", "--quiet", "--all", "--message=ours", cwd=two_runs)
    git("switch", "--quiet", "--create", "other", "HEAD~1", cwd=two_runs)
    write(two_runs, {"data.csv": "5,6\n"})
    git("commit", "--quiet", "--all", "--message=theirs", cwd=two_runs)
    git("merge", "main", cwd=two_runs, code=1)
    before = git("status", "--porcelain", cwd=two_runs)
    assert "UU data.csv" in before
    write(two_runs, {"data.csv": "7,8\n"})
    run(two_runs, "run", "-n", "merged")
    assert "UU data.csv" in git("status", "--porcelain", cwd=two_runs)
    rev = git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/merged", cwd=two_runs)
    assert git("show", f"{rev}:data.csv", cwd=two_runs) == "7,8"


def test_an_output_that_git_tracks_is_explained(
    tmp_path: Path,
    git: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "project"
    make(root, git, {"model.txt": "old\n"})
    monkeypatch.chdir(root)
    before = state(root)
    assert cli.main(["run"]) == 3
    assert capfd.readouterr().err == (
        "dvc.yaml, line 2: the output `model.txt` of stage `train` is tracked by Git.\n"
        "Hint: `git rm --cached -r model.txt`, and commit; or give it `cache: false`.\n"
    )
    assert state(root) == before


def test_nothing_is_said_in_a_traceback(
    two_runs: Path, nbexp_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """As a process, which no fixture of the tests shields."""
    told = nbexp_cli("apply", "nobody", cwd=two_runs, code=3)
    assert told.stderr == (
        "There is no experiment `nobody`.\nHint: `nbexp list` shows those there are.\n"
    )
    assert told.stdout == ""
