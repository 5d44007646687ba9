"""Templates: both tools make the same stages of them, run them alike, and write and show the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran, Twins

# Many constructs in one file: each call of a real dvc takes most of a second.
PIPELINE = """\
vars:
- models.json
- conf/more.toml:paths,sizes
- inline:
    a: 1
    flag: true
    off: false
    names: [x, "y z"]
    s: he said 'hi'
    nothing:
    deep: {inner: {rate: 1e-3}}
- train: {extra: from vars}
stages:
  plain:
    cmd: echo ${train.lr} ${train.layers[0]} ${train.layers.1} ${train.layers.-1} ${ train.on } ${train.none} > plain.txt
    params: [train]
    outs: [plain.txt]
  escaped:
    cmd: x=1; echo \\${x} "$x" ${train.extra} > escaped.txt
    outs: [escaped.txt]
  unpacked:
    cmd:
    - echo ${inline} > unpacked.txt
    - echo ${train} ${inline.deep} >> unpacked.txt
    outs: [unpacked.txt]
  ${train.lr}:
    cmd: echo "a name is no template" > named.txt
    outs: [named.txt]
  keys:
    cmd: mkdir -p ${paths.out} && echo ${train.lr} > ${paths.out}/m.json && echo x > ${paths.out}/k.txt
    deps: ["${paths.in}"]
    params:
    - ${paths.key}
    - ${paths.file}: ["${paths.other}", more]
    outs:
    - ${paths.out}/k.txt:
        cache: false
        desc: of ${train.lr}
    metrics:
    - ${paths.out}/m.json:
        cache: false
    meta: {lr: "${train.lr}", on: "${train.on}"}
    desc: "${train.epochs}"
  local:
    wdir: ${paths.sub}
    vars:
    - only.yaml
    cmd: echo ${only.value} ${train.lr} > local.txt
    outs: [local.txt]
  each:
    foreach: [us, uk, 1.5, true, null]
    do:
      cmd: echo ${item} > each-${item}.txt
      outs: ["each-${item}.txt"]
  eachd:
    foreach:
      k1: {v: 10}
      k2: {v: "${train.lr}"}
    do:
      cmd: echo ${key} ${item.v} > ${key}.out
      outs: ["${key}.out"]
  eachl:
    foreach: [{v: 1}, {v: 2}, w]
    do:
      wdir: ${paths.sub}
      cmd: echo ${item} > l.txt
      always_changed: true
  eachp:
    foreach: ${train.layers}
    do:
      cmd: echo ${item} > p${item}.txt
      outs: ["p${item}.txt"]
  eachf:
    foreach: ${flags}
    do:
      cmd: echo ${item} > f${item}.txt
      outs: ["f${item}.txt"]
  eachm:
    foreach: ${models}
    do:
      cmd: echo ${key} ${item.depth} ${item} > m-${key}.txt
      params: ["train.lr"]
      outs: ["m-${key}.txt"]
  mat:
    matrix:
      model: [cnn, xgb]
      feat: [{n: 1}, {n: 2}]
      opt: [1, true]
      size: ${sizes}
    cmd: echo ${key} ${item.model} ${item.feat.n} ${item.opt} ${item.size} ${train.lr} > mat-${key}.txt
    outs:
    - mat-${key}.txt
  after:
    cmd: cat plain.txt p64.txt mat-cnn-feat0-1-S.txt > after.txt
    deps: [plain.txt, p64.txt, mat-cnn-feat0-1-S.txt]
    outs: [after.txt]
params:
- ${paths.file}
metrics:
- ${paths.metric}
plots:
- ${paths.plot}
- ${paths.plot2}: {x: "${plotted.x}", y: ["${plotted.y}"]}
- joined: {x: {"${paths.plot}": "${paths.x}"}, y: {"${paths.plot}": ["${paths.x}"]}, title: "lr ${train.lr}"}
artifacts:
  model-${paths.x}:
    path: ${paths.out}/k.txt
    type: ${paths.x}
    labels: ["${labels[0]}", b]
""".replace("    - here: ${HOME-like words are plain here, as vars take no templates}\n", "")

FILES = {
    "dvc.yaml": PIPELINE,
    "params.yaml": """\
train:
  lr: 0.1
  epochs: 3
  on: true
  none:
  layers:
  - 64
  - 32
flags:
- true
- false
labels:
- small
- good
plotted:
  x: step
  y: loss
plain: 1
""",
    "models.json": '{"models": {"a": {"depth": 2, "wide": false}, "b": {"depth": 3, "wide": true}}}\n',
    "conf/more.toml": """\
unused = 1
sizes = ["S", "M"]
[paths]
in = "in.txt"
out = "made"
key = "train.lr"
file = "other.yaml"
other = "deep.key"
sub = "work"
metric = "top.json"
plot = "p.csv"
plot2 = "q.csv"
x = "step"
""",
    "other.yaml": "deep: {key: 7}\nmore: yes\nunseen: 1\n",
    "work/only.yaml": "only: {value: of the stage}\n",
    "in.txt": "in\n",
    "top.json": '{"acc": 0.5}\n',
    "p.csv": "step,loss\n0,1\n",
    "q.csv": "step,loss\n0,1\n",
}


def test_every_construct_is_run_recorded_and_shown_as_dvc_does(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(project(FILES))
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    theirs, ours = pair.run("-n", "second", "-S", "train.lr=0.2", "-S", "train.layers=[64,32,16]")
    assert lines(ours) == lines(theirs)
    pair.agree(undo=2)
    assert (pair.nbexp_side / "p16.txt").read_text() == "16\n"
    assert (pair.nbexp_side / "escaped.txt").read_text() == "1 1 from vars\n"
    assert (
        (pair.nbexp_side / "unpacked.txt")
        .read_text()
        .startswith(
            "--a 1 --flag --names x y z --s he said 'hi' --nothing None --deep.inner.rate 0.001\n"
        )
    )


def agree_in_any_order(pair: Twins) -> None:
    """The same files. Which of several stages that do not need each other comes first, DVC leaves to chance."""
    theirs, ours = (
        {path: sorted(text.splitlines()) for path, (_, text) in pair.look.files(side).items()}
        for side in pair.sides
    )
    assert ours == theirs
    pair.agree_on_cache()
    pair.agree_on_status()


def test_pipelines_of_several_directories_are_one(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    region = """\
vars: [../shared.yaml]
stages:
  fit:
    foreach: ${models}
    do:
      wdir: ../work
      cmd: cat ../raw.txt > ${region}-${item}.txt && echo ${depth} >> ${region}-${item}.txt
      deps: [../raw.txt]
      outs: ["${region}-${item}.txt"]
"""
    pair = twins(
        project(
            {
                "dvc.yaml": "stages:\n"
                "  raw: {cmd: echo raw > raw.txt, outs: [raw.txt]}\n"
                "  all:\n"
                "    matrix: {region: [eu, us], model: [a, b]}\n"
                "    cmd: wc -l < work/${item.region}-${item.model}.txt > ${key}.n\n"
                '    deps: ["work/${item.region}-${item.model}.txt"]\n'
                '    outs: ["${key}.n"]\n',
                "shared.yaml": "depth: 3\n",
                "work/keep": "",
                "eu/dvc.yaml": region,
                "eu/params.yaml": "region: eu\nmodels:\n- a\n- b\n",
                "us/dvc.yaml": region,
                "us/params.yaml": "region: us\nmodels:\n- a\n- b\n",
                "other/dvc.yaml": "stages: {s: {cmd: 'echo ${x} > s.txt', outs: [s.txt]}}\nvars: [{x: 1}]\n",
            }
        )
    )
    theirs, ours = pair.run("eu/dvc.yaml:fit@a", "-n", "one")
    assert lines(ours) == lines(theirs)
    pair.agree()
    theirs, ours = pair.run("-n", "two", cwd="us")
    assert sorted(lines(ours)) == sorted(lines(theirs))
    theirs, ours = pair.run("-P", "-n", "three", "-S", "us/params.yaml:models=[a,b,c]")
    assert sorted(lines(ours)) == sorted(lines(theirs))
    assert (pair.nbexp_side / "work" / "us-c.txt").read_text() == "raw\n3\n"
    assert (pair.nbexp_side / "other" / "s.txt").exists()
    agree_in_any_order(pair)
    pair.agree_on_table()


def test_a_group_a_key_and_a_pattern_are_targets(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]], look: Look
) -> None:
    stages = "".join(
        f"  {name}:\n    foreach: [1, 2]\n    do: {{cmd: 'echo ${{item}} > {name}${{item}}', outs: ['{name}${{item}}']}}\n"
        for name in ("one", "two", "three")
    )
    text = f"stages:\n{stages}"
    pair = twins(project({"dvc.yaml": text, "sub/dvc.yaml": text}))
    targets = (["one"], ["two@2"], [":three@1"], ["sub/dvc.yaml:one"], ["sub/dvc.yaml:two@1"])
    for number, words in enumerate(targets):
        theirs, ours = pair.run(*words, "-n", f"run-{number}")
        assert sorted(lines(ours)) == sorted(lines(theirs)), words
    agree_in_any_order(pair)
    for words in (["--glob", "t*@1"], ["--glob", "sub/dvc.yaml:three@*"], ["-R", "sub"]):
        look.dvc("repro", *words, cwd=pair.dvc_side)
        look.nbexp("repro", *words, cwd=pair.nbexp_side)
        agree_in_any_order(pair)


def test_names_that_item_and_key_hide_are_told(project: MakeProject, look: Look) -> None:
    root = project(
        {
            "params.yaml": "item: 1\nmodels: {a: x}\n",
            "dvc.yaml": """\
vars: [{key: 1}]
stages:
  listed:
    foreach: [b]
    do: {cmd: "echo ${item}"}
  mapped:
    foreach: ${models}
    do: {cmd: "echo ${key} ${item}"}
  crossed:
    matrix: {model: [c]}
    cmd: echo ${key}
  plain: {cmd: "echo ${item}"}
""",
        }
    )
    theirs = look.dvc("repro", cwd=root).stderr
    warned = re.findall(r"^WARNING: (.+) (?:is|are) already .* from '(\w+)'$", theirs, re.MULTILINE)
    ours = look.nbexp("repro", cwd=root).stderr
    told = re.findall(r"^In the stages of `(\w+)`, (.+) stands? for", ours, re.MULTILINE)
    assert told == [
        ("listed", "`item`"),
        ("mapped", "`item` and `key`"),
        ("crossed", "`item` and `key`"),
    ]
    assert {group: {*names.split(" and ")} for names, group in warned} == {
        group: {*names.replace("`", "").split(" and ")} for group, names in told
    }
