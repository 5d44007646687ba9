"""`plot`: which words are columns, which type fits, what is drawn, as numbers, as a picture and as code."""

from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import cli, plots
from nbexp.errors import NotFound, UsageError
from nbexp.experiments.selection import Revisions
from nbexp.plots import look, render
from nbexp.testing.plots import problems

if TYPE_CHECKING:
    from nbexp import Project


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def eight(project: Project, _made: dict[str, Path], tmp_path_factory: Any) -> Project:
    """lr 0.01, 0.03, 0.1 and 0.5, each with seed 0 and 1: `lr0.01-0` and so on, the last one the newest."""
    import shutil

    import nbexp

    if "eight" not in _made:
        for lr, seed in itertools.product((0.01, 0.03, 0.1, 0.5), (0, 1)):
            project.run({"train.lr": lr, "seed": seed}, name=f"lr{lr}-{seed}")
        place = tmp_path_factory.mktemp("eight") / "project"
        shutil.copytree(project.root, place, symlinks=True)
        _made["eight"] = place
        return project
    place = project.root.parent / "eight"
    shutil.copytree(_made["eight"], place, symlinks=True)
    return nbexp.open(place)


def rows(plot: Any) -> list[dict[str, Any]]:
    return look.rows_of(plot.spec)


# ---- words


@pytest.mark.parametrize(
    ("words", "options", "kind"),
    [
        (("acc",), {}, "line"),
        (("acc", "lr0.03-0"), {}, "line"),
        (("acc",), {"group_by": "train.lr"}, "band"),
        (("train.lr", "acc"), {}, "scatter"),
        (("lr", "acc"), {}, "scatter"),
        (("train.lr", "seed", "acc"), {}, "contour"),
        (("train.lr", "train.epochs", "seed", "acc"), {}, "parallel"),
        (("name", "acc"), {}, "box"),
        (("importance", "acc"), {}, "importance"),
        (("history", "acc", "lr0.03-0", "lr0.03-1"), {}, "history"),
        (("acc",), {"kind": "parallel"}, "parallel"),
        (("acc",), {"kind": "scatter,line"}, "scatter,line"),
        (("acc",), {"kind": ["scatter", "line"]}, "scatter,line"),
    ],
)
def test_the_words_tell_what_is_drawn(
    words: tuple[str, ...], options: dict[str, Any], kind: str, eight: Project
) -> None:
    plot = eight.plot(*words, **options)
    assert plot.kind == kind
    assert problems(plot.spec) == []


def test_a_param_against_the_metric(eight: Project) -> None:
    plot = eight.plot("train.lr", "acc")
    found = {row["experiment"]: (row["x"], row["y"]) for row in rows(plot)}
    assert found["lr0.03-0"] == (0.03, eight["lr0.03-0"].metrics["acc"])
    assert len(found) == 8
    # As the table has them: the newest first.
    assert rows(plot)[0]["experiment"].startswith("lr0.5")


def test_experiments_named_are_those_that_are_drawn(eight: Project) -> None:
    plot = eight.plot("train.lr", "acc", "lr0.01-0", "lr0.5-1")
    assert [row["experiment"] for row in rows(plot)] == ["lr0.01-0", "lr0.5-1"]


def test_runs_of_one_second_stand_as_they_were_begun(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    second, ticks = float(int(time.time())), itertools.count(1)
    # Fewer than a thousand looks at the clock: all of the first two in one second.
    monkeypatch.setattr("time.time", lambda: second + next(ticks) / 4000)
    project.run(name="a-first")
    project.run({"train.lr": 0.03}, name="z-second")
    monkeypatch.setattr("time.time", lambda: second + 2 + next(ticks) / 4000)
    project.run({"train.lr": 0.05}, name="m-third")
    drawn = [one.name for one in project.plot("acc").series]
    assert drawn == ["m-third", "z-second", "a-first"]


def test_where_and_order_choose_the_lines(eight: Project) -> None:
    plot = eight.plot("acc", where="seed == 1", sort="train.lr", descending=True)
    assert [one.name for one in plot.series] == ["lr0.5-1", "lr0.1-1", "lr0.03-1", "lr0.01-1"]


def test_more_lines_than_can_be_told_apart_are_not_drawn_and_it_is_said(eight: Project) -> None:
    plot = eight.plot("acc", limit=3)
    assert len(plot.series) == 3
    assert plot.notes == ["the first 3 of 8 experiments are drawn; `--limit 0` draws all"]
    assert len(eight.plot("acc", limit=0).series) == 8


def test_a_band_is_over_seeds_without_being_told(eight: Project) -> None:
    plot = eight.plot("band", "acc")
    groups = {row["group"]: row["n"] for row in rows(plot)}
    assert groups == {"lr=0.5": 2, "lr=0.1": 2, "lr=0.03": 2, "lr=0.01": 2}


def test_a_band_by_a_column(eight: Project) -> None:
    plot = eight.plot("acc", group_by="seed")
    assert {(row["group"], row["n"]) for row in rows(plot)} == {("0", 4), ("1", 4)}


def test_the_param_that_says_most_is_drawn_where_none_is_named(eight: Project) -> None:
    spec: Any = eight.plot("acc", kind="scatter").spec
    assert spec["encoding"]["x"]["title"] == "train.lr"


def test_a_metric_that_was_not_logged_by_step_is_drawn_by_experiment(
    eight: Project, git: Any
) -> None:
    root = eight.root
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text[: text.index("    plots:")])
    git("commit", "--quiet", "--all", "--message=no plots", cwd=root)
    eight.run({"seed": 5}, name="five")
    eight.run({"seed": 6}, name="six")
    plot = eight.plot("acc")
    assert plot.kind == "history"
    assert [(row["experiment"], row["order"]) for row in rows(plot)] == [("five", 1), ("six", 2)]
    assert rows(plot)[1]["best"] == eight["six"].metrics["acc"]


def test_the_trials_of_a_sweep_in_their_order(project: Project) -> None:
    project.sweep({"train.lr": [0.5, 0.03, 0.1]}, name="three")
    project.run({"train.lr": 0.9}, name="other")
    plot = project.plot("acc", sweep="three")
    assert plot.kind == "history"
    lr = {row.name: row.params["train.lr"] for row in project.show().experiments}
    assert [lr[row["experiment"]] for row in rows(plot)] == [0.5, 0.03, 0.1]
    assert plot.heading.startswith("acc by trial of three")


def test_experiments_of_one_name_are_told_apart_by_their_commit(eight: Project, git: Any) -> None:
    git("commit", "--quiet", "--allow-empty", "--message=next", cwd=eight.root)
    eight.run({"seed": 9}, name="lr0.03-0")
    plot = eight.plot("train.lr", "acc", revisions=Revisions(all_commits=True))
    names = [row["experiment"] for row in rows(plot)]
    assert len(set(names)) == len(names) == 9
    assert sum(re.fullmatch(r"lr0.03-0 \([0-9a-f]{7}\)", name) is not None for name in names) == 2


# ---- what cannot be drawn


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plot ac", "No experiment here has a plot of `ac`.\nHint: did you mean `nbexp plot acc`?"),
        (
            "plot train.lx acc",
            "No experiment here has a metric or param `train.lx`.\nHint: did you mean `train.lr`?",
        ),
        (
            "plot train.lr",
            (
                "`train.lr` is a param: there is nothing to draw without a metric.\n"
                "Hint: `nbexp plot train.lr acc`"
            ),
        ),
        (
            "plot acc --kind scater",
            "There is no plot type `scater`. Nothing was drawn.\nHint: did you mean `--kind scatter`?",
        ),
        (
            "plot acc nosuch",
            "There is no experiment `nosuch`.\nHint: `nbexp list` shows those there are.",
        ),
        (
            "plot train.lr acc --where acc>7",
            (
                "No experiment matches, so there is nothing to draw.\n"
                "Hint: `nbexp show` lists those there are."
            ),
        ),
        (
            "plot seed acc --group-by sed",
            "The table has no column `sed`.\nHint: did you mean `seed`?",
        ),
        ("plot parallel acc lr0.03-0", None),
        (
            "plot confusion nosuch.csv",
            None,
        ),
        (
            "plot images",
            (
                "No experiment here has a picture among its outputs.\n"
                "Hint: list it under `outs` or `plots` of the stage that writes it."
            ),
        ),
        (
            "plot acc --limit -1",
            "`--limit -1` is no number of experiments. Nothing was drawn.\nHint: `--limit 0` draws all.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_explained(
    line: str,
    said: str | None,
    eight: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(eight.root)
    assert cli.main(line.split()) in (2, 3)
    out, err = capsys.readouterr()
    assert out == ""
    if said is not None:
        assert err.strip() == said
    assert "Traceback" not in err and err


def test_one_experiment_has_no_param_to_hold_against(eight: Project) -> None:
    with pytest.raises(UsageError, match="No param differs between these experiments"):
        eight.plot("parallel", "acc", "lr0.03-0")


def test_before_the_first_experiment(project: Project) -> None:
    for words in (("train.lr", "acc"), ("importance", "acc")):
        with pytest.raises(NotFound, match="There are no experiments to draw"):
            project.plot(*words)


# ---- labels and pictures

STAGE = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [seed]
    outs: [preds.csv]
    metrics: [{metrics.json: {cache: false}}]
    plots: [{pic.png: {cache: true}}]
"""
TRAIN = """\
import struct, zlib
seed = int(open("params.yaml").read().split("seed:")[1].split()[0])
open("preds.csv", "w").write("label,prediction,row\\n" + "".join(f"{n % 3},{(n + (n < seed)) % 3},{n}\\n" for n in range(9)))
open("metrics.json", "w").write('{"acc": %s, "odd": NaN}' % (1 - seed / 9))
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\\0" + bytes([20 * seed, 90, 160]) * 8 for _ in range(4))
open("pic.png", "wb").write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 4, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
"""


@pytest.fixture
def labelled(project: Project, git: Any) -> Project:
    (project.root / "dvc.yaml").write_text(STAGE)
    (project.root / "train.py").write_text(TRAIN)
    git("add", "train.py", cwd=project.root)
    git("commit", "--quiet", "--all", "--message=labels", cwd=project.root)
    project.run({"seed": 1}, name="one")
    project.run({"seed": 4}, name="four")
    return project


def test_labels_are_read_from_the_file_of_each_experiment(labelled: Project) -> None:
    plot = labelled.plot("confusion", "preds.csv", "four", "one")
    found = {(r["experiment"], r["actual"], r["predicted"]): r["count"] for r in rows(plot)}
    assert found["one", "0", "1"] == 1 and found["one", "0", "0"] == 2
    assert found["four", "0", "1"] == 2 and found["four", "2", "0"] == 1
    assert "four: 5 of 9 right, 55.6%" in plot.notes
    spec: Any = plot.spec
    assert spec["spec"]["encoding"]["x"]["title"] == "prediction"
    assert plot.to_frame()["label"].tolist()[:3] == ["0", "0", "0"]


def test_columns_of_labels_are_named_or_found(labelled: Project) -> None:
    named: Any = labelled.plot("confusion", "preds.csv", "label", "row", "one").spec
    assert named["spec"]["encoding"]["x"]["title"] == "row"
    with pytest.raises(NotFound) as caught:
        labelled.plot("confusion", "preds.csv", "labl", "row")
    assert caught.value.hint == "did you mean `label`?"


def test_pictures_of_outputs_side_by_side(labelled: Project) -> None:
    plot = labelled.plot("images", "one", "four")
    assert [(row["experiment"], row["path"], row["width"]) for row in rows(plot)] == [
        ("one", "pic.png", 8),
        ("four", "pic.png", 8),
    ]
    assert all(row["url"].startswith("data:image/png;base64,") for row in rows(plot))
    assert plot.svg().count("<image") == 2
    with pytest.raises(NotFound, match=r"No picture among the outputs is `pix\.png`"):
        labelled.plot("images", "pix.png")


def test_a_metric_that_is_no_number_anywhere_is_explained(labelled: Project) -> None:
    with pytest.raises(NotFound, match="`odd` is no number in any of these experiments") as caught:
        labelled.plot("seed", "odd")
    assert caught.value.hint == "there are acc."


# ---- code, frames, files

ASKED: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("acc",), {}),
    (("acc",), {"group_by": "train.lr"}),
    (("train.lr", "acc"), {"group_by": "seed", "log_x": True}),
    (("seed", "acc"), {"kind": "box"}),
    (("importance", "acc"), {}),
    (("history", "acc"), {"title": "how it went"}),
    (("parallel", "acc"), {}),
    (("train.lr", "seed", "acc"), {}),
    (
        ("train.lr", "acc"),
        {"revisions": Revisions(all_commits=True), "sort": "-acc", "where": "seed == 0"},
    ),
    (("acc",), {"kind": ["scatter", "parallel", "line"]}),
]


@pytest.mark.parametrize(("words", "options"), ASKED)
def test_the_code_draws_the_same(
    words: tuple[str, ...],
    options: dict[str, Any],
    eight: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plot = eight.plot(*words, **options)
    monkeypatch.chdir(eight.root)
    named: dict[str, Any] = {}
    exec(plot.code(), named)
    drawn = named["chart"].to_dict()
    drawn["$schema"] = plot.spec["$schema"]  # Altair says its own
    assert _marks(render.svg(drawn)) == _marks(plot.svg())


def _marks(picture: str) -> str:
    """A picture without the names that Vega gives to its groups."""
    return re.sub(r'gradient_\d+|(class|id|clip-path|aria-\w+)="[^"]*"', "", picture)


def test_names_of_others_stand_in_the_code_as_text_alone(eight: Project) -> None:
    evil = "');import os;os.abort();('"
    plot = eight.plot("train.lr", "acc", title=evil)
    compile(plot.code(), "code", "exec")
    assert repr({"text": evil})[1:-1] in plot.code()


def test_a_frame_has_all_the_numbers_by_their_names(eight: Project) -> None:
    frame = eight.plot("train.lr", "acc").to_frame()
    assert [*frame.columns] == ["experiment", "train.lr", "acc"]
    assert len(frame) == 8
    both = eight.plot("acc", kind=["scatter", "line"])
    assert [*both.to_frame("line").columns] == ["experiment", "step", "acc"]
    with pytest.raises(NotFound, match="The plot has no view `box`"):
        both.to_frame("box")


def test_an_altair_chart_to_go_on_with(eight: Project) -> None:
    for words, kind in ((("train.lr", "acc"), "Chart"), (("acc",), "LayerChart")):
        chart = eight.plot(*words).chart()
        assert type(chart).__name__ == kind
        assert chart.properties(width=800).to_dict()["width"] == 800
    assert type(eight.plot("acc", kind="scatter,line").chart()).__name__ == "VConcatChart"


@pytest.mark.parametrize("ending", [".svg", ".png", ".html", ".json"])
def test_a_plot_is_written_as_its_ending_says(ending: str, eight: Project, tmp_path: Path) -> None:
    plot = eight.plot("acc", kind="scatter,line")
    plot.write(tmp_path / f"both{ending}")
    data = (tmp_path / f"both{ending}").read_bytes()
    start = {".svg": b"<svg", ".png": b"\x89PNG", ".html": b"<!DOCTYPE", ".json": b"{"}[ending]
    assert data.startswith(start)
    if ending == ".json":
        assert json.loads(data) == plot.spec
    with pytest.raises(UsageError, match="Nothing was written"):
        plot.write(tmp_path / "both.gif")


def test_a_terminal_shows_the_numbers_and_what_is_left_out(
    eight: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(eight.root)
    assert cli.main(["plot", "train.lr", "acc", "lr0.03-0", "lr0.5-1"]) == 0
    assert capsys.readouterr().out == (
        "acc against train.lr\n"
        "experiment  train.lr  acc\n"
        "lr0.03-0    0.03      0.9333\n"
        "lr0.5-1     0.5       0.4643\n"
    )
    assert cli.main(["plot", "seed", "acc", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["metric"]) == ("scatter", "acc")
    assert told["spec"] == eight.plot("seed", "acc").spec
    assert cli.main(["plot", "seed", "acc", "--code"]) == 0
    assert capsys.readouterr().out == eight.plot("seed", "acc").code() + "\n"


# ---- views that are linked


def test_views_are_linked_by_the_name_of_the_experiment(eight: Project) -> None:
    plot = eight.plot("acc", kind="scatter,parallel,line")
    spec: Any = plot.spec
    scatter, parallel, line = spec["vconcat"]
    assert [one["name"] for one in scatter["params"]] == ["pick_0", "brush_0"]
    fields = ["v0_x", "v0_y"]
    assert {*spec["datasets"]["brushed"][0]} == {"experiment", *fields}
    for view in (parallel["layer"][0], line):
        assert view["transform"][0]["from"]["fields"] == fields
    for view in (scatter, parallel["layer"][0], line["layer"][0]):
        selections = view["encoding"]["opacity"]["condition"]["test"]["and"]
        assert selections == [{"param": name} for name in ("pick_0", "brush_0", "pick_1", "pick_2")]
    assert problems(spec) == []


def test_every_type_stands_beside_every_other(eight: Project) -> None:
    kinds = [kind for kind in plots.kinds() if plots.needs(kind) in ("rows", "series")]
    plot = eight.plot("acc", kind=kinds)
    assert problems(plot.spec) == []
    assert plot.svg().startswith("<svg")
