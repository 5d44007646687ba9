"""`plots show`, `plots diff`, `plots modify` and `plots templates` beside DVC's: files of every format, every template."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import commands
from nbexp.events import ignore
from nbexp.formats import values

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, RunGit, RunProgram

Told = Callable[..., list[tuple[int, str]]]

TEMPLATES = (
    "simple linear smooth scatter scatter_jitter confusion confusion_normalized bar_horizontal"
    " bar_horizontal_sorted mine"
).split()

# A picture of one pixel, of a colour.
_GIF = b"GIF89a\x01\x00\x01\x00\x80\x01\x00%b\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

PIPELINE = """\
stages:
  train:
    cmd: "true"
    plots:
    - stage.csv:
        cache: false
        x: step
        y: acc
        title: Of the stage
        template: simple
    - bare.tsv:
        cache: false
    - headless.csv:
        cache: false
        header: false
    - pics:
        cache: false
        title: Pictures
  deep:
    cmd: "true"
    wdir: sub
    plots:
    - inner.json:
        cache: false
        x_label: X of inner
        y_label: Y of inner
        y: loss
plots:
- acc.csv
- tree.json:
    x: step
    y: [loss, val]
    title: Two columns
- Both:
    x: {acc.csv: step}
    y: {acc.csv: [acc, f1], other/acc.csv: acc}
    template: scatter
    x_label: steps
    y_label: score
- Two files:
    x: step
    y: {acc.csv: acc, other/acc.csv: acc}
- Each its own x:
    x: {acc.csv: step, other/acc.csv: step}
    y: {acc.csv: acc, other/acc.csv: acc}
- Two names of x:
    x: {acc.csv: step, tree.json: epoch}
    y: {acc.csv: acc, tree.json: loss}
- stage.csv:
    y: f1
- plain.yaml
- one.toml
- other:
    x: step
- other/deep:
    y: b
- dots.csv:
    x: a.b
    y: "c[0]"
- guesses.csv:
    template: confusion
    x: actual
    y: predicted
- logo.svg
- x only.json:
    x: epoch
"""


def files(number: int) -> dict[str, str | bytes]:
    """What the project holds, in states that differ."""
    chance = random.Random(number)
    rows = [(step, chance.random(), chance.random()) for step in range(3 + number)]
    table = "step,acc,f1\n" + "".join(f"{s},{a:.4f},{f:.4f}\n" for s, a, f in rows)
    tree = [{"step": s, "epoch": s // 2, "loss": a, "val": f} for s, a, f in rows]
    return {
        "dvc.yaml": PIPELINE,
        "acc.csv": table,
        "stage.csv": table,
        "bare.tsv": table.replace(",", "\t"),
        "headless.csv": table.split("\n", 1)[1],
        "pics/a.gif": _GIF % bytes([number, 0, 0]),
        "pics/deep/b.gif": _GIF % bytes([0, number, 0]),
        "sub/inner.json": json.dumps({"meta": 1, "train": {"rows": tree}}),
        "tree.json": json.dumps(tree),
        "plain.yaml": json.dumps({"a": [{"x": 1, "y": 2}], "b": [{"z": number}, {"z": 7}]}),
        "one.toml": f"[[points]]\nt = {number}\nu = 2\n[[points]]\nt = 2\nu = 4\n",
        "other/acc.csv": table,
        "other/deep/a.json": json.dumps([{"a": 1, "b": number}]),
        "dots.csv": "a.b,c[0]\n1,2\n3,4\n",
        "guesses.csv": "actual,predicted\n"
        + "".join(f"{chance.choice('ab')},{chance.choice('ab')}\n" for _ in range(9)),
        "logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "x only.json": json.dumps(tree),
        "unlisted.csv": "i,j\n1,2\n",
        ".dvc/plots/mine.json": json.dumps(
            {
                "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
                "data": {"values": "<DVC_METRIC_DATA>"},
                "title": "Mine: <DVC_METRIC_TITLE>",
                "mark": "bar",
                "encoding": {
                    "x": {"field": "<DVC_METRIC_X>", "title": "<DVC_METRIC_X_LABEL>"},
                    "y": {"field": "<DVC_METRIC_Y>", "title": "<DVC_METRIC_Y_LABEL>"},
                },
            }
        ),
    }


@pytest.fixture
def three(project: MakeProject, git: RunGit) -> Path:
    """Commits 1 (tag v1) and 2 (branch old), experiment `low-lr` on 2; the workspace is a fourth state."""
    root = project(files(1))
    git("tag", "v1", cwd=root)
    _write(root, files(2))
    git("commit", "--quiet", "--all", "--message=2", cwd=root)
    git("branch", "old", cwd=root)
    head = git("rev-parse", "HEAD", cwd=root).strip()
    _write(root, files(3))
    git("commit", "--quiet", "--all", "--message=an experiment", cwd=root)
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/low-lr", "HEAD", cwd=root)
    git("reset", "--quiet", "--soft", head, cwd=root)
    git("reset", "--quiet", cwd=root)
    _write(root, files(4))
    return root


SHOWN = [
    "plots show",
    "plots show acc.csv",
    "plots show unlisted.csv -x i -y j",
    "plots show unlisted.csv nowhere.csv",
    "plots show gone.csv",
    "plots diff v1 --targets gone.csv",
    "plots show pics",
    "plots show Both",
    "plots show Two",
    "plots show dvc.yaml::stage.csv",
    "plots show stage.csv",
    "plots show --title T --x-label X --y-label Y",
    "plots show acc.csv -y f1 -x acc",
    "plots show headless.csv -x 0 -y 2",
    "plots show acc.csv --no-header",
    "plots show --split",
    "plots show sub/inner.json other/deep",
    "plots show -o elsewhere/deep",
    *(f"plots show -t {name}" for name in TEMPLATES),
    *(f"plots show -t {name} --split" for name in TEMPLATES),
    "plots diff",
    "plots diff HEAD",
    "plots diff v1 old",
    "plots diff v1 old workspace",
    "plots diff low-lr v1 HEAD",
    "plots diff low-lr",
    "plots diff -e low-lr",
    "plots diff v1 --targets acc.csv Both",
    "plots diff v1 --targets logo.svg pics",
    "plots diff v1 low-lr --targets unlisted.csv",
    "plots diff v1 -x step -y f1 --targets acc.csv",
    *(f"plots diff old low-lr v1 -t {name}" for name in TEMPLATES),
    *(f"plots diff old low-lr -t {name} --split" for name in TEMPLATES),
]


def test_json_is_dvcs(three: Path, told_by_dvc: Told) -> None:
    assert _differing(three, SHOWN, told_by_dvc) == {}


def test_json_is_dvcs_in_a_folder_below(three: Path, told_by_dvc: Told) -> None:
    # From there DVC looks for `header: false` of a stage at another path than that of its file.
    (three / "dvc.yaml").write_text(PIPELINE.replace("        header: false\n", ""))
    lines = ["plots show", "plots show inner.json", "plots diff low-lr v1 -t simple"]
    found = _differing(three / "sub", lines, told_by_dvc)
    known = [line for line in found["plots diff low-lr v1 -t simple --json"] if "headless" in line]
    assert found == {"plots diff low-lr v1 -t simple --json": known} and known


def test_templates_are_dvcs_to_the_letter(three: Path, told_by_dvc: Told) -> None:
    (three / ".dvc" / "plots" / "mine.json").unlink()
    listed, *whole = told_by_dvc(
        three, [["plots", "templates"], *(["plots", "templates", name] for name in TEMPLATES[:-1])]
    )
    names = listed[1].split()
    assert sorted(names) == sorted(TEMPLATES[:-1])
    assert str(_result(["plots", "templates"], three)) == "\n".join(names)
    for name, (_, said) in zip(TEMPLATES, whole, strict=False):
        ours = _said(["plots", "templates", name, "--json"], three)
        assert ours == json.dumps(json.loads(said)) + "\n", name
        assert json.loads(str(_result(["plots", "templates", name], three))) == json.loads(said)


@pytest.mark.parametrize("line", ["plots show acc.csv", "plots diff v1 low-lr --targets Both"])
def test_the_chart_of_one_plot_is_dvcs(three: Path, told_by_dvc: Told, line: str) -> None:
    words = [*line.split(), "--show-vega"]
    ((code, said),) = told_by_dvc(three, [words])
    assert code == 0
    assert json.loads(str(_result(words, three))) == json.loads(said)


def test_pictures_are_written_where_dvc_writes_them(
    three: Path, dvc: RunProgram, nbexp_cli: RunProgram
) -> None:
    def written(*words: str) -> dict[str, bytes]:
        root = three / words[-1]
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix != ".html"
        }

    for more in ([], ["--json"]):
        dvc("plots", "diff", "v1", *more, "--out", "theirs", cwd=three)
        nbexp_cli("plots", "diff", "v1", *more, "--out", "ours", cwd=three)
        assert written("ours") == written("theirs") != {}
    assert (three / "ours" / "index.html").is_file()


def test_a_page_is_made_of_the_users_own(
    three: Path, dvc: RunProgram, nbexp_cli: RunProgram
) -> None:
    (three / "page.html").write_text("<h1>Ours</h1>{scripts}<main>{plot_divs}</main>{refresh_tag}")
    (three / "bad.html").write_text("<h1>Ours</h1>")
    for program, out in ((dvc, "theirs"), (nbexp_cli, "ours")):
        program("plots", "show", "acc.csv", "-o", out, "--html-template", "page.html", cwd=three)
        text = (three / out / "index.html").read_text()
        assert text.startswith("<h1>Ours</h1>")
        assert "acc.csv" in text
        assert "{" not in text.partition("<main>")[0]
    told = nbexp_cli("plots", "show", "-o", "x", "--html-template", "bad.html", cwd=three, code=2)
    assert "bad.html has no `{plot_divs}`" in told.stderr
    dvc("plots", "show", "-o", "x", "--html-template", "bad.html", cwd=three, code=255)
    assert not (three / "x" / "index.html").exists()


def test_the_page_is_opened(three: Path, dvc: RunProgram, nbexp_cli: RunProgram) -> None:
    opened = three / "opened"
    browser = three / "browser.sh"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    for program in (dvc, nbexp_cli):
        program("plots", "show", "acc.csv", "--open", cwd=three, env={"BROWSER": f"{browser} %s"})
    page = (three / "dvc_plots" / "index.html").as_uri()
    assert opened.read_text().split() == [page, page]


CACHED = """\
stages:
  train:
    cmd: mkdir -p figs && sh write.sh
    deps:
    - write.sh
    params:
    - lr
    outs:
    - raw
    plots:
    - acc.csv:
        x: step
    - figs
plots:
- raw/loss.json:
    y: loss
- raw
"""
WRITE = """\
lr=$(sed -n 's/lr: //p' params.yaml)
printf 'step,acc\\n0,0.1\\n1,%s\\n' "$lr" > acc.csv
printf '<svg xmlns="http://www.w3.org/2000/svg"><!-- %s --></svg>' "$lr" > figs/a.svg
mkdir -p raw
printf '[{"loss": %s}, {"loss": 2}]' "$lr" > raw/loss.json
printf 'k,v\\n1,%s\\n' "$lr" > raw/more.csv
"""


@pytest.mark.parametrize("maker", ["dvc", "nbexp"])
def test_plots_in_the_cache_are_read_without_a_checkout(
    project: MakeProject,
    git: RunGit,
    dvc: RunProgram,
    nbexp_cli: RunProgram,
    told_by_dvc: Told,
    maker: str,
) -> None:
    root = project({"dvc.yaml": CACHED, "write.sh": WRITE, "params.yaml": "lr: 0.5\n"})
    for name, lr in (("one", "0.25"), ("two", "0.75")):
        if maker == "dvc":
            dvc("exp", "run", "-n", name, "-S", f"lr={lr}", cwd=root)
        else:
            nbexp_cli("run", "-n", name, "-S", f"lr={lr}", cwd=root)
    lines = ["plots show", "plots diff one two", "plots diff one", "plots diff -e two"]
    assert _differing(root, lines, told_by_dvc) == {}
    # What is gone from the workspace is in the cache; what is gone from there is nowhere.
    (root / "acc.csv").unlink()
    shutil.rmtree(root / "figs")
    assert _differing(root, lines, told_by_dvc) == {}
    objects = root / ".dvc" / "cache" / "files" / "md5"
    gone = hashlib.md5(b"step,acc\n0,0.1\n1,0.25\n").hexdigest()
    (objects / gone[:2] / gone[2:]).chmod(0o644)
    (objects / gone[:2] / gone[2:]).unlink()
    assert _differing(root, lines, told_by_dvc) == {}
    told = json.loads(_said(["plots", "diff", "one", "two", "--json"], root))
    assert told["errors"][0]["type"] == "FileNotFoundError"
    assert [item["revisions"] for item in told["data"]["acc.csv"]] == [["two"]]


MODIFIED = """\
# a comment
stages:
  train:   # of the stage
    cmd: "true"
    outs:
    - model.csv
    - other.bin
    metrics:
    - m.json:
        cache: false
    plots:
    - bare.csv
    - full.csv:
        cache: false
        x: step   # of x
        title: 'Full'
  alone:
    cmd: "true"
    wdir: sub
    outs:
    - only.csv
"""


@pytest.mark.parametrize(
    "line",
    [
        "full.csv -x epoch -y acc -t simple --title T --x-label X --y-label Y",
        "full.csv --no-header",
        "full.csv --unset x title",
        "full.csv --title T --unset x",
        "bare.csv -x step",
        "bare.csv -t mine",
        "model.csv -y acc",
        "m.json -x step",
        "sub/only.csv -t scatter",
        "other.bin",
        "full.csv -t nowhere",
        "full.csv --unset y",
        "model.csv --unset x",
        "gone.csv -x step",
    ],
)
def test_properties_are_written_as_dvc_writes_them(
    project: MakeProject, dvc: RunProgram, nbexp_cli: RunProgram, line: str
) -> None:
    root = project({"dvc.yaml": MODIFIED, ".dvc/plots/mine.json": "{}", "sub/a": ""})
    (root / ".dvc" / "plots" / "mine.json").write_text('{"a": "<DVC_METRIC_DATA>"}')
    done = dvc("plots", "modify", *line.split(), cwd=root, code=None)
    theirs = values.parse((root / "dvc.yaml").read_bytes(), "dvc.yaml")
    (root / "dvc.yaml").write_text(MODIFIED)
    ours = nbexp_cli("plots", "modify", *line.split(), cwd=root, code=None)
    assert (ours.returncode == 0) == (done.returncode == 0), ours.stderr
    text = (root / "dvc.yaml").read_text()
    assert _unordered(values.parse(text.encode(), "dvc.yaml")) == _unordered(theirs)
    kept = [entry for entry in MODIFIED.splitlines() if "#" in entry and "step" not in entry]
    assert [entry for entry in kept if entry not in text.splitlines()] == []


def _unordered(tree: Any) -> Any:
    """The tree with its lists sorted: DVC sorts outputs by path."""
    if isinstance(tree, dict):
        return {key: _unordered(value) for key, value in tree.items()}
    return sorted(map(_unordered, tree), key=json.dumps) if isinstance(tree, list) else tree


BAD: dict[str, str | bytes] = {
    "empty.csv": "",
    "head.csv": "step,acc\n",
    "short.csv": "step,acc\n0,1\n1\n",
    "long.csv": "step,acc\n0,1\n1,2,3\n",
    "longer.csv": "step,acc\n0,1,5\n1,2,3\n",
    "latin.csv": b"step,\xe9\n0,1\n",
    "nan.csv": "step,acc\n0,nan\n1,inf\n2,\n",
    "empty.json": "",
    "broken.json": "[{",
    "number.json": "5",
    "text.json": '"words"',
    "numbers.json": "[1, 2, 3]",
    "mixed.json": '[{"a": 1}, 2]',
    "ragged.json": '[{"a": 1, "b": 2}, {"a": 3}]',
    "hollow.json": '{"a": []}',
    "hollows.json": "[{}, {}]",
    "nothing.json": "[]",
    "null.json": "null",
    "deep.json": '{"a": {"b": {"c": [{"x": 1, "y": 2}]}, "d": [{"z": 3}, {"z": 4}]}}',
    "lists.json": '{"a": [[{"x": 1}]], "b": [{"y": 2}]}',
    "broken.yaml": "a: [",
    "empty.yaml": "",
    "broken.toml": "=",
    "data.py": "rows = [{'a': 1, 'b': 2}]\n",
    "notes.txt": "words",
    "UPPER.CSV": "a,b\n1,2\n",
    "photo.bmp": b"BM",
    "photo.PNG": b"\x89PNG",
    "no-ending": "a,b\n1,2\n",
    "empty.png": b"",
    "quoted.csv": 'step,"a ""b"" c"\n0,"1,5"\n1,"two\nlines"\n',
    "crlf.csv": "step,acc\r\n0,1\r\n1,2\r\n",
    "twice.csv": "a,a\n1,2\n",
    "no name.csv": "a,,\n1,2,3\n",
    "é ü/<script>alert(1)<.csv": "a.b,c[0],<script>\n1,2,3\n",
    "rev.csv": "rev,field,filename\n1,2,3\n",
    "anchor.json": '[{"a": "<DVC_METRIC_TITLE>", "b": 1}]',
    "two.csv": "u,v\n1,2\n",
}
BAD_PLOTS = """
- no column: {x: gone, y: {two.csv: v}}
- no column of y: {x: u, y: {two.csv: gone}}
- no file: {x: u, y: {missing.csv: v}}
- lengths: {x: {crlf.csv: step}, y: {two.csv: v}}
- numbers of x: {x: {crlf.csv: step, two.csv: u}, y: {two.csv: [u, v], crlf.csv: acc}}
- a list of y: {y: {two.csv: [u, v], deep.json: [x]}}
- two.csv: {y: gone}
- crlf.csv: {x: gone, y: [acc, step]}
- '<DVC_METRIC_X>': {y: {two.csv: v}, x: u, title: '<DVC_METRIC_Y> of <DVC_METRIC_X_LABEL>'}
- missing.json
- missing.png
"""


def test_bad_files_are_told_as_dvc_tells_them(project: MakeProject, told_by_dvc: Told) -> None:
    listed = "".join(f"- {json.dumps(name)}\n" for name in BAD if name not in BAD_PLOTS)
    root = project({**BAD, "dvc.yaml": f"plots:\n{listed}{BAD_PLOTS.lstrip()}"})
    names = " ".join(name for name in BAD if " " not in name)
    lines = [
        "plots show",
        "plots show --split",
        "plots diff HEAD",
        *(f"plots show -t {name}" for name in ("scatter", "confusion", "bar_horizontal")),
    ]
    assert _differing(root, lines, told_by_dvc) == {}
    (root / "dvc.yaml").write_text("stages: {}\n")
    assert _differing(root, [f"plots show {names}", "plots show nowhere.csv"], told_by_dvc) == {}
    (root / "dvc.yaml").write_text("plots: {\n")
    assert _differing(root, ["plots show", "plots diff HEAD"], told_by_dvc) == {}
    (root / "dvc.yaml").write_text("plots:\n- a.csv: {colour: red}\n")
    assert _differing(root, ["plots show"], told_by_dvc) == {}


def _differing(root: Path, lines: Sequence[str], told_by_dvc: Told) -> dict[str, Any]:
    """The commands whose JSON is not DVC's, with both."""
    asked = [[*line.split(), "--json"] for line in lines]
    theirs = told_by_dvc(root, asked)
    wrong: dict[str, Any] = {}
    for words, (code, said) in zip(asked, theirs, strict=True):
        assert code == 0, words
        ours = _said(words, root)
        expected, found = (_comparable(json.loads(text)) for text in (said, ours))
        if expected != found:
            wrong[" ".join(words)] = [*_differences(expected, found)]
    return wrong


def _differences(expected: object, found: object, at: str = "") -> Iterator[str]:
    """Where two trees differ, a line for each place."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            pair = (one.get(key, "(nothing)") for one in (expected, found))
            yield from _differences(*pair, f"{at}/{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, pair in enumerate(zip(expected, found, strict=True)):
            yield from _differences(*pair, f"{at}/{number}")
    elif expected != found:
        yield f"{at}: {str(expected)[:200]} is {str(found)[:200]} here"


def _comparable(told: dict[str, Any]) -> dict[str, Any]:
    """The JSON without the words of messages, its errors sorted; columns that DVC orders by chance as well."""
    errors = [{**one, "msg": ""} for one in told.get("errors", [])]
    return {**told, "errors": sorted(errors, key=json.dumps)}


def _result(words: Sequence[str], root: Path) -> object:
    return commands.execute(words, ignore, directory=str(root)).result


def _said(words: Sequence[str], root: Path) -> str:
    text = commands.formatted(commands.execute(words, ignore, directory=str(root)))
    assert text is not None
    return text


def _write(root: Path, found: dict[str, str | bytes]) -> None:
    for path, text in found.items():
        (root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
