"""Plots of revisions: where their data come from, what is told of bad ones, and what is drawn."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import commands, render
from nbexp.errors import NotFound, ProjectFileError, UsageError
from nbexp.events import Notice, ignore
from nbexp.experiments import ongoing
from nbexp.experiments.plots import Chart, Pictures, page, pictures
from nbexp.experiments.spec import Spec

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    return project


def listed(project: Project, plots: str) -> None:
    """Put plots at the top of dvc.yaml."""
    path = project.root / "dvc.yaml"
    path.write_text(f"{path.read_text()}plots:\n{plots}")


class Tags(HTMLParser):
    """Which elements a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


# --- Revisions ------------------------------------------------------------------------------------


def test_experiments_are_laid_over_each_other(two: Project) -> None:
    shown = two.plots.diff("low", "high")
    assert [one.id for one in shown] == ["plots/acc.csv"]
    chart = shown["plots/acc.csv"]
    assert isinstance(chart, Chart)
    assert chart.revisions == ("low", "high")
    assert [row["acc"] for row in chart.rows if row["rev"] == "low"] == [
        "0.9000",
        "0.9250",
        "0.9333",
    ]
    assert render.text(shown) == (
        "plots/acc.csv   (acc by step)\n"
        "revision  rows  first  last    min   max\n"
        "low       3     0.9    0.9333  0.9   0.9333\n"
        "high      3     0.43   0.4633  0.43  0.4633"
    )


def test_one_revision_is_held_against_the_workspace_which_comes_first(two: Project) -> None:
    assert two.plots.diff("low")["plots/acc.csv"].revisions == ("workspace", "low")


def test_an_experiment_is_held_against_what_it_starts_from(two: Project, git: Git) -> None:
    git("add", "--all", cwd=two.root)
    git("commit", "--quiet", "--message=results", cwd=two.root)
    two.run({"train.lr": 0.04}, name="next")
    head = git("rev-parse", "HEAD", cwd=two.root)[:7]
    assert two.plots.diff("next", experiment=True)["plots/acc.csv"].revisions == ("next", head)


def test_without_a_commit_there_is_nothing_to_compare(
    two: Project, tmp_path: Path, git: Git
) -> None:
    import nbexp

    root = tmp_path / "new"
    shutil.copytree(two.root, root, ignore=shutil.ignore_patterns(".git"))
    git("init", "--quiet", root, cwd=tmp_path)
    with_no_commit = nbexp.open(root)
    assert with_no_commit.plots.diff().to_json() == {}
    assert [one.id for one in with_no_commit.plots.show()] == ["plots/acc.csv"]
    with_no_commit.close()


def test_a_run_that_goes_on_is_as_far_as_it_has_come(
    two: Project, tmp_path: Path, git: Git
) -> None:
    folder = tmp_path / "beside"
    git("worktree", "add", "--quiet", "--detach", folder, cwd=two.root)
    (folder / "plots").mkdir(exist_ok=True)
    (folder / "plots" / "acc.csv").write_text("step,acc\n1,0.125\n")
    head = git("rev-parse", "HEAD", cwd=two.root).strip()
    one = ongoing.new("u1", Spec(baseline=head, name="going"), folder)
    with ongoing.told(two.root, one, ignore):
        chart = two.plots.diff("going", "low")["plots/acc.csv"]
    assert isinstance(chart, Chart)
    assert [row["acc"] for row in chart.rows if row["rev"] == "going"] == ["0.125"]


def test_ten_revisions_take_as_many_git_processes_as_one(two: Project, count_git: Any) -> None:
    for number in range(8):
        two.run({"train.lr": 0.06 + number / 100}, name=f"n{number}")
    two.close()

    def processes(*names: str) -> int:
        count_git.clear()
        shown = two.plots.diff(*names)
        assert len(shown["plots/acc.csv"].revisions) == len(names)
        two.close()
        return len(count_git)

    assert processes("low", *(f"n{number}" for number in range(8)), "high") == processes(
        "low", "high"
    )
    assert processes("low", "high") <= 3


def test_what_only_a_remote_has_is_fetched(two: Project, tmp_path: Path, git: Git) -> None:
    two.remote.add("store", str(tmp_path / "store"), default=True)
    text = (two.root / "dvc.yaml").read_text()
    (two.root / "dvc.yaml").write_text(
        text.replace("plots/acc.csv:\n        cache: false", "plots/acc.csv:")
    )
    git("rm", "--cached", "--quiet", "--ignore-unmatch", "plots/acc.csv", cwd=two.root)
    two.run({"train.lr": 0.04}, name="cached", new=True)
    two.data.push()
    shutil.rmtree(two.root / ".dvc" / "cache")
    (two.root / "plots" / "acc.csv").unlink()
    two.close()
    assert two.plots.diff("cached", "low")["plots/acc.csv"].revisions == ("cached", "low")


def test_an_unknown_revision_has_the_nearest(two: Project) -> None:
    with pytest.raises(NotFound) as told:
        two.plots.diff("lwo")
    assert str(told.value) == "There is no experiment `lwo`.\nHint: did you mean `low`?"


# --- What is wrong --------------------------------------------------------------------------------


def test_what_cannot_be_read_is_told_and_the_rest_is_shown(project: Project) -> None:
    listed(
        project,
        "- gone.csv\n- bad.json\n- rows.csv: {x: nothing, y: b}\n- fine.csv\n- photo.bmp\n- odd: {y: {fine.csv: [a, b], rows.csv: b}, x: {fine.csv: a, rows.csv: a}}\n",
    )
    (project.root / "bad.json").write_text("[{")
    (project.root / "rows.csv").write_text("a,b\n1,2\n")
    (project.root / "fine.csv").write_text("a,b\n1,2\n3,4\n")
    (project.root / "photo.bmp").write_bytes(b"BM")
    told: list[str] = []

    def emit(event: object) -> None:
        if isinstance(event, Notice):
            told.append(event.message)

    found = commands.execute(
        ["plots", "show", "-o", "out"], emit, directory=str(project.root)
    ).result
    assert sorted(told) == sorted(
        [
            "Could not be read: workspace: there is no gone.csv, in its files or in the cache.",
            "Could not be read: workspace: bad.json, line 1: this is not valid JSON: expecting property name enclosed in double quotes.",
            "Could not be read: workspace: rows.csv: Could not find provided field ('nothing') in data fields ('a, b').",
            "Could not be read: workspace: photo.bmp: plots are made of CSV, TSV, JSON, YAML and pictures (gif, jpeg, jpg, png, svg).",
            "Could not be read: workspace: odd: Cannot have different number of x and y data sources. Found 2 x and 3 y data sources.",
            "Could not be read: workspace: there is no plots/acc.csv, in its files or in the cache.",
        ]
    )
    assert (
        "fine.csv   (b by step)\nrevision   rows  first  last  min  max\nworkspace  2     2"
        in str(found)
    )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            ["gone.csv", "other"],
            "No plot or file is called `gone.csv`, `other`.",
            "`nbexp plots show` has all there are.",
        ),
        (
            [],
            "dvc.yaml lists no plots.",
            "`nbexp plots show acc.csv` draws a file that is not listed.",
        ),
    ],
)
def test_nothing_to_show_is_said(
    project: Project, words: list[str], message: str, hint: str
) -> None:
    if words:
        listed(project, "- fine.csv\n")
    else:
        (project.root / "dvc.yaml").write_text("stages: {}\n")
    told: list[tuple[str, str | None]] = []

    def emit(event: object) -> None:
        if isinstance(event, Notice):
            told.append((event.message, event.hint))

    done = commands.execute(["plots", "show", *words], emit, directory=str(project.root))
    assert told == [(message, hint)]
    assert str(done.result) == "no plots"
    assert not (project.root / "dvc_plots").exists()


@pytest.mark.parametrize("out", ["README", "README/deep", "taken"])
def test_a_page_is_not_written_over_something_else(project: Project, out: str) -> None:
    (project.root / "README").write_text("mine")
    (project.root / "taken" / "index.html").mkdir(parents=True)
    (project.root / "fine.csv").write_text("a,b\n1,2\n")
    for more in ([], ["--json"]) if out != "taken" else ([],):
        with pytest.raises(UsageError) as told:
            commands.execute(
                ["plots", "show", "fine.csv", "-o", out, *more], ignore, directory=str(project.root)
            )
        assert told.value.message == (
            f"The page cannot be at {out}: something else is there. Nothing was written."
        )
    assert (project.root / "README").read_text() == "mine"


def test_a_broken_pipeline_of_one_revision_leaves_the_others(two: Project) -> None:
    (two.root / "dvc.yaml").write_text("stages: [\n")
    shown = two.plots.diff("low")
    assert shown["plots/acc.csv"].revisions == ("low",)
    (problem,) = shown.problems
    assert problem.rev == "workspace"
    assert problem.message.startswith("dvc.yaml, line 2: this is not valid YAML")


def test_an_unknown_template_has_the_nearest(project: Project) -> None:
    project.run(name="one")
    with pytest.raises(NotFound) as told:
        project.plots.show(template="scater")
    assert str(told.value) == "There is no template `scater`.\nHint: did you mean `scatter`?"
    with pytest.raises(NotFound, match="There is no plot `acc`"):
        project.plots.show()["acc"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", ".dvc/plots/mine.json: this template is no JSON"),
        ("[]", ".dvc/plots/mine.json: this template is no Vega-Lite chart."),
        ("{}", ".dvc/plots/mine.json: this template is no Vega-Lite chart."),
        (
            '{"mark": "bar"}',
            "mine: the template has no `<DVC_METRIC_DATA>`, where its data would go. `plots/acc.csv` was not drawn.",
        ),
    ],
)
def test_a_bad_template_of_the_project_is_named(project: Project, text: str, message: str) -> None:
    project.run(name="one")
    (project.root / ".dvc" / "plots").mkdir()
    (project.root / ".dvc" / "plots" / "mine.json").write_text(text)
    with pytest.raises(ProjectFileError) as told:
        project.plots.show(template="mine").to_json()
    assert told.value.message.startswith(message)


def test_a_template_that_names_an_address_fetches_nothing(project: Project) -> None:
    project.run(name="one")
    (project.root / ".dvc" / "plots").mkdir()
    far = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "mark": "bar"}
    for data in ({"url": "http://127.0.0.1:9/x.csv"}, {"values": "<DVC_METRIC_DATA>"}):
        chart = {**far, "data": data, "layer": []} if "url" in data else {**far, "data": data}
        chart["description"] = "<DVC_METRIC_DATA>"
        chart["mark"] = {"type": "image", "url": "http://127.0.0.1:9/a.png"}
        (project.root / ".dvc" / "plots" / "far.json").write_text(json.dumps(chart))
        (found,) = project.plots.show(template="far")
        assert isinstance(found, Chart)
        drawing = pictures.drawn(found)
        assert drawing.why or drawing.png() is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "--show-vega"], "`--show-vega` is of one plot; 0 are named. Nothing was done."),
        (["show", "--show-vega", "a", "b"], "`--show-vega` is of one plot; 2 are named."),
        (["diff", "--show-vega", "--json", "--targets", "a"], "`--show-vega` and `--json` print"),
    ],
)
def test_what_does_not_go_together_is_said(
    project: Project, words: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as told:
        commands.execute(["plots", *words], ignore, directory=str(project.root))
    assert told.value.message.startswith(message)
    assert not (project.root / "dvc_plots").exists()


# --- Drawings -------------------------------------------------------------------------------------


def test_hostile_names_and_values_are_text_wherever_they_stand(
    project: Project, tmp_path: Path
) -> None:
    name = f"{HOSTILE}.csv".replace("/", "_")
    (project.root / name).write_text(f'"{HOSTILE}","a.b[0]"\n1,"{HOSTILE}"\n2,3\n')
    (project.root / "fig.svg").write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg'>{HOSTILE}</svg>"
    )
    listed(
        project,
        f"- {json.dumps(name)}: {{title: {json.dumps(HOSTILE)}, x_label: {json.dumps(HOSTILE)}}}\n- fig.svg\n",
    )
    shown = page.write(project.plots.show(), tmp_path / "out")
    assert shown.page is not None
    text = shown.page.read_text()
    assert Tags(text).found.isdisjoint({"script", "iframe", "object", "a"})
    assert HOSTILE not in text
    from nbexp.jupyter import display

    cell = str(display.bundle(shown)[0]["text/html"])
    assert Tags(cell).found.isdisjoint({"script", "iframe", "object", "a"})
    assert HOSTILE not in cell


def test_a_curve_of_100_000_rows_is_whole_in_the_json_and_small_in_a_cell(project: Project) -> None:
    rows = "".join(f"{step},{step % 97 / 97}\n" for step in range(100_000))
    (project.root / "long.csv").write_text("step,acc\n" + rows)
    listed(project, "- long.csv: {x: step}\n")
    started = time.process_time()
    shown = project.plots.show(["long.csv"])
    chart = shown["long.csv"]
    assert isinstance(chart, Chart)
    values: Any = chart.spec()["data"]
    assert len(values["values"]) == 100_000
    from nbexp.jupyter import display

    contents = display.bundle(shown)[0]
    assert len(json.dumps(contents)) < 1_500_000
    assert time.process_time() - started < 30
    assert "100,000" in str(contents["text/plain"])


def test_numbers_that_are_none_are_gaps(project: Project) -> None:
    (project.root / "nan.csv").write_text("step,acc\n0,0.5\n1,nan\n2,inf\n3,\n4,0.75\n")
    listed(project, "- nan.csv: {x: step}\n")
    chart = project.plots.show(["nan.csv"])["nan.csv"]
    assert isinstance(chart, Chart)
    drawn: Any = chart.drawn()["data"]
    assert [row["acc"] for row in drawn["values"]] == [0.5, None, None, None, 0.75]
    assert "5     0.5    0.75  0.5  0.75" in render.text(chart)
    json.dumps(chart.drawn(), allow_nan=False)
    assert pictures.drawn(chart).why == ""


@pytest.mark.parametrize(
    "name",
    "simple linear smooth scatter scatter_jitter confusion confusion_normalized bar_horizontal bar_horizontal_sorted".split(),
)
def test_every_template_is_drawn(two: Project, name: str) -> None:
    (chart,) = two.plots.diff("low", "high", template=name)
    assert isinstance(chart, Chart)
    drawing = pictures.drawn(chart)
    assert drawing.why == ""
    assert "low" in drawing.svg
    assert "high" in drawing.svg
    assert drawing.png() is not None


def test_pictures_stand_side_by_side(project: Project, git: Git) -> None:
    (project.root / "fig.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    listed(project, "- fig.svg\n")
    git("add", "--all", cwd=project.root)
    git("commit", "--quiet", "--message=fig", cwd=project.root)
    git("tag", "v1", cwd=project.root)
    (found,) = [one for one in project.plots.diff("v1") if isinstance(one, Pictures)]
    assert found.revisions == ("workspace", "v1")
    from nbexp.jupyter import display

    cell = str(display.bundle(found)[0]["text/html"])
    row = cell[cell.index("<tbody>") :]
    assert row.count("<tr>") == 1
    assert row.count('src="data:image/svg+xml;base64,') == 2
    assert 'alt="fig.svg of v1"' in row


def test_a_chart_that_stands_alone_comes_in_every_form(two: Project) -> None:
    from nbexp.jupyter import display

    contents, metadata = display.bundle(two.plots.diff("low", "high"))
    assert {
        "text/plain",
        "text/html",
        "image/svg+xml",
        "image/png",
        "application/vnd.vegalite.v5+json",
    } == {*contents}
    assert metadata["image/png"]
    text = str(contents["text/html"])
    assert "<table" in text
    assert "<td" in text
    assert '<img src="data:image/svg+xml;base64,' in text
    listed(two, "- plots/acc.csv: {template: scatter}\n")
    assert {*display.bundle(two.plots.show())[0]} == {"text/plain", "text/html"}
