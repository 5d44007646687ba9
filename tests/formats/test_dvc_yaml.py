from __future__ import annotations

import json
import time
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbexp.errors import ProjectFileError, UsageError
from nbexp.formats import dvc_lock, dvc_yaml, values
from nbexp.formats.dvc_yaml import OutSpec, ParamSpec, PlotSpec, StageSpec
from nbexp.formats.dvc_yaml.adding import add_stage


def parse(text: str, path: str = "dvc.yaml") -> dvc_yaml.PipelineFile:
    return dvc_yaml.parse(dedent(text).encode(), path)


def only_stage(text: str, path: str = "dvc.yaml") -> StageSpec:
    """The stage `train` with these lines."""
    body = "".join(f"    {line}\n" for line in dedent(text).splitlines())
    (stage,) = dvc_yaml.parse(f"stages:\n  train:\n{body}".encode(), path).stages
    return stage


def refusal(text: str, path: str = "dvc.yaml") -> str:
    with pytest.raises(ProjectFileError) as caught:
        parse(text, path)
    return str(caught.value)


def stage_refusal(text: str, path: str = "dvc.yaml") -> str:
    with pytest.raises(ProjectFileError) as caught:
        only_stage(text, path)
    return str(caught.value)


# --- What there can be ----------------------------------------------------------------------------


def test_a_stage_with_everything():
    file = parse("""\
        # my pipeline
        stages:
          prep:
            cmd: python prep.py

          train:
            desc: trains
            cmd: python train.py --lr 0.1
            wdir: sub
            deps: [../data, train.py]
            params:
            - lr
            - other.json: [a.b, c]
            - whole.toml:
            outs:
            - model.bin
            - log: {cache: false, persist: true, remote: big, push: false, desc: d, type: t, labels: [x], meta: {m: 1}}
            metrics:
            - metrics.json:
                cache: false
            plots:
            - curve.csv: {x: step, y: acc, title: T, template: linear, x_label: X, y_label: Y, header: false}
            frozen: true
            always_changed: true
            meta: {nbexp: {resources: {gpu: 1}}}
        """)
    assert [stage.name for stage in file.stages] == ["prep", "train"]
    assert file.stages[0] == StageSpec("prep", ("python prep.py",), "python prep.py", line=3)
    assert file.stages[1] == StageSpec(
        name="train",
        commands=("python train.py --lr 0.1",),
        cmd="python train.py --lr 0.1",
        wdir="sub",
        deps=("../data", "train.py"),
        params=(
            ParamSpec("params.yaml", ("lr",)),
            ParamSpec("other.json", ("a.b", "c")),
            ParamSpec("whole.toml"),
        ),
        outs=(
            OutSpec("model.bin"),
            OutSpec(
                "log", "outs", cache=False, persist=True, remote="big", push=False,
                desc="d", type="t", labels=("x",), meta={"m": 1},
            ),
            OutSpec("metrics.json", "metrics", cache=False),
            OutSpec(
                "curve.csv",
                "plots",
                plot={
                    "template": "linear", "x": "step", "y": "acc", "x_label": "X", "y_label": "Y",
                    "title": "T", "header": False,
                },
            ),
        ),
        frozen=True,
        always_changed=True,
        desc="trains",
        meta={"nbexp": {"resources": {"gpu": 1}}},
        line=6,
    )  # fmt: skip


def test_what_stands_at_the_top():
    file = parse("""\
        params: [params.yaml, sub/more.json]
        metrics:
        - metrics.json
        plots:
        - a.csv
        - b.json: {x: step, y: [u, v], title: T, x_label: X, y_label: Y, template: simple}
        - Both together: {x: {a.csv: s}, y: {a.csv: [p, q], b.json: u}}
        - imgs:
        artifacts:
          model: {path: model.bin, type: model, desc: d, labels: [a], meta: {x: 1}}
        datasets: [{name: a, type: dvc, url: x, path: y}]
        vars: []
        """)
    assert file.params == ("params.yaml", "sub/more.json")
    assert file.metrics == ("metrics.json",)
    assert [plot.id for plot in file.plots] == ["a.csv", "b.json", "Both together", "imgs"]
    assert file.plots[0] == PlotSpec("a.csv", None)
    assert file.plots[1].options == {
        "x": "step", "y": ["u", "v"], "title": "T", "x_label": "X", "y_label": "Y", "template": "simple",
    }  # fmt: skip
    assert file.plots[2].options == {"x": {"a.csv": "s"}, "y": {"a.csv": ["p", "q"], "b.json": "u"}}
    assert file.artifacts == {
        "model": {
            "path": "model.bin",
            "type": "model",
            "desc": "d",
            "labels": ["a"],
            "meta": {"x": 1},
        }
    }
    assert file.stages == ()


@pytest.mark.parametrize("text", ["", "\n# nothing yet\n", "stages: {}", "{}"])
def test_a_file_may_have_nothing_in_it(text):
    assert parse(text) == dvc_yaml.PipelineFile()


@pytest.mark.parametrize(
    ("text", "commands", "cmd"),
    [
        ("cmd: a", ("a",), "a"),
        ("cmd: [a, 'b c']", ("a", "b c"), ("a", "b c")),
        ("cmd: |\n  a\n\n  # note\n  b", ("a", "# note", "b"), "a\n\n# note\nb\n"),
        ("cmd: >\n  a\n  b", ("a b",), "a b\n"),
        (
            "cmd:\n- |\n  if x; then\n    y; fi",
            ("if x; then\n  y; fi\n",),
            ("if x; then\n  y; fi\n",),
        ),
        ("cmd: yes", ("yes",), "yes"),
    ],
)
def test_each_line_of_a_text_and_each_item_of_a_list_is_a_command(text, commands, cmd):
    stage = only_stage(text)
    assert stage.commands == commands
    assert stage.cmd == cmd


def test_params_of_one_file_come_together_and_all_of_it_wins():
    stage = only_stage("""\
        cmd: x
        params: [b, {p.yaml: [x]}, a, b, {params.yaml: [c]}, {p.yaml: }, {q.yaml: []}, {q.yaml: [z]}]
        """)
    assert stage.params == (
        ParamSpec("params.yaml", ("b", "a", "c")),
        ParamSpec("p.yaml"),
        ParamSpec("q.yaml"),
    )


def test_one_item_may_have_several_outs():
    stage = only_stage("{cmd: x, outs: [{a: {cache: false}, b: {push: false}}, c]}")
    assert stage.outs == (OutSpec("a", cache=False), OutSpec("b", push=False), OutSpec("c"))


def test_checkpoint_of_dvc_2_is_read_and_kept():
    assert only_stage("{cmd: x, outs: [{a: {checkpoint: true}}]}").outs == (
        OutSpec("a", checkpoint=True),
    )


def test_names_and_paths_are_kept_as_they_are_spelled():
    (stage,) = parse(
        "stages: {'a.b c@1': {cmd: x, deps: [./a, b//c, ../sub/d/]}}", "sub/dvc.yaml"
    ).stages
    assert stage.name == "a.b c@1"
    assert stage.deps == ("./a", "b//c", "../sub/d/")


def test_a_stage_can_be_the_key_of_a_mapping():
    stage = only_stage("{cmd: x, meta: {a: [1]}, plots: [{a.csv: {x: b}}]}")
    assert {stage: 1}[stage] == 1


# --- What there cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deps: 3\ncmd: x", "line 3: `deps` of stage `train` is a number (3); a list of paths is expected."),
        ("cmd: x\ndeps:", "line 4: `deps` of stage `train` is empty; a list of paths is expected."),
        ("cmd: x\ndeps: a.txt", "line 4: `deps` of stage `train` is text (`a.txt`); a list of paths is expected."),
        ("cmd: x\ndeps:\n- a\n- 3", "line 6: item 2 of `deps` of stage `train` is a number (3); text is expected."),
        ("cmd: x\nouts: {a: }", "line 4: `outs` of stage `train` is a mapping; a list of paths is expected."),
        ("cmd: x\nouts: [[a]]", "line 4: item 1 of `outs` of stage `train` is a list; a path, or a path with options, is expected."),
        ("cmd: x\nouts:\n- a:\n    cache: no", "line 6: `cache` of `a` in `outs` of stage `train` is text (`no`); true or false is expected."),
        ("cmd: x\nouts:\n- a:\n    remote: 1", "line 6: `remote` of `a` in `outs` of stage `train` is a number (1); text is expected."),
        ("cmd: x\nplots: [{a: {header: 0}}]", "line 4: `header` of `a` in `plots` of stage `train` is a number (0); true or false is expected."),
        ("cmd: x\nplots: [{a: [{x: b}]}]", "line 4: `a` in `plots` of stage `train` is a list; a mapping is expected."),
        ("cmd: x\nouts: [{a: {labels: x}}]", "line 4: `labels` of `a` in `outs` of stage `train` is text (`x`); a list of labels is expected."),
        ("cmd: x\nparams: lr", "line 4: `params` of stage `train` is text (`lr`); a list of keys is expected."),
        ("cmd: x\nparams: [1]", "line 4: item 1 of `params` of stage `train` is a number (1); a key, or a params file with its keys, is expected."),
        ("cmd: x\nparams:\n- lr\n- p.yaml: lr", "line 6: `p.yaml` in `params` of stage `train` is text (`lr`); a list of keys is expected."),
        ("cmd: x\nparams: [{p.yaml: [1]}]", "line 4: item 1 of `p.yaml` in `params` of stage `train` is a number (1); text is expected."),
        ("cmd: x\nfrozen: 1", "line 4: `frozen` of stage `train` is a number (1); true or false is expected."),
        ("cmd: x\nalways_changed: 'true'", "line 4: `always_changed` of stage `train` is text (`true`); true or false is expected."),
        ("cmd: x\nwdir: 3", "line 4: `wdir` of stage `train` is a number (3); text is expected."),
        ("cmd: x\ndesc: [a]", "line 4: `desc` of stage `train` is a list; text is expected."),
        ("deps: [a]", "line 2: stage `train` has no `cmd`."),
        ("cmd:", "line 3: `cmd` of stage `train` is empty; a command, or a list of them, is expected."),
        ("cmd: true", "line 3: `cmd` of stage `train` is `true`; a command, or a list of them, is expected."),
        ("cmd:\n- a\n- 1", "line 5: item 2 of `cmd` of stage `train` is a number (1); text is expected."),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_told_with_its_line(text, said):
    assert stage_refusal(text) == f"dvc.yaml, {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "stages: []",
            "dvc.yaml, line 1: `stages` is a list; a mapping is expected.",
        ),
        (
            "stages:\n",
            "dvc.yaml, line 1: `stages` is empty; a mapping is expected.",
        ),
        (
            "stages:\n  a: make\n",
            "dvc.yaml, line 2: stage `a` is text (`make`); a mapping is expected.",
        ),
        (
            "stages:\n  b: {cmd: x}\n  1: {cmd: x}\n",
            "dvc.yaml, line 3: `1` in `stages` is no text.\nHint: put it in quotes.",
        ),
        (
            "stage: {}",
            "dvc.yaml, line 1: `stage` is no key of a dvc.yaml.\nHint: did you mean `stages`?",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    dep: [a]\n",
            "dvc.yaml, line 4: `dep` is no key of stage `a`.\nHint: did you mean `deps`?",
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs:\n    - b:\n        cached: false\n",
            "dvc.yaml, line 6: `cached` is no key of `b` in `outs` of stage `a`.\nHint: did you mean `cache`?",
        ),
        (
            "stages: {a: {cmd: x, metrics: [{b: {q: 1}}]}}",
            (
                "dvc.yaml, line 1: `q` is no key of `b` in `metrics` of stage `a`.\n"
                "Hint: keys: cache, checkpoint, desc, labels, meta, persist, push, remote, type."
            ),
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs:\n    - b:\n",
            (
                "dvc.yaml, line 5: `b` has a colon and no options after it.\n"
                "Hint: write `- b`, or put options below."
            ),
        ),
        (
            "stages:\n  a:\n    cmd: x\n    outs: [m.json]\n    metrics: [m.json]\n",
            (
                "dvc.yaml, line 5: `m.json` is in `outs` and in `metrics`.\n"
                "Hint: keep one of the two; a metric or plot is an output already."
            ),
        ),
        (
            "metrics: m.json",
            "dvc.yaml, line 1: `metrics` is text (`m.json`); a list of paths is expected.",
        ),
        (
            "plots: {a.csv: {x: b}}",
            "dvc.yaml, line 1: `plots` is a mapping; a list of plots is expected.",
        ),
        (
            "plots:\n- a\n- 3\n",
            (
                "dvc.yaml, line 3: item 2 of `plots` is a number (3); "
                "a path, or a path or title with options, is expected."
            ),
        ),
        (
            "plots:\n- a: {x: [b]}\n",
            "dvc.yaml, line 2: `x` of `a` in `plots` is a list; text is expected.",
        ),
        (
            "plots:\n- a: {y: 3}\n",
            "dvc.yaml, line 2: `y` of `a` in `plots` is a number (3); text is expected.",
        ),
        (
            "plots:\n- a: {y: {b: [3]}}\n",
            "dvc.yaml, line 2: item 1 of `b` of `y` of `a` in `plots` is a number (3); text is expected.",
        ),
        (
            "plots:\n- a: {header: false}\n",
            (
                "dvc.yaml, line 2: `header` is no key of `a` in `plots`.\n"
                "Hint: keys: template, title, x, x_label, y, y_label."
            ),
        ),
        ("artifacts:\n  m: {type: x}\n", "dvc.yaml, line 2: `m` of `artifacts` has no `path`."),
        (
            "artifacts:\n  m: {path: x, desc: 1}\n",
            "dvc.yaml, line 2: `desc` of `m` of `artifacts` is a number (1); text is expected.",
        ),
        (
            "stages:\n  a: {cmd: x}\n  a: {cmd: y}\n",
            "dvc.yaml, line 3: this is not valid YAML: the key `a` is there twice.",
        ),
        (
            "stages:\n<<<<<<< HEAD\n  a: {cmd: x}\n",
            (
                "dvc.yaml, line 2: this file has the conflict marks of a Git merge.\n"
                "Hint: resolve them, or keep this branch's file: `git checkout --ours dvc.yaml`."
            ),
        ),
        ("- a\n", "dvc.yaml: this file is a list; a mapping is expected."),
    ],
)
def test_what_breaks_the_schema_is_told_with_its_line(text, said):
    assert refusal(text) == said


def test_a_line_is_found_for_what_an_alias_or_a_merge_brings():
    text = "x: 1\n"
    assert refusal(text).startswith("dvc.yaml, line 1: ")
    text = "stages:\n  a: &a\n    cmd: x\n    deps: 3\n  b: *a\n"
    assert refusal(text).startswith("dvc.yaml, line 4: ")


# --- Paths ------------------------------------------------------------------------------------------


# Files outside of the project may be read, as in DVC, and not be written.
ELSEWHERE = ("/etc/passwd", "../x", "a/../../x")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/passwd", "is an absolute path; a path inside the project is expected."),
        ("/", "is an absolute path; a path inside the project is expected."),
        ("C:/x", "is an absolute path; a path inside the project is expected."),
        ("../x", "leads out of the project; a path inside the project is expected."),
        ("a/../../x", "leads out of the project; a path inside the project is expected."),
        ("..", "leads out of the project; a path inside the project is expected."),
        ("", "is empty; a path inside the project is expected."),
        (".git/hooks/post-checkout", "is in .git, which is not for stages."),
        ("sub/.GIT/config", "is in .git, which is not for stages."),
        (".dvc/config", "is in .dvc, which is not for stages."),
        ("a\\0b", "has a control character in it."),
        ("a\\nb", "has a control character in it."),
        ("data./x", "has a name with a dot or space at its end, which not every system can hold."),
        ("data ", "has a name with a dot or space at its end, which not every system can hold."),
        ("aux", "has a name that Windows keeps for a device."),
        ("out/Com1.csv", "has a name that Windows keeps for a device."),
    ],
)
@pytest.mark.parametrize("key", ["deps", "outs", "metrics", "plots"])
def test_a_path_that_leads_elsewhere_is_refused(key, path, said):
    if key == "deps" and path in ELSEWHERE:
        assert parse(f'stages: {{train: {{cmd: x, deps: ["{path}"]}}}}').stages[0].deps == (path,)
        return
    found = stage_refusal(f'cmd: x\n{key}:\n- "{path}"')
    shown = path.encode().decode("unicode_escape")
    shown = shown if shown.isprintable() else repr(shown)[1:-1]
    assert found == f"dvc.yaml, line 5: `{shown}` in `{key}` of stage `train` {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: {a: {cmd: x, wdir: ..}}", "`..` in `wdir` of stage `a` leads out"),
        ("stages: {a: {cmd: x, wdir: .git}}", "`.git` in `wdir` of stage `a` is in .git"),
        (
            "stages: {a: {cmd: x, outs: [{/a: {cache: false}}]}}",
            "`/a` in `outs` of stage `a` is an absolute",
        ),
        (
            "stages: {a: {cmd: x, params: [{.git/p.yaml: [a]}]}}",
            "`.git/p.yaml` in `params` of stage `a` is in .git",
        ),
        ("metrics: [/m.json]", "`/m.json` in `metrics` is an absolute path"),
        ("params: [../p.yaml]", "`../p.yaml` in `params` leads out"),
        ("plots: [../a.csv]", "`../a.csv` in `plots` leads out"),
        ("plots: [{../a.csv: {x: b}}]", "`../a.csv` in `plots` leads out"),
        ("plots: [{T: {y: {/a.csv: b}}}]", "`/a.csv` in `y` of `T` in `plots` is an absolute path"),
        (
            "plots: [{T: {x: {/a.csv: b}, y: {a.csv: b}}}]",
            "`/a.csv` in `x` of `T` in `plots` is an absolute",
        ),
        ("artifacts: {m: {path: ../m}}", "`../m` in `path` of `m` of `artifacts` leads out"),
    ],
)
def test_paths_are_looked_at_wherever_they_stand(text, said):
    assert said in refusal(text)


def test_a_title_of_a_plot_is_no_path():
    assert parse("plots: [{'../T: a. ': {y: {a.csv: b}}}]").plots[0].id == "../T: a. "


def test_a_path_is_seen_from_where_the_file_and_its_wdir_are():
    text = "stages: {a: {cmd: x, wdir: deep, deps: [../../data]}}"
    assert parse(text, "sub/dvc.yaml").stages[0].deps == ("../../data",)
    outs = text.replace("deps", "outs")
    assert parse(outs, "sub/dvc.yaml").stages[0].outs[0].path == "../../data"
    assert "leads out of the project" in refusal(outs)


@pytest.mark.parametrize(
    "url", ["https://host/a.csv?b=1", "s3://bucket/data", "gs://b/d", "azure://c/d", "remote://r/d"]
)
def test_a_stage_may_read_a_url_whose_storage_tells_when_it_changes(url):
    assert only_stage(f"cmd: x\ndeps: ['{url}', a.txt]").deps == (url, "a.txt")


@pytest.mark.parametrize(
    ("section", "url"),
    [("deps", "ssh://host/data"), ("deps", "file:///etc/passwd"), ("deps", "http://host/\x1b[2J"),
     ("outs", "s3://bucket/data"), ("metrics", "https://host/m.json"), ("params", "https://host/p.yaml")],
)  # fmt: skip
def test_any_other_url_is_refused_with_what_brings_the_data_in(section, url):
    item = f"[{{{json.dumps(url)}: [a]}}]" if section == "params" else f"[{json.dumps(url)}]"
    said = stage_refusal(f"cmd: x\n{section}: {item}")
    assert "of stage `train` is a URL; a path inside the project is expected.\n" in said
    assert said.endswith("Hint: `dvc import-url` brings data into the project.")


# --- Templates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages:\n  a:\n    cmd: train ${lr} ${x}\n", "line 3: `cmd` of stage `a` has `${lr}`"),
        ("stages:\n  a:\n    cmd: x\n    deps:\n    - a\n    - ${b}\n", "line 6: item 2 of `deps` of stage `a` has `${b}`"),
        ("stages:\n  a:\n    cmd: x\n    outs:\n    - ${b}:\n        cache: false\n", "line 5: item 1 of `outs` of stage `a` has `${b}`"),
        ("stages: {a: {cmd: x, meta: {k: '${v}'}}}", "line 1: `k` of `meta` of stage `a` has `${v}`"),
        ("metrics:\n- ${m}\n", "line 2: item 1 of `metrics` has `${m}`"),
        ("stages: {a: {cmd: 'echo ${HOME:-x}'}}", "line 1: `cmd` of stage `a` has `${HOME:-x}`"),
    ],
)  # fmt: skip
def test_a_template_that_names_nothing_is_shown(text, said):
    name = said.partition("`${")[2].removesuffix("}`")
    assert refusal(text) == (
        f"dvc.yaml, {said}, and there is nothing that it could name.\n"
        f"Hint: for a variable of the shell write `\\${{{name}}}`."
    )


def test_datasets_are_read_and_a_stage_may_read_one():
    text = "datasets:\n- {name: imgs, type: url, url: s3://bucket/imgs}\n"
    assert parse(text + "stages: {a: {cmd: x}}\n").datasets == (
        {"name": "imgs", "type": "url", "url": "s3://bucket/imgs"},
    )
    read = parse(text + "stages: {a: {cmd: x, deps: ['ds://imgs']}}\n")
    assert read.stages[0].deps == ("ds://imgs",)
    assert "item 1 of `datasets` has no `type`" in refusal("datasets: [{name: x}]\n")


def test_an_escaped_template_is_the_shells_and_a_dollar_alone_is_none():
    assert only_stage(r"cmd: echo \${HOME} $HOME $(date) ${").cmd == "echo ${HOME} $HOME $(date) ${"
    assert only_stage(r"{cmd: x, outs: [{'\${a}': {desc: '\${b}'}}]}").outs[0] == OutSpec(
        "${a}", desc="${b}"
    )


# --- A new stage --------------------------------------------------------------------------------------

TRAIN = {
    "cmd": "nbexp notebook train.ipynb runs/train.ipynb --params train",
    "deps": ["train.ipynb", "data"],
    "params": ["train", "seed", {"other.json": ["b", "a"]}],
    "outs": ["runs/train.ipynb"],
    "metrics": [{"metrics.json": {"cache": False}}],
    "plots": [{"dvclive/plots/metrics": {"x": "step", "cache": False}}],
}
TRAIN_TEXT = """\
  train:
    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train
    deps:
    - data
    - train.ipynb
    params:
    - seed
    - train
    - other.json:
      - a
      - b
    outs:
    - runs/train.ipynb
    metrics:
    - metrics.json:
        cache: false
    plots:
    - dvclive/plots/metrics:
        cache: false
        x: step
"""


def added(text: str, name: str = "train", stage: object = TRAIN) -> str:
    assert isinstance(stage, dict)
    return add_stage(dedent(text).encode(), name, stage).decode()


def test_the_first_stage_makes_the_file():
    assert add_stage(None, "train", TRAIN).decode() == "stages:\n" + TRAIN_TEXT
    assert added("") == "stages:\n" + TRAIN_TEXT
    assert added("# mine\n") == "# mine\nstages:\n" + TRAIN_TEXT


def test_a_stage_is_added_at_the_end_and_nothing_else_moves():
    before = """\
# My pipeline
vars: []

stages:
  prep:   # first
    cmd: "python prep.py"
    outs:
      - prep   # a folder
"""
    assert added(before) == before + TRAIN_TEXT


def test_what_follows_the_stages_stays_behind_them():
    head = "stages:\n  prep:\n    cmd: x\n  # a note on stages\n"
    tail = "\n# The numbers\nmetrics: [metrics.json]\n"
    assert added(head + tail) == head + TRAIN_TEXT + tail


def test_a_file_without_stages_gets_them_last():
    assert added("metrics: [m.json]") == "metrics: [m.json]\nstages:\n" + TRAIN_TEXT


def test_the_files_own_indent_and_line_ends_are_kept():
    stages = "stages:\n    prep:\n        cmd: x"
    text = added(stages, "b", {"cmd": "y", "deps": ["d"]})
    assert text == stages + "\n    b:\n      cmd: y\n      deps:\n      - d\n"
    assert added("stages:\r\n  a:\r\n    cmd: x\r\n", "b", {"cmd": "y"}) == (
        "stages:\r\n  a:\r\n    cmd: x\r\n  b:\r\n    cmd: y\r\n"
    )


@pytest.mark.parametrize(
    "before",
    [
        "stages:\n  a:\n    cmd: |\n      one\n      two\n",
        "stages:\n  a:\n    cmd: |+\n      one\n\nmetrics: []\n",
        "stages:\n  a:\n    cmd: x\n    meta: [1,\n  2]\n",
        "stages:\n  a:\n    cmd: x\n    desc: a\n      folded text\nplots: [a]\n",
        "stages:\n  a: &a\n    cmd: x\n  b: *a\n",
        "stages:\n  a: {cmd: x}\n...\n",
        "---\nstages:\n  a:\n    cmd: x\n    deps:\n    - a\n",
        "stages: {a: {cmd: x}}\nmetrics: [b]  # c\n",
        "{stages: {a: {cmd: x}}}",
        "stages: {}\n# end\n",
        "  stages:\n    a:\n      cmd: x\n",
        "stages:\n  ? a\n  : cmd: x\n",
    ],
)
def test_however_the_file_is_written_the_stage_is_in_it_afterwards(before):
    tree = values.parse(before.encode(), "dvc.yaml")
    after = values.parse(added(before, "new", {"cmd": "y"}).encode(), "dvc.yaml")
    assert isinstance(tree, dict)
    assert after == {**tree, "stages": {**tree["stages"], "new": {"cmd": "y"}}}


def test_definitions_are_written_in_dvcs_order_without_what_is_empty():
    text = added(
        "",
        "s",
        {
            "meta": {"b": 1},
            "outs": ["b", {"a": {"push": False, "persist": True, "desc": "d", "remote": "r"}}],
            "params": [{"params.yaml": None}],
            "wdir": "sub",
            "cmd": ["one", "two"],
            "deps": [],
            "frozen": False,
            "desc": "what",
        },
    )
    assert text == dedent("""\
        stages:
          s:
            desc: what
            cmd:
            - one
            - two
            wdir: sub
            params:
            - params.yaml:
            outs:
            - a:
                desc: d
                persist: true
                remote: r
                push: false
            - b
            meta:
              b: 1
        """)


def test_a_stage_that_is_there_is_replaced_only_by_force():
    before = b"stages:\n  train:   # mine\n    cmd: x\n  b:\n    cmd: z  # keep\n"
    with pytest.raises(UsageError) as caught:
        add_stage(before, "train", {"cmd": "y"})
    assert str(caught.value) == (
        "Stage `train` already exists in dvc.yaml. Nothing was written.\n"
        "Hint: `nbexp stage add --force -n train …` replaces it."
    )
    assert add_stage(before, "train", {"cmd": "y"}, force=True) == (
        b"stages:\n  train:   # mine\n    cmd: y\n  b:\n    cmd: z  # keep\n"
    )


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a@b", "a:b", "a*"])
def test_a_name_that_dvc_would_refuse_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name of a stage"):
        add_stage(None, name, {"cmd": "x"})


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({}, "Stage `s` has no `cmd`."),
        ({"cmd": "x", "deps": "a"}, "`deps` of stage `s` is text (`a`); a list of paths is expected."),
        ({"cmd": "x", "outs": ["/a"]}, "`/a` in `outs` of stage `s` is an absolute path; a path inside the project is expected."),
        ({"cmd": "echo ${x}"}, "`cmd` of stage `s` has `${x}`, and there is nothing that it could name."),
    ],
)  # fmt: skip
def test_a_definition_that_would_be_refused_later_is_refused_now(stage, said):
    with pytest.raises(UsageError) as caught:
        add_stage(None, "s", stage)
    assert caught.value.message == said


def test_an_escaped_template_is_written_as_it_was_given():
    data = add_stage(None, "s", {"cmd": "echo \\${HOME}"})
    assert data == b"stages:\n  s:\n    cmd: echo \\${HOME}\n"
    assert dvc_yaml.parse(data, "dvc.yaml").stages[0].cmd == "echo ${HOME}"


def test_nothing_is_added_to_a_file_that_is_wrong():
    with pytest.raises(ProjectFileError, match=r"^sub/dvc.yaml, line \d: "):
        add_stage(b"stages: [", "s", {"cmd": "x"}, path="sub/dvc.yaml")


PATHS = st.from_regex(r"[a-z]{1,8}(/[a-z ]{0,5}[a-z]){0,2}", fullmatch=True).filter(
    lambda path: not {"con", "prn", "aux", "nul"} & set(path.split("/"))
)
# Letters that ruamel.yaml, and so DVC, does not write in a way that can be read again.
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="$\x85\u2028\u2029\ufeff"), max_size=90
)
DEFINITIONS = st.fixed_dictionaries(
    {"cmd": TEXTS.filter(str.strip)},
    optional={
        "deps": st.lists(PATHS, max_size=3, unique=True),
        "params": st.lists(st.sampled_from(["lr", "train", "a.b"]), max_size=3, unique=True),
        "outs": st.lists(PATHS, max_size=2, unique=True),
        "frozen": st.booleans(),
        "desc": TEXTS,
    },
)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.from_regex("[a-z]{1,8}", fullmatch=True), DEFINITIONS, min_size=1, max_size=4
    )
)
def test_stages_added_one_by_one_are_all_read_again(stages):
    data = None
    for name, definition in stages.items():
        before = data or b""
        data = add_stage(data, name, definition)
        assert data.startswith(before)
    assert data is not None
    found = {stage.name: stage for stage in dvc_yaml.parse(data, "dvc.yaml").stages}
    assert list(found) == list(stages)
    for name, definition in stages.items():
        assert found[name].cmd == definition["cmd"]
        assert found[name].deps == tuple(sorted(definition.get("deps", [])))
        assert {out.path for out in found[name].outs} == set(definition.get("outs", []))


def test_a_file_of_a_hundred_stages_is_read_in_a_tenth_of_a_second():
    stages = {f"s{number}": {**TRAIN, "outs": [f"o{number}"]} for number in range(100)}
    data = dvc_lock.dump_tree({"stages": stages})
    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert len(dvc_yaml.parse(data, "dvc.yaml").stages) == 100
        times.append(time.perf_counter() - started)
    assert min(times) < 0.1
