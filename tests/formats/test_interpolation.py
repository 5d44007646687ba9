"""Templates filled in: by hand for what people write, and beside DVC's own resolver for everything else."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from nbexp.errors import NbexpError, ProjectFileError
from nbexp.formats import dvc_yaml, interpolation
from nbexp.formats.dvc_yaml import PipelineFile
from nbexp.formats.interpolation import Unfilled

PARAMS = """\
train: {lr: 0.1, epochs: 3, on: true, none: , layers: [64, 32]}
models: {a: {depth: 2}, b: {depth: 3}}
name: x y
flags: [true, false]
rows: [{v: 1}, {v: 2}]
when: 2024-05-01
"""


def parse(text: str, parsing: dict[str, object] | None = None, **files: str) -> PipelineFile:
    """A dvc.yaml beside files; `params_yaml` names params.yaml."""
    read = {name.replace("_", "."): data.encode() for name, data in files.items()}
    return dvc_yaml.parse(text.encode(), "dvc.yaml", read.get, lambda: parsing or {})


def command(
    template: str, params: str = PARAMS, parsing: dict[str, object] | None = None
) -> object:
    """What a stage runs that has the template as its command."""
    text = json.dumps({"stages": {"a": {"cmd": f"echo {template}"}}})
    cmd = parse(text, parsing, params_yaml=params).stages[0].cmd
    assert isinstance(cmd, str)
    return cmd.removeprefix("echo ")


def refusal(text: str, **files: str) -> str:
    with pytest.raises(ProjectFileError) as caught:
        parse(text, **files)
    return str(caught.value)


# --- What a template becomes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("${train.lr}", "0.1"),
        ("${train.layers[0]} ${train.layers.1} ${train.layers[-1]}", "64 32 32"),
        ("${ train . lr }", "0.1"),
        ("${rows[1].v}${rows.0[v]}", "21"),
        ("${train.on} ${flags[1]} ${train.none}", "true false None"),
        ("${name}", "x y"),
        ("${when}", "2024-05-01"),
        (r"\${name} ${name}", "${name} x y"),
        ("$name $(date) ${", "$name $(date) ${"),
        ("${train.lr}}", "0.1}"),
        ("${models}", "--a.depth 2 --b.depth 3"),
        ("${train}", "--lr 0.1 --epochs 3 --on --none None --layers 64 32"),
    ],
)
def test_a_template_in_text_becomes_text(template: str, text: str) -> None:
    assert command(template) == text


@pytest.mark.parametrize(
    ("parsing", "text"),
    [
        ({}, "--yes --l 1 2 --s 'a b'"),
        ({"bool": "boolean_optional"}, "--yes --no-no --l 1 2 --s 'a b'"),
        ({"list": "append"}, "--yes --l 1 --l 2 --s 'a b'"),
        ({"bool": "store_true", "list": "nargs"}, "--yes --l 1 2 --s 'a b'"),
    ],
)
def test_a_mapping_is_written_as_the_configuration_says(
    parsing: dict[str, object], text: str
) -> None:
    params = "d: {yes: true, no: false, l: [1, 2], s: a b, empty: [], none: {}}"
    assert command("${d}", params, parsing) == text


def test_a_value_that_is_one_template_keeps_its_type() -> None:
    text = "stages: {a: {cmd: x, meta: {n: '${n}', b: '${b}', z: '${z}', t: '${n} ', '${n}': 1}}}"
    stage = parse(text, params_yaml="n: 5\nb: true\nz:\n").stages[0]
    assert stage.meta == {"n": 5, "b": True, "z": None, "t": "5 ", 5: 1}


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    assert command("${a}", "a: ${b}\nb: ${a}\n") == "${b}"


def test_files_are_found_beside_the_dvc_yaml_that_names_them() -> None:
    files = {"sub/params.yaml": b"n: 1", "sub/w/v.json": b'{"m": 2}', "v.json": b'{"m": 3}'}
    text = b"vars: [../v.json:m]\nstages:\n  a:\n    wdir: w\n    cmd: echo ${n} ${m}\n"
    stage = dvc_yaml.parse(text, "sub/dvc.yaml", files.get)
    assert stage.stages[0].cmd == "echo 1 3"
    assert stage.read == ("sub/params.yaml", "v.json")
    text = text.replace(b"vars: [../v.json:m]\n", b"").replace(b"w\n", b"w\n    vars: [v.json]\n")
    assert dvc_yaml.parse(text, "sub/dvc.yaml", files.get).stages[0].cmd == "echo 1 2"


def test_a_file_without_templates_asks_for_no_other() -> None:
    def read(path: str) -> bytes:
        raise AssertionError(path)

    assert dvc_yaml.parse(b"stages: {a: {cmd: x, meta: '$1 {}'}}", "dvc.yaml", read).read == ()


def test_the_values_taken_from_files_are_told() -> None:
    text = """\
vars: [{mine: 1}]
stages:
  a: {cmd: "echo ${train.lr} ${train.layers[1]} ${mine} ${models}", wdir: "${name}"}
"""
    used = parse(text, params_yaml=PARAMS).used
    assert used == {"params.yaml": {"train.lr": 0.1, "train.layers.1": 32, "name": "x y"}}


# --- Many stages of one -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("through", "names"),
    [
        ("foreach: [us, uk]", ["a@us", "a@uk"]),
        ("foreach: [1, 1.50, true, null, '1']", ["a@1", "a@1.5", "a@true", "a@None"]),
        ("foreach: {k: 1, 2: x, true: y}", ["a@k", "a@2", "a@true"]),
        ("foreach: [{v: 1}, w]", ["a@0", "a@1"]),
        ("foreach: '${flags}'", ["a@True", "a@False"]),
        ("foreach: '${models}'", ["a@a", "a@b"]),
        ("foreach: []", []),
        ("matrix: {m: [c, x], f: [{n: 1}, {n: 2}]}", ["a@c-f0", "a@c-f1", "a@x-f0", "a@x-f1"]),
        ("matrix: {m: '${flags}', f: [true, '${name}']}", ["a@True-true", "a@True-x y", "a@False-true", "a@False-x y"]),
        ("matrix: {m: '${models}'}", ["a@a", "a@b"]),
        ("matrix: {m: [1, 2], none: []}", []),
    ],
)  # fmt: skip
def test_generated_stages_have_the_names_that_dvc_gives_them(
    through: str, names: list[str]
) -> None:
    body = "do: {cmd: x}" if through.startswith("foreach") else "cmd: x"
    found = parse(
        f"stages:\n  a:\n    {through}\n    {body}\n  z: {{cmd: x}}\n", params_yaml=PARAMS
    )
    assert [stage.name for stage in found.stages] == [*names, "z"]
    assert {stage.group for stage in found.stages[:-1]} <= {"a"}
    assert found.stages[-1].group is None


def test_a_generated_stage_stands_where_its_template_does() -> None:
    found = parse("stages:\n  b: {cmd: x}\n  a:\n    foreach: [1, 2]\n    do: {cmd: x}\n")
    assert [stage.line for stage in found.stages] == [2, 3, 3]


def test_item_and_key_are_those_of_the_stage() -> None:
    text = """\
vars: [{item: mine, key: mine}]
stages:
  before: {cmd: "echo ${item} ${key}"}
  e:
    foreach: {k: {v: 1}}
    do: {cmd: "echo ${key} ${item.v}"}
  l:
    foreach: [w]
    do: {cmd: "echo ${key} ${item}"}
  m:
    matrix: {x: [1], y: [{z: 2}]}
    cmd: echo ${key} ${item.x} ${item.y.z} ${item}
  after: {cmd: "echo ${item} ${key}"}
"""
    cmds = [stage.cmd for stage in parse(text).stages]
    assert cmds == [
        "echo mine mine",
        "echo k 1",
        "echo mine w",
        "echo 1-y0 1 2 --x 1 --y.z 2",
        "echo mine mine",
    ]


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a]", "a[0", "a[0]b"])
def test_what_is_no_name_is_refused_with_its_line(name: str) -> None:
    text = refusal(f"stages:\n  a:\n    cmd: 'echo ${{{name}}}'\n", params_yaml="a: [1]\n")
    assert text.startswith(
        f"dvc.yaml, line 3: `cmd` of stage `a` has `${{{name}}}`, which is no template."
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("train.lrr", "did you mean `${train.lr}`?"),
        ("trian.lr", "did you mean `${train.lr}`?"),
        ("PATH", "for a variable of the shell write `\\${PATH}`."),
        ("HOME:-x", "for a variable of the shell write `\\${HOME:-x}`."),
        ("zzz", "there are train.lr, train.epochs, train.on, train.none, train.layers, models.a.depth, models.b.depth, name, …."),
        ("train.layers[9]", "did you mean `${train.layers}`?"),
    ],
)  # fmt: skip
def test_what_is_not_there_names_the_nearest(name: str, hint: str) -> None:
    text = refusal(f"stages: {{a: {{cmd: 'x ${{{name}}}'}}}}", params_yaml=PARAMS)
    assert text == (
        f"dvc.yaml, line 1: `cmd` of stage `a` has `${{{name}}}`, and there is no `{name}` in "
        f"params.yaml.\nHint: {hint}"
    )


def test_a_wrong_item_is_told_of_the_generated_stage() -> None:
    text = "stages:\n  a:\n    foreach: [{d: 1}, {e: 2}]\n    do:\n      cmd: x ${item.d}\n"
    assert refusal(text) == (
        "dvc.yaml, line 5: `cmd` of stage `a@1` has `${item.d}`, and there is no `item.d`.\n"
        "Hint: did you mean `${item.e}`?"
    )


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("vars: [{item: 1}]", "sets `item`, which stands for what `foreach` or `matrix` goes through."),
        ("vars: [params.yaml]", None),
        ("vars: [{n: 2}]", "sets `n`, which params.yaml sets already."),
        ("vars: [{d: {a: 2}}]", "sets `d.a`, which params.yaml sets already."),
        ("vars: [{d: {b: 2}}, {d: {b: 3}}]", "sets `d.b`, which an earlier item of `vars` sets already."),
        ("vars: [{d: {b: 2}}, {d: {c: {e: 3}}}]", None),
        ("vars: ['o.json:a', 'o.json:b']", None),
        ("vars: ['o.json:a', 'o.json:a']", "loads o.json again, of which `a` is loaded."),
        ("vars: ['o.json:a', 'o.json']", "loads o.json again, of which `a` is loaded."),
        ("vars: [o.json, o.json]", None),
        ("vars: [o.json, 'o.json:a']", "loads parts of o.json, which is loaded as a whole."),
        ("vars: [l.json]", "names l.json, which holds no mapping."),
        ("vars: [/etc/passwd]", "names `/etc/passwd`, which leads out of the project."),
        ("vars: [7]", "is neither a file nor a mapping."),
    ],
)  # fmt: skip
def test_what_vars_may_be_merged(stage: str, said: str | None) -> None:
    text = f"stages:\n  a:\n    foreach: [1]\n    do:\n      cmd: x ${{item}}\n      {stage}\n"
    files = {"o_json": '{"a": 1, "b": 2}', "l_json": "[1]", "params_yaml": "n: 1\nd: {a: 1}\n"}
    if said is None:
        assert parse(text, **files).stages[0].cmd == "x 1"
    else:
        assert said in refusal(text, **files)


@pytest.mark.parametrize(
    ("through", "said"),
    [
        ("foreach: [a, '']", "has an empty text in it, which makes no name of a stage."),
        ("foreach: {'': 1}", "has an empty text in it, which makes no name of a stage."),
        ('foreach: ["a\\nb"]', "has 'a\\nb' in it; the name of a stage is one line that can be printed."),
        ("foreach: {do: 1}", None),
    ],
)  # fmt: skip
def test_an_item_that_makes_no_name_is_refused(through: str, said: str | None) -> None:
    text = f"stages:\n  a:\n    {through}\n    do: {{cmd: x}}\n"
    if said is None:
        assert parse(text).stages[0].name == "a@do"
    else:
        assert f"line 3: `foreach` of stage `a` {said}" in refusal(text)


def test_more_stages_than_anybody_writes_are_refused() -> None:
    text = "stages:\n  a:\n    foreach: ${l}\n    do: {cmd: x}\n"
    assert refusal(text, params_yaml=f"l: {[*range(10_001)]}").startswith(
        "dvc.yaml, line 3: `foreach` of stage `a` makes 10,001 stages; 10,000 are taken."
    )
    text = "stages:\n  a:\n    matrix: {x: '${l}', y: '${l}'}\n    cmd: x\n"
    assert "makes 1,000,000 stages" in refusal(text, params_yaml=f"l: {[*range(1000)]}")


@pytest.mark.parametrize(
    "cmd", ["'x ${big} ${big} ${big} ${big} ${big}'", "['x ${d}', 'x ${d}', 'x ${d}', 'x ${d}']"]
)
def test_more_text_than_anybody_writes_is_refused(
    cmd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpolation, "MAX_TEXT", 2**20)
    params = f"big: {'x' * 2**18}\nd: {{a: {'x' * 2**18}}}\n"
    text = refusal(f"stages: {{a: {{cmd: {cmd}}}}}", params_yaml=params)
    assert "makes more than 1 MB of this file when templates are filled in." in text


def test_a_long_template_that_is_repeated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "MAX_TEXT", 2**20)
    text = f"stages:\n  a:\n    foreach: {[*range(20)]}\n    do: {{cmd: {'x' * 2**16}}}\n"
    assert "makes more than 1 MB" in refusal(text)


# --- What is remembered -------------------------------------------------------------------------


def test_a_file_is_filled_in_anew_when_what_it_was_filled_in_from_changed() -> None:
    text = "stages: {a: {cmd: 'x ${n} ${d}'}}"
    params = "n: 1\nd: {a: false}\n"
    for parsing in ({}, {"bool": "boolean_optional"}, {}):
        for number in (1, 2, 1):
            found = parse(text, parsing, params_yaml=params.replace("1", str(number)))
            negated = " --no-a" if parsing else " "
            assert found.stages[0].cmd == f"x {number}{negated}"
    with pytest.raises(ProjectFileError):
        parse(text)


def test_a_file_that_was_read_is_not_read_again() -> None:
    text = "stages: {a: {cmd: 'x ${n}'}}"
    assert parse(text, params_yaml="n: 1") is parse(text, params_yaml="n: 1")


# --- Beside DVC ---------------------------------------------------------------------------------

ORACLE = """
import json, os, sys, tempfile, types
from dvc.fs import LocalFileSystem
from dvc.parsing import DataResolver
from dvc.utils.serialize import load_yaml

def resolved(case):
    for path, text in case["files"].items():
        with open(path, "w") as file:
            file.write(text)
    repo = types.SimpleNamespace(fs=LocalFileSystem(), config={"parsing": case["parsing"]})
    try:
        resolver = DataResolver(repo, "", load_yaml("dvc.yaml"))
        stages = [[name, resolver.resolve_one(name)[name]] for name in resolver.get_keys()]
        used = {}
        for name, tracked in resolver.tracked_vars.items():
            for file, values in tracked.items():
                used.setdefault(file, {}).update(values)
        return {"stages": stages, "used": used}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}

cases = json.load(sys.stdin)
found = []
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for case in cases:
        for name in os.listdir():
            os.remove(name)
        found.append(resolved(case))
print(json.dumps(found))
"""
DVC_PYTHON = Path(__file__).resolve().parents[2] / ".venv-dvc" / "bin" / "python"


def by_dvc(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What DVC's own resolver makes of each case."""
    done = subprocess.run(
        [DVC_PYTHON, "-c", ORACLE],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def by_nbexp(case: dict[str, Any]) -> dict[str, Any]:
    """The same by nbexp, in the same form."""
    files = {path: text.encode() for path, text in case["files"].items()}
    data = files.pop("dvc.yaml")
    try:
        found = dvc_yaml.parse(data, "dvc.yaml", files.get, lambda: case["parsing"])
    except ProjectFileError as error:
        return {"error": str(error)}
    stages = [[stage.name, {"cmd": stage.cmd, "meta": stage.meta}] for stage in found.stages]
    return {"stages": json.loads(json.dumps(stages)), "used": dict(found.used)}


class Dice:
    """Makes projects: params, `vars`, and stages whose templates name what is there, or nearly."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._paths: list[str] = []
        self._leaves: list[str] = []

    def case(self) -> dict[str, Any]:
        self._paths, self._leaves = [], []
        params = self._tree(0, "")
        more = {f"m{key}": value for key, value in self._tree(1, "m").items()}
        inline = {f"i{key}": value for key, value in self._tree(1, "i").items()}
        clash = {self._pick("abc"): {"new": 1}} if self._one_in(6) else {}
        keys = f":{','.join(more)}" if self._one_in(3) else ""
        given: list[Any] = ["more.json" + keys, inline, clash]
        if self._one_in(8):
            given.append(self._pick(["more.json", "more.json:ma", "params.yaml", "params.yaml:a"]))
        stages = {"s": self._stage()}
        return {
            "files": {
                "params.yaml": json.dumps(params),
                "more.json": json.dumps(more),
                "dvc.yaml": json.dumps({"vars": given, "stages": stages}),
            },
            "parsing": {
                "bool": self._pick(["store_true", "boolean_optional"]),
                "list": self._pick(["nargs", "append"]),
            },
        }

    def _stage(self) -> dict[str, Any]:
        body: dict[str, Any] = {"cmd": f"run {self._text()}"}
        if self._one_in(3):
            body["cmd"] = [body["cmd"], f"then {self._text()}"]
        if self._one_in(2):
            body["meta"] = {f"k{self._text()}": self._text(), "l": [self._scalar(), 1]}
        if self._one_in(8):
            body["vars"] = [{self._pick(["own", "item", "a"]): 5}]
            body["meta"] = ["${own}"]
        kind = self._pick(["plain", "foreach", "matrix", "plain"])
        if kind == "foreach":
            body["cmd"] = f"run ${{item}} {self._pick(['', '${key}', '${item.a}', '${item[0]}'])}"
            return {"foreach": self._through(), "do": body}
        if kind == "matrix":
            axes = {
                axis: self._through(is_axis=True) for axis in "xy"[: self._random.randint(1, 2)]
            }
            body["cmd"] = f"run ${{key}} ${{item}} {self._pick(['${item.x}', '${item.y.a}', ''])}"
            return {"matrix": axes, **body}
        return body

    def _through(self, *, is_axis: bool = False) -> Any:
        if self._one_in(3):
            return self._template()
        items = [self._pick([self._leaf(), self._template(), {"a": self._leaf()}]) for _ in "12"]
        if is_axis or self._one_in(2):
            return items
        return {f"k{n}": item for n, item in enumerate(items)}

    def _text(self) -> str:
        words = [self._scalar(), "word", "\\${esc}", "${", "}", "$x", self._scalar()]
        found = self._random.sample(words, self._random.randint(1, 3))
        if self._one_in(8):
            found.append(self._template())
        return self._pick(["", " "]).join(found)

    def _scalar(self) -> str:
        return self._named(self._leaves)

    def _template(self) -> str:
        return self._named(self._paths)

    def _named(self, paths: list[str]) -> str:
        path = self._pick(paths) if paths else "nope"
        if self._one_in(25):
            path = self._pick([f"{path}.x", path[:-1], f"{path}[0]", f" {path} ", f"{path}..a"])
        if self._one_in(3):
            first, *rest = path.split(".")
            path = first + "".join(f"[{part}]" for part in rest)
        return f"${{{path}}}"

    def _tree(self, depth: int, prefix: str, above: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in "abc"[: self._random.randint(1, 3)]:
            path = f"{above}.{key}" if above else f"{prefix}{key}"
            found[key] = self._value(depth, path)
        return found

    def _value(self, depth: int, path: str) -> Any:
        self._paths.append(path)
        kind = self._random.random()
        if depth < 3 and kind < 0.35:
            return self._tree(depth + 1, "", path)
        if depth < 3 and kind < 0.55:
            count = self._random.randint(0, 3)
            return [self._value(depth + 1, f"{path}.{number}") for number in range(count)]
        self._leaves.append(path)
        return self._leaf()

    def _leaf(self) -> Any:
        texts = ["", "a b", "it's", "yes", "1e-3", "x${y}", 'q"q', "ü"]
        return self._pick([0, 7, -1, 0.5, 1e-7, 1e22, True, False, None, *texts])

    def _pick(self, things: Any) -> Any:
        return self._random.choice(list(things))

    def _one_in(self, count: int) -> bool:
        return self._random.randrange(count) == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_template_is_filled_in_as_dvc_does(seed: int) -> None:
    dice = Dice(seed)
    cases = [dice.case() for _ in range(400)]
    filled = 0
    for case, theirs in zip(cases, by_dvc(cases), strict=True):
        ours = by_nbexp(case)
        if "error" in theirs:
            assert "error" in ours, (case, theirs)
            continue
        filled += 1
        assert "error" not in ours, (case, ours)
        expected = [
            [name, {"cmd": stage["cmd"], "meta": stage.get("meta")}]
            for name, stage in theirs["stages"]
        ]
        assert ours["stages"] == expected, case
        assert ours["used"] == theirs["used"], case
    assert filled > 100


@hypothesis.given(st.text(alphabet="ab.[]{}$\\ 0", max_size=12))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        cmd = command(text, "a: {b: [1, 2]}")
    except NbexpError:
        return
    assert isinstance(cmd, str)


def test_a_mapping_of_a_list_of_lists_makes_no_option() -> None:
    with pytest.raises(Unfilled, match=r"`a\.b` is a list with lists or mappings in it"):
        interpolation.options({"a": {"b": [1, [2]]}}, {}, "${d}")
