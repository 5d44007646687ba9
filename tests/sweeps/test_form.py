"""The form of a sweep, as a table: what is answered, and the command that it comes to."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp import commands, render
from nbexp.commands import sweep as verb
from nbexp.errors import UsageError
from nbexp.experiments.table import Data
from nbexp.overrides import spell
from nbexp.sweeps.form import Answer, Answers, Metric, Picker, SweepForm, asking, fields

TREE = {
    "train": {"lr": 0.1, "epochs": 3, "model": "big", "dropout": True, "layers": [64, 32], "cap": None},
    "seed": 0,
}  # fmt: skip
PAST = [
    Data({"params.yaml": {"train": {"lr": 0.05, "model": "small, or not", "epochs": 10}}}),
    Data({"params.yaml": {"train": {"lr": 1e-4, "model": "it's"}}}),
]
PICKERS = (Picker("grid"), Picker("random"), Picker("optuna", needs_metric=True))


def made(**changes: Any) -> SweepForm:
    present = Data({"params.yaml": TREE, "other.json": {"depth": 2}})
    whole: dict[str, Any] = {
        "fields": fields.params(present, PAST),
        "metrics": (Metric("acc", "maximize"), Metric("loss", "minimize"), Metric("ratio")),
        "pickers": PICKERS,
        "optuna_samplers": ("tpe", "random"),
        "pruners": ("median", "none"),
    }
    return SweepForm(**{**whole, **changes})


def params(**answers: Answer) -> dict[str, Answer]:
    """By name, `train__lr` for `train.lr`."""
    return {name.replace("__", "."): one for name, one in answers.items()}


LR = Answer("values", values="0.1, 0.2")
BETWEEN = Answer("interval", low="1e-4", high="0.1", log=True)

# What is answered, and the command as a terminal takes it.
LINES: list[tuple[Answers, str]] = [
    (Answers(params(train__lr=LR)), "sweep -S train.lr=0.1,0.2"),
    (Answers(params(train__lr=LR), jobs="2", name="lr"), "sweep -S train.lr=0.1,0.2 -j 2 -n lr"),
    (
        Answers(params(train__lr=Answer("range", start="0.1", stop="0.5", step=".2"))),
        "sweep -S 'train.lr=range(0.1,0.5,0.2)'",
    ),
    (
        Answers(params(train__epochs=Answer("range", start="1", stop="4"))),
        "sweep -S 'train.epochs=range(1,4)'",
    ),
    (
        Answers(params(train__dropout=Answer("choices", chosen=("false", "true")))),
        "sweep -S train.dropout=false,true",
    ),
    (
        Answers(params(train__model=Answer("values", values="big, a b,'x,y'"))),
        """sweep -S "train.model=big,a b,'x,y'\"""",
    ),
    (
        Answers(params(train__layers=Answer("values", values="[1,2], [3]"))),
        "sweep -S 'train.layers=[1,2],[3]'",
    ),
    (
        Answers(params(train__cap=Answer("values", values="null,5"))),
        "sweep -S train.cap=null,5",
    ),
    (
        Answers({"other.json:depth": Answer("values", values="1,2")}, metric="loss"),
        "sweep --minimize loss -S other.json:depth=1,2",
    ),
    (
        Answers(params(train__lr=LR, train__epochs=Answer("values", values="5")), metric="ratio", direction="maximize"),
        "sweep --maximize ratio -S train.lr=0.1,0.2 -S train.epochs=5",
    ),
    (
        Answers(params(train__lr=LR), repeat="3"),
        "sweep -S train.lr=0.1,0.2 --repeat 3",
    ),
    (
        Answers(repeat="3"),
        "sweep --repeat 3",
    ),
    (
        Answers(params(train__lr=LR), repeat="2", seed_param="train.epochs"),
        "sweep -S train.lr=0.1,0.2 --repeat 2 --seed-param train.epochs",
    ),
    (
        Answers(params(train__lr=BETWEEN), sampler="random", trials="20", metric="acc"),
        "sweep --random 20 --maximize acc -S 'train.lr=tag(log,interval(0.0001,0.1))'",
    ),
    (
        Answers(params(train__lr=BETWEEN), sampler="optuna", trials="40", metric="loss", jobs="4", new=True),
        "sweep --optuna 'minimize loss' --trials 40 -S 'train.lr=tag(log,interval(0.0001,0.1))' -j 4 --new",
    ),
    (
        Answers(params(train__lr=LR), sampler="optuna", trials="4", metric="loss", optuna="random", pruner="none"),
        "sweep --optuna 'minimize loss' --trials 4 --sampler random --pruner none -S train.lr=0.1,0.2",
    ),
    (
        Answers(params(train__lr=LR), when="queue", jobs="2", name="lr", metric="acc"),
        "run --queue -S train.lr=0.1,0.2 -n lr",
    ),
    (
        Answers(params(train__lr=LR), when="queue", repeat="3", new=True),
        "run --queue -S train.lr=0.1,0.2 -S seed=0,1,2 --new",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "line"), LINES, ids=[line for _, line in LINES])
def test_answers_come_to_a_line(answers: Answers, line: str) -> None:
    asked = made().ask(answers)
    assert [one.message for one in asked.problems] == []
    assert asked.line == f"nbexp {line}"
    # The line is one that a shell takes apart into the same words, and the parser takes.
    words = shlex.split(line)
    assert words == list(asked.words)
    commands.parser(words[0]).parse_args(words[1:])
    commands.parser("sweep").parse_args([*asked.counting[1:], "--dry"])


def test_the_line_reads_back_as_the_same_request() -> None:
    for answers, _ in LINES:
        if answers.when == "queue":
            continue
        words = made().ask(answers).words
        read = verb._asked(commands.parser("sweep").parse_args([*words[1:]]), [], {})
        assert read["sampler"] == (None if answers.sampler == "grid" else answers.sampler)
        assert read["trials"] == (int(answers.trials) if answers.trials else None)
        assert read["repeat"] == int(answers.repeat)
        assert read["jobs"] == int(answers.jobs)
        assert read["name"] == (answers.name or None)
        assert read["seed_param"] == (answers.seed_param or None)
        assert read["new"] is answers.new
        assert (read["minimize"] or read["maximize"] or "") == answers.metric
        # What the form is filled in with from the line comes to the same line.
        again = asking.filled(read["space"])
        assert {*again.params} == {
            name for name, one in answers.params.items() if one.how != "keep"
        }
        assert made().ask(Answers(**{**vars(answers), "params": again.params})).words == words


# What is answered, where it is told, and what.
MENDED: list[tuple[Answers, str, str, str | None]] = [
    (Answers(), "", "Nothing varies yet.", "give a param several values, a range or an interval."),
    (
        Answers(params(train__lr=Answer("values", values="0.5"))),
        "",
        "Nothing varies: each param has one value.",
        "give a param several values, a range or an interval.",
    ),
    (Answers(params(train__lr=Answer("values"))), "train.lr", "There are no values yet.", "with commas between: 0.1,0.05"),
    (Answers(params(train__model=Answer("values"))), "train.model", "There are no values yet.", "with commas between: a,b"),
    (Answers({"train.lrr": LR}), "train.lrr", "There is no param `train.lrr`.", "did you mean `train.lr`?"),
    (
        Answers(params(train__lr=Answer("values", values="0.1,,"))),
        "train.lr",
        "`train.lr=0.1,,` cannot be read.",
        """text with grammar in it stands in quotes: `nbexp run -S 'train.lr="0.1,,"'`.""",
    ),
    (Answers(params(train__lr=Answer("range", start="x", stop="1"))), "train.lr", "The start `x` is no number.", "a number, such as 0.1 or 1e-4"),
    (Answers(params(train__lr=Answer("range", start="0"))), "train.lr", "The stop is missing.", "a number, such as 0.1"),
    (
        Answers(params(train__lr=Answer("range", start="3", stop="1"))),
        "train.lr",
        "`train.lr=range(3,1)` is an empty range.",
        "the stop of `range` is not part of it.",
    ),
    (Answers(params(train__lr=Answer("interval", low="nan", high="1"))), "train.lr", "The lower end `nan` is no number.", "a number, such as 0.1 or 1e-4"),
    (
        Answers(params(train__lr=Answer("interval", low="0", high="1", log=True)), sampler="random", trials="2"),
        "train.lr",
        "`train.lr=tag(log,interval(0,1))` begins at 0.0; by orders of magnitude there is no way up from there.",
        "begin above 0: `nbexp sweep -S 'train.lr=tag(log,interval(1e-5,1.0))'`.",
    ),
    (
        Answers(params(train__lr=BETWEEN)),
        ":sampler",
        "`train.lr` may be any number, and a grid has an end.",
        "let the sampler be random or optuna; or give the param a range.",
    ),
    (Answers(params(train__model=Answer("choices"))), "train.model", "None is ticked yet.", "tick two or more"),
    (
        Answers(params(train__model=Answer("choices", chosen=("<b>",)))),
        "train.model",
        "`<b>` is none of its known values.",
        None,
    ),
    (Answers(params(train__lr=LR), repeat="0"), ":repeat", "`0` is no number above 0.", "a whole number, such as 3"),
    (Answers(params(train__lr=LR), jobs=""), ":jobs", "It is not said how many run at once.", "a whole number, such as 3"),
    (Answers(params(train__lr=LR), sampler="random"), ":trials", "With `random` there is no end of points.", "how many are to be tried? 20"),
    (Answers(params(train__lr=LR), sampler="optuna", trials="4"), ":metric", "`optuna` needs to know which metric it is about.", "there is acc, loss, ratio"),
    (Answers(params(train__lr=LR), metric="ratio"), ":direction", "Nothing says which way is better for `ratio`.", "minimize or maximize"),
    (Answers(params(train__lr=LR), metric="acc loss"), ":metric", "`acc loss` is no name of one metric.", "names of metrics have no spaces and commas"),
    (
        Answers(params(train__lr=LR), sampler="random", trials="3", when="queue"),
        ":when",
        "`random` picks points while the sweep runs, and what waits in the queue is known before.",
        "run it now, which does not block the notebook; or let the sampler be grid.",
    ),
    (
        Answers(params(train__lr=LR, seed=Answer("values", values="1,2")), repeat="2"),
        "",
        "`seed` has values already, and `--repeat 2` gives it others.",
        "leave one of the two out.",
    ),
    (
        Answers(params(train__lr=Answer("values", values="'a\u200bb',c"))),
        "train.lr",
        "There is a letter that cannot be typed on one line.",
        "name the values",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "where", "message", "hint"), MENDED, ids=[f"{one[1]} {one[2]}" for one in MENDED]
)
def test_what_is_to_be_mended_is_told_where_it_is(
    answers: Answers, where: str, message: str, hint: str | None
) -> None:
    asked = made().ask(answers)
    assert asked.words == asked.counting == ()
    assert asked.line == ""
    (problem,) = [one for one in asked.problems if not one.is_advice]
    assert (problem.where, problem.message) == (where, message)
    if hint is not None:
        assert problem.hint == hint


def test_values_of_another_kind_are_told_and_hold_up_nothing() -> None:
    for text, said in (
        ("0.1,fast", "`fast` is text."),
        ("true,false", "`true` is yes or no."),
        ("[1],0.1", "`[1]` is a list."),
    ):
        asked = made().ask(Answers(params(train__lr=Answer("values", values=text))))
        (problem,) = asked.problems
        assert problem.message == said
        assert problem.hint == "`train.lr` is a number now: 0.1"
        assert problem.is_advice
        assert asked.line
    asked = made().ask(Answers(params(train__epochs=Answer("values", values="1,2.5"))))
    assert [one.message for one in asked.problems] == ["`2.5` is a number."]


def test_equal_values_are_one() -> None:
    asked = made().ask(Answers(params(train__lr=Answer("values", values="0.1,.1,0.2"))))
    assert asked.line == "nbexp sweep -S train.lr=0.1,0.2"
    assert [one.message for one in asked.problems] == ["3 values, 1 of them twice."]


def test_values_are_told_in_words() -> None:
    told = (
        made()
        .ask(
            Answers(
                params(
                    train__lr=BETWEEN,
                    train__epochs=Answer("interval", low="1", high="9"),
                    train__cap=Answer("range", start="0", stop="20"),
                    seed=Answer("values", values="7"),
                ),
                sampler="random",
                trials="2",
            )
        )
        .told
    )
    assert told == {
        "train.lr": "any number from 0.0001 to 0.1, by orders of magnitude",
        "train.epochs": "any whole number from 1 to 9",
        "train.cap": "20 values: 0, 1, 2, 3, 4, 5, …",
        "seed": "7 in every run",
    }


def test_fields_have_kinds_ways_and_the_values_that_there_were() -> None:
    found = {one.name: one for one in made().fields}
    assert [(name, one.kind) for name, one in found.items()] == [
        ("train.lr", "number"),
        ("train.epochs", "whole number"),
        ("train.model", "text"),
        ("train.dropout", "yes or no"),
        ("train.layers", "list"),
        ("train.cap", "nothing"),
        ("seed", "whole number"),
        ("other.json:depth", "whole number"),
    ]
    assert found["train.lr"].known == (0.0001, 0.05, 0.1)
    assert found["train.dropout"].known == (False, True)
    assert found["train.model"].known == ("it's", "small, or not", "big")
    assert found["train.lr"].ways == ("keep", "values", "range", "interval", "choices")
    assert found["train.dropout"].ways == ("keep", "choices", "values")
    assert found["seed"].ways == ("keep", "values", "range", "interval")
    chosen = tuple(spell(one) for one in found["train.model"].known[:2])
    asked = made().ask(Answers(params(train__model=Answer("choices", chosen=chosen))))
    assert shlex.split(asked.line)[-1] == r"train.model='it\'s','small, or not'"


def test_a_param_that_cannot_be_typed_is_shown_and_says_why() -> None:
    tree = {"<script>x</script>": 1, "a=b": 2, "fine": 3}
    form = made(fields=fields.params(Data({"params.yaml": tree}), []))
    odd, other, fine = form.fields
    assert odd.problem == "`<script>x</script>` in `<script>x</script>=0` is no key of a param."
    assert other.problem is not None
    assert fine.problem is None
    assert odd.ways == ("keep",)
    asked = form.ask(Answers({"<script>x</script>": LR}))
    assert [one.where for one in asked.problems if one.message == odd.problem] == [odd.name]


def test_params_are_spelled_as_from_the_directory() -> None:
    present = Data({"sub/params.yaml": {"lr": 0.1}, "params.yaml": {"lr": 0.2}})
    found = fields.params(present, [], "sub")
    assert [one.name for one in found] == ["lr", "../params.yaml:lr"]


def test_metrics_have_the_shortest_name_that_is_theirs_and_a_direction() -> None:
    first = Data(metrics={"metrics.json": {"acc": 0.9, "size": 3, "name": "x", "ok": True}})
    second = Data(metrics={"metrics.json": {"acc": 0.9}, "eval.json": {"size": 4, "test": {"loss": 1}}})  # fmt: skip
    found = fields.metrics([first, second], {"eval.json:size": "lower"})
    assert [(one.name, one.direction) for one in found] == [
        ("acc", "maximize"),
        ("test.loss", "minimize"),
        ("metrics.json:size", None),
        ("eval.json:size", None),
    ]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"params": []},
        {"params": {"train.lr": []}},
        {"params": {"train.lr": {"how": "nonsense", "values": 3}}},
        {"jobs": {}, "repeat": None, "trials": [1], "new": "yes", "sampler": 5},
    ],
)
def test_whatever_a_page_sends_is_answered(sent: dict[str, Any]) -> None:
    asked = made().ask(Answers.from_json(sent))
    assert asked.words == ()
    assert asked.problems


def test_answers_survive_the_page() -> None:
    for answers, _ in LINES:
        assert Answers.from_json(answers.to_json()) == answers
        assert Answers.from_json(answers.to_json()).params == answers.params


def test_a_line_fills_the_form_in() -> None:
    items = ["train.lr=tag(log,interval(1e-4,0.1))", "train.epochs=range(1,4)", "train.model=a,b"]
    assert asking.filled(items).params == {
        "train.lr": Answer("interval", low="0.0001", high="0.1", log=True),
        "train.epochs": Answer("values", values="range(1,4)"),
        "train.model": Answer("values", values="a,b"),
    }
    with pytest.raises(UsageError, match="does more than change a param"):
        asking.filled(["+train.new=1,2"])


class TestInAProject:
    def test_the_form_knows_params_metrics_and_past_values(
        self, pipeline_project: Callable[..., Path]
    ) -> None:
        project = nbexp.open(pipeline_project())
        project.run({"train.lr": 0.05})
        form = project.sweeps.form()
        project.close()
        assert [(one.name, one.value) for one in form.fields] == [
            ("prepare.rows", 20),
            ("train.lr", 0.05),
            ("train.epochs", 3),
            ("seed", 0),
        ]
        assert form.seeds == ("seed",)
        assert [(one.name, one.direction) for one in form.metrics] == [
            ("acc", "maximize"),
            ("steps.last", None),
        ]
        assert [one.name for one in form.pickers][:3] == ["grid", "random", "optuna"]
        assert all(one.problem is None for one in form.pickers)

    def test_without_a_front_end_the_params_and_the_line_are_text(
        self, pipeline_project: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        project = pipeline_project()
        assert nbexp_cli("sweep", "-i", cwd=project, code=0).stdout == (
            "param         is            now  had\n"
            "prepare.rows  whole number  20\n"
            "train.lr      number        0.1\n"
            "train.epochs  whole number  3\n"
            "seed          whole number  0\n"
            "for example: nbexp sweep -S prepare.rows=20,40\n"
        )
        filled = nbexp_cli(
            "sweep", "-i", "-S", "train.lr=0.1,0.2", "-j", "2", "--maximize", "acc", cwd=project
        )
        assert filled.stdout.splitlines()[-1] == (
            "the line: nbexp sweep --maximize acc -S train.lr=0.1,0.2 -j 2"
        )
        refused = nbexp_cli("sweep", "-i", "--detach", cwd=project, code=2)
        assert "The form does not ask for `--detach`." in refused.stderr

    def test_runs_that_are_recorded_already_are_counted_and_take_no_time(
        self, pipeline_project: Callable[..., Path]
    ) -> None:
        root = pipeline_project()
        project = nbexp.open(root)
        for lr in (0.05, 0.06):
            project.run({"train.lr": lr})
        project.run({"train.lr": 0.1})
        plan = project.sweeps.plan({"train.lr": [0.05, 0.06, 0.07, 0.08]}, jobs=2)
        assert (plan.trials, plan.recorded) == (4, 2)
        assert plan.seconds is not None and plan.seconds > 0
        assert plan.whole_s == plan.seconds
        said = render.text(plan)
        assert said.startswith("4 runs, 2 at a time, picked by grid; 2 are recorded already\n")
        assert project.sweeps.plan({"train.lr": [0.05, 0.06]}).recorded == 2
        assert project.sweeps.plan({"train.lr": [0.05, 0.06]}, new=True).recorded == 0
        assert project.sweeps.plan({"train.lr": [0.05, 0.06]}, sampler="random", trials=2).recorded is None  # fmt: skip
        # What is counted is what comes out: of four trials two run.
        sweep = project.sweep({"train.lr": [0.05, 0.06, 0.07, 0.08]}, jobs=2)
        names = {one.name for one in sweep.trials}
        known = {row.name for row in project.show().experiments}
        assert len(known) == 5
        assert names < known
        project.close()
