"""What `plan` says beforehand is what `run` does afterwards, and its reasons name the key, the line, the cell."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nbexp
from nbexp import render
from nbexp.render import plans, words

if TYPE_CHECKING:
    from nbexp import Project

PIPELINE = """\
stages:
  prepare:
    cmd: sh prepare.sh
    deps:
    - raw.csv
    - prepare.sh
    params:
    - rows
    outs:
    - clean.csv
  total:
    cmd: sh -c 'cat clean.csv inputs/* > total.txt'
    deps:
    - clean.csv
    - inputs
    outs:
    - total.txt
  deep:
    cmd: cp other.json deep.txt
    params:
    - other.json:
      - net.depth
    outs:
    - deep.txt
  study:
    cmd: nbexp notebook study.ipynb runs/study.ipynb
    deps:
    - study.ipynb
    outs:
    - runs/study.ipynb
  clock:
    cmd: sh -c 'echo now > clock.txt'
    outs:
    - clock.txt
  ice:
    cmd: cp raw.csv ice.txt
    deps:
    - raw.csv
    outs:
    - ice.txt
"""
PREPARE = """\
rows=$(awk '$1 == "rows:" { print $2 }' params.yaml)
head -n "$rows" raw.csv > clean.csv
"""
NOTHING: dict[str, list[str]] = {}


def notebook(prose: str = "A study.", code: str = "print(half)", output: str = "") -> str:
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": prose},
        _code("b", "half = 1 / 2"),
        _code("c", code, output),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    )


def _code(name: str, source: str, output: str = "") -> dict[str, Any]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    count = 7 if output else None
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": source,
        "outputs": outputs,
        "execution_count": count,
    }


@pytest.fixture(scope="module")
def after_a_run(_repo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project above, committed, run once; copied for each test."""
    root = Path(
        shutil.copytree(_repo_template, tmp_path_factory.mktemp("plan") / "p", symlinks=True)
    )
    files = {
        ".dvc/config": "",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        "dvc.yaml": PIPELINE,
        "params.yaml": "# by hand\nrows: 2\nseed: 1\n",
        "other.json": '{\n "net": {\n  "depth": 3\n }\n}\n',
        "raw.csv": "a\nb\nc\n",
        "prepare.sh": PREPARE,
        "inputs/one.txt": "1\n",
        "inputs/two.txt": "2\n",
        "study.ipynb": notebook(),
    }
    for path, text in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=pipeline")
    project = nbexp.open(root)
    project.run(name="first")
    project.close()
    return root


@pytest.fixture
def project(
    after_a_run: Path, tmp_path: Path, opened: Callable[..., Project], monkeypatch: Any
) -> Project:
    root = Path(shutil.copytree(after_a_run, tmp_path / "p", symlinks=True))
    monkeypatch.chdir(root)
    return opened(root)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, check=True, capture_output=True)


TAGGED = '"id": "c", "metadata": {"tags": ["skip-execution"]}'


# What is done, what of it runs or comes back, and the reasons that are to be told.
Change = Callable[[Path], None]


def replace(path: str, old: str, new: str) -> Change:
    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new))

    return change


def write(path: str, text: str) -> Change:
    def change(root: Path) -> None:
        (root / path).write_text(text)

    return change


def both(*changes: Change) -> Change:
    def change(root: Path) -> None:
        for one in changes:
            one(root)

    return change


def delete(path: str, *, object_too: bool = False) -> Change:
    def change(root: Path) -> None:
        data = (root / path).read_bytes()
        (root / path).unlink()
        if object_too:
            for stored in (root / ".dvc" / "cache" / "files").rglob("*"):
                if stored.is_file() and stored.read_bytes() == data:
                    stored.unlink()
            shutil.rmtree(root / ".dvc" / "cache" / "runs")

    return change


SCENARIOS: dict[str, tuple[Change, dict[str, list[str]], str]] = {
    "param": (
        write("params.yaml", "# by hand\nrows: 3\nseed: 1\n"),
        {
            "prepare": ["params.yaml:rows 2 -> 3   (line 2)"],
            "total": ["clean.csv is made anew by `prepare`"],
        },
        "",
    ),
    "param of another file": (
        replace("other.json", "3", "4"),
        {"deep": ["other.json:net.depth 3 -> 4   (line 3)"]},
        "",
    ),
    "script": (
        write("prepare.sh", PREPARE.replace("head", "tail")),
        {
            "prepare": ["prepare.sh changed   (line 2)"],
            "total": ["clean.csv is made anew by `prepare`"],
        },
        "",
    ),
    "file of a directory": (
        write("inputs/two.txt", "3\n"),
        {"total": ["inputs changed: two.txt"]},
        "",
    ),
    "code cell": (
        write("study.ipynb", notebook(code="print(half * 2)")),
        {"study": ["study.ipynb cell 2 changed: print(half * 2)"]},
        "",
    ),
    "tags of a cell": (
        write("study.ipynb", notebook().replace('"id": "c", "metadata": {}', TAGGED)),
        {"study": ["study.ipynb changed: its kernel, or the tags of its cells"]},
        "",
    ),
    "prose": (write("study.ipynb", notebook(prose="In other words.")), NOTHING, ""),
    "outputs": (write("study.ipynb", notebook(output="0.5\n")), NOTHING, ""),
    "command": (
        replace("dvc.yaml", "cp other.json", "cat other.json >"),
        {
            "deep": [
                (
                    "its command changed: `cp other.json deep.txt` -> `cat other.json > deep.txt`   "
                    "(dvc.yaml, line 19)"
                )
            ]
        },
        "",
    ),
    "output": (delete("deep.txt"), NOTHING, "deep"),
    "output and its object": (
        delete("deep.txt", object_too=True),
        {"deep": ["deep.txt not in cache"]},
        "",
    ),
    "new dep": (
        replace("dvc.yaml", "    - prepare.sh\n", "    - prepare.sh\n    - inputs/one.txt\n"),
        {
            "prepare": ["inputs/one.txt is a new dep   (dvc.yaml, line 7)"],
            "total": ["clean.csv is made anew by `prepare`"],
        },
        "",
    ),
    "always": (
        replace("dvc.yaml", "  clock:\n", "  clock:\n    always_changed: true\n"),
        {"clock": ["it always runs   (dvc.yaml, line 32)"]},
        "",
    ),
    "frozen": (
        both(
            replace("dvc.yaml", "  prepare:\n", "  prepare:\n    frozen: true\n"),
            write("params.yaml", "rows: 9\nseed: 1\n"),
        ),
        NOTHING,
        "",
    ),
    "another key": (write("params.yaml", "rows: 2\nseed: 5\n"), NOTHING, ""),
}
# Stages that may run and do not, as what is made anew before them comes out as it was.
UNCHANGED = {"new dep": {"total"}}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_planned_is_what_happens(scenario, project, files):
    change, expected, restored = SCENARIOS[scenario]
    change(project.root)
    before = files(project.root)
    plan = project.plan(new=True)
    assert files(project.root) == before
    words = {
        stage.name: [plans.reason_words(one) for one in stage.reasons] for stage in plan.running
    }
    assert words == expected
    assert [stage.name for stage in plan.stages if stage.action == "restore"] == restored.split()
    report = project.run(new=True).report
    happened = {
        action: {stage.name for stage in report.stages if stage.action == action}
        for action in ("ran", "restored")
    }
    unsure = {stage.name for stage in plan.running if not stage.certain}
    unchanged = UNCHANGED.get(scenario, set())
    assert unchanged <= unsure
    assert happened == {"ran": set(expected) - unchanged, "restored": set(restored.split())}


def test_values_that_are_not_in_the_files_yet_count(project, files):
    before = files(project.root)
    plan = project.plan({"rows": 1})
    assert files(project.root) == before
    assert [(stage.name, stage.action, stage.certain) for stage in plan.running] == [
        ("prepare", "run", True),
        ("total", "run", False),
    ]
    project.run({"rows": 1}, name="one-row")
    again = project.plan({"rows": 2})
    assert again.identical == "first"
    assert again.running == ()
    assert again.seconds == 0


def test_what_a_restored_stage_leaves_is_known(project):
    """`prepare` comes back with other rows, so `total` is looked at with those: it comes back as well."""
    project.run({"rows": 1}, name="one-row")
    (project.root / "inputs" / "two.txt").write_text("3\n")
    plan = project.plan(["rows=2"])
    assert [(stage.name, stage.action) for stage in plan.stages[:2]] == [
        ("prepare", "restore"),
        ("total", "run"),
    ]
    assert plan.stages[1].certain
    (project.root / "inputs" / "two.txt").write_text("2\n")
    plan = project.plan(["rows=2"], new=True)
    actions = {stage.name: stage.action for stage in plan.stages if stage.action != "skip"}
    assert actions == {"prepare": "restore", "total": "restore"}
    assert plan.size_bytes == len("a\nb\n") + len("a\nb\n1\n2\n")
    report = project.run(["rows=2"], new=True).report
    assert {one.name: one.action for one in report.stages if one.action != "skipped"} == {
        "prepare": "restored",
        "total": "restored",
    }


def test_targets_and_force(project):
    assert [stage.name for stage in project.plan(targets=["total"]).stages] == ["prepare", "total"]
    forced = project.plan(targets=["total"], force=True, single_item=True)
    assert [(stage.name, stage.action) for stage in forced.stages] == [("total", "run")]
    assert [reason.text for reason in forced.stages[0].reasons] == ["asked for"]


def test_the_time_is_that_of_past_runs(project):
    replace("dvc.yaml", "sh -c 'echo now > clock.txt'", "sh -c 'sleep 0.5; echo now > clock.txt'")(
        project.root
    )
    assert project.plan(targets=["clock"]).seconds is None
    runs = [project.run(targets=["clock"], force=True).report for _ in range(3)]
    took = sorted(run.stages[0].seconds for run in runs)
    plan = project.plan(targets=["clock"], force=True)
    assert plan.seconds == plan.stages[0].seconds == pytest.approx(took[1], abs=0.002)
    assert plan.seconds >= 0.5


def test_what_a_run_refuses_a_plan_refuses(project):
    with pytest.raises(nbexp.errors.NotFound) as caught:
        project.plan({"rowz": 1})
    assert "did you mean `rows`?" in (caught.value.hint or "")
    (project.root / "raw.csv").unlink()
    with pytest.raises(nbexp.errors.NotFound) as caught:
        project.plan()
    assert "Dep `raw.csv` of stage `prepare` does not exist" in caught.value.message


def test_a_plan_in_words(project):
    (project.root / "study.ipynb").write_text(notebook(code="print(half * 2)"))
    plan = project.plan(["rows=1"], targets=["total", "study"])
    times = {stage.name: words.duration(stage.seconds or 0) for stage in plan.stages}
    total = words.duration(plan.seconds or 0)
    lines = [" ".join(line.split()) for line in render.text(plan).splitlines()]
    assert lines == [
        f"prepare run {times['prepare']} params.yaml:rows 2 -> 1 (line 2)",
        f"total may run {times['total']} clean.csv is made anew by `prepare`",
        f"study run {times['study']} study.ipynb cell 2 changed: print(half * 2)",
        f"3 of 3 stages would run, 1 of them only if what is made anew before comes out different; about {total} in all",
    ]


def test_data_that_was_edited_is_taken_and_what_is_missing_comes_back(project):
    (project.root / "more.csv").write_text("a\n")
    md5 = "60b725f10c9c85c70d97880dfe8191b3"  # of these bytes
    (project.root / "more.csv.dvc").write_text(
        f"outs:\n- md5: {md5}\n  size: 2\n  hash: md5\n  path: more.csv\n"
    )
    replace("dvc.yaml", "    - inputs\n", "    - inputs\n    - more.csv\n")(project.root)
    project.cache.add(project.root / "more.csv")
    project.run(name="more")
    assert [stage.name for stage in project.plan(targets=["total"]).stages] == [
        "prepare",
        "more.csv.dvc",
        "total",
    ]
    (project.root / "more.csv").unlink()
    plan = project.plan(new=True, targets=["total"])
    assert [stage.action for stage in plan.stages] == ["skip", "restore", "skip"]
    (project.root / "more.csv").write_text("b\n")
    plan = project.plan(new=True, targets=["total"])
    assert [stage.action for stage in plan.stages] == ["skip", "take", "run"]
    assert [reason.text for reason in plan.stages[2].reasons] == ["more.csv changed"]
    report = project.run(new=True, targets=["total"]).report
    assert [stage.action for stage in report.stages] == ["skipped", "taken", "ran"]


def test_a_command_that_is_filled_in_from_params(project):
    replace("dvc.yaml", "echo now > clock.txt", "echo ${seed} > clock.txt")(project.root)
    project.run(name="filled", targets=["clock"])
    plan = project.plan({"seed": 2}, targets=["clock"])
    assert [plans.reason_words(reason) for reason in plan.stages[0].reasons] == [
        (
            "its command changed: `sh -c 'echo 1 > clock.txt'` -> `sh -c 'echo 2 > clock.txt'`   "
            "(dvc.yaml, line 32)"
        )
    ]
    assert [one.action for one in project.run({"seed": 2}, targets=["clock"]).report.stages] == [
        "ran"
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"targets": ["prepare"], "downstream": True}, {"prepare": "run", "total": "run"}),
        ({"targets": ["total"], "single_item": True}, {"total": "skip"}),
        ({"targets": ["total"]}, {"prepare": "run", "total": "run"}),
        ({"targets": ["total"], "pipeline": True}, {"prepare": "run", "total": "run"}),
        (
            {"targets": ["prepare"], "downstream": True, "force_downstream": True},
            {"prepare": "run", "total": "run"},
        ),
        ({"targets": ["total"], "run_cache": False}, {"prepare": "run", "total": "run"}),
    ],
    ids=lambda value: "-".join(value) if "targets" in value else "",
)
def test_the_options_of_a_run_mean_the_same_here(options, expected, project):
    """Rows change what `prepare` writes; the other stages have nothing to do with it."""
    plan = project.plan({"rows": 1}, new=True, **options)
    assert {stage.name: stage.action for stage in plan.stages} == expected
    report = project.run({"rows": 1}, new=True, **options).report
    words = {"ran": "run", "restored": "restore", "skipped": "skip"}
    assert {stage.name: words[stage.action] for stage in report.stages} == expected


def test_what_the_run_cache_has_comes_back_unless_it_is_not_to(project):
    project.run({"rows": 1}, name="one-row")
    project.run({"rows": 2}, new=True)
    asked = {"new": True, "targets": ["total"]}
    assert [one.action for one in project.plan({"rows": 1}, **asked).stages] == [
        "restore",
        "restore",
    ]
    without = project.plan({"rows": 1}, run_cache=False, **asked)
    assert [one.action for one in without.stages] == ["run", "run"]
    report = project.run({"rows": 1}, run_cache=False, **asked).report
    assert [one.action for one in report.stages] == ["ran", "ran"]


def test_data_that_is_merely_absent_is_no_reason_where_it_may_be(project):
    (project.root / "clean.csv").unlink()
    for stored in (project.root / ".dvc" / "cache" / "files").rglob("*"):
        if stored.is_file() and stored.read_bytes() == b"a\nb\n":
            stored.unlink()
    shutil.rmtree(project.root / ".dvc" / "cache" / "runs")
    asked = {"new": True, "targets": ["prepare"]}
    assert [one.action for one in project.plan(**asked).stages] == ["run"]
    assert [one.action for one in project.plan(allow_missing=True, **asked).stages] == ["skip"]
    report = project.run(allow_missing=True, **asked).report
    assert [one.action for one in report.stages] == ["skipped"]
