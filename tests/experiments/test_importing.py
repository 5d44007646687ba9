"""Runs of MLflow and rows of tables as experiments: the same params and metrics, and nothing of the user's touched."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp.errors import NotFound, ProjectFileError
from nbexp.events import Notice
from nbexp.experiments import notes

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, Any]]


def mlflow_run(
    store: Path,
    run_id: str,
    name: str,
    *,
    params: dict[str, str] | None = None,
    metrics: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    status: object = 3,
    stage: str = "active",
    start: int = 1_700_000_000_000,
) -> Path:
    """A run as MLflow's file store has it."""
    folder = store / "0" / run_id
    folder.mkdir(parents=True)
    if not (store / "0" / "meta.yaml").exists():
        (store / "0" / "meta.yaml").write_text(
            "artifact_location: file:///x/mlruns/0\nexperiment_id: '0'\n"
            "lifecycle_stage: active\nname: Default\n"
        )
    (folder / "meta.yaml").write_text(
        f"artifact_uri: file:///x\nend_time: {start + 9000}\nentry_point_name: ''\n"
        f"experiment_id: '0'\nlifecycle_stage: {stage}\nrun_id: {run_id}\nrun_name: {name}\n"
        f"run_uuid: {run_id}\nsource_type: 4\nstart_time: {start}\nstatus: {status}\ntags: []\n"
        "user_id: ada\n"
    )
    for kind, files in (("params", params), ("metrics", metrics), ("tags", tags)):
        (folder / kind).mkdir()
        for key, text in (files or {}).items():
            (folder / kind / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / kind / key).write_text(text)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = tmp_path / "mlruns"
    mlflow_run(
        store,
        "aaa111",
        "low",
        params={"train.lr": "0.03", "layers": "[64, 32]", "opt/name": "adam", "bias": "True"},
        metrics={
            "acc": "1700000001000 0.5 1\n1700000002000 0.75 2\n1700000003000 0.875 3\n",
            "val/loss": "1700000003000 0.25 3\n",
        },
        tags={
            "mlflow.user": "ada",
            "mlflow.note.content": "the first one",
            "paper": "true",
            "team": "vision",
        },
    )
    mlflow_run(
        store,
        "bbb222",
        "high lr!",
        params={"train.lr": "1e-1"},
        metrics={"acc": "1700000009000 nan 0\n"},
        start=1_700_000_100_000,
    )
    mlflow_run(store, "ccc333", "gone", stage="deleted")
    mlflow_run(store, "ddd444", "broke", params={"train.lr": "9"}, status="FAILED")
    (store / ".trash").mkdir()
    (store / "models").mkdir()
    return store


def test_runs_of_mlflow_become_experiments(
    project: Project, store: Path, files: Files, git_state: Callable[[Path], Any]
) -> None:
    before = files(project.root)
    state = {k: v for k, v in git_state(project.root).items() if k != "refs/notes/nbexp"}
    done = project.import_mlflow(store)
    assert files(project.root) == before
    assert {k: v for k, v in git_state(project.root).items() if k != "refs/notes/nbexp"} == state
    assert [name for name, _ in done.experiments] == ["low", "high-lr"]
    assert done.renamed == {"high-lr": "high lr!"}
    assert done.failed == ("broke",)
    low = project["low"]
    assert low.baseline == project.git.head()
    assert low.created_s == 1_700_000_000
    assert low.params == {
        "train.lr": 0.03,
        "layers": [64, 32],
        "opt/name": "adam",
        "bias": True,
    }
    assert low.metrics == {"acc": 0.875, "val/loss": 0.25}
    assert low.read("dvclive/plots/metrics/acc.tsv") == b"step\tacc\n1\t0.5\n2\t0.75\n3\t0.875\n"
    assert project["high-lr"].params["train.lr"] == 0.1
    assert math.isnan(project["high-lr"].metrics["acc"])
    (line,) = project.plot("acc", "low").series
    assert (line.steps, line.values) == ((1, 2, 3), (0.5, 0.75, 0.875))


def test_tags_and_notes_of_mlflow_are_told(project: Project, store: Path) -> None:
    project.import_mlflow(store)
    rev = project["low"].rev
    found = notes.read(project.git, [rev])[rev]
    assert found["tags"] == ["paper", "team=vision"]
    assert found["note"] == "the first one"
    assert found["run"] == {
        "imported": "mlflow", "id": "aaa111", "experiment": "Default", "user": "ada",
    }  # fmt: skip


def test_what_is_imported_is_brought_back_and_undone_as_any_other(
    project: Project, store: Path, files: Files
) -> None:
    project.run(name="own")
    before = files(project.root)
    project.import_mlflow(store)
    assert project.run().name == "own"  # nothing imported is taken for a run of this pipeline
    project.apply("low")
    assert json.loads((project.root / "metrics.json").read_text()) == {
        "acc": 0.875,
        "val/loss": 0.25,
    }
    assert not (project.root / "model.txt").exists()
    project.undo()
    assert files(project.root) == before


def test_a_run_that_failed_is_listed_as_such(project: Project, store: Path) -> None:
    project.import_mlflow(store)
    assert "broke" not in project.names
    rows = {row.name: row.state for row in project.show(all_states=True).rows}
    assert rows["broke"] == "failed"


def test_importing_again_makes_nothing_twice(project: Project, store: Path) -> None:
    project.import_mlflow(store)
    names = project.names
    again = project.import_mlflow(store)
    assert (again.experiments, again.failed) == ((), ())
    assert sorted(again.known) == ["broke", "high-lr", "low"]
    assert project.names == names


def test_runs_of_one_name_are_numbered(project: Project, tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    for number in range(3):
        mlflow_run(store, f"run{number}", "same", params={"lr": str(number)}, start=number * 1000)
    mlflow_run(store, "run9", "main", params={"lr": "9"})
    done = project.import_mlflow(store)
    assert [name for name, _ in done.experiments][:3] == ["same", "same-2", "same-3"]
    assert done.renamed == {"same-2": "same", "same-3": "same", "main-2": "main"}
    assert project["same-3"].params["lr"] == 2
    assert project.import_mlflow(store).experiments == ()


def test_dvc_reads_what_was_imported(project: Project, store: Path, dvc: Any) -> None:
    project.import_mlflow(store)
    states = json.loads(dvc("exp", "show", "--json", cwd=project.root).stdout)
    (experiments,) = [state["experiments"] for state in states if state["experiments"]]
    found = {one["name"]: one["revs"][0]["data"] for one in experiments}
    assert found["low"]["params"]["params.yaml"]["data"]["train"]["lr"] == 0.03
    assert found["low"]["metrics"]["metrics.json"]["data"] == {"acc": 0.875, "val/loss": 0.25}
    dvc("exp", "apply", "low", cwd=project.root)
    shown = json.loads(dvc("metrics", "show", "--json", cwd=project.root).stdout)
    assert shown[""]["data"]["metrics.json"]["data"]["acc"] == 0.875
    plots = json.loads(dvc("plots", "diff", "low", "--json", cwd=project.root).stdout)
    assert any("dvclive/plots/metrics/acc.tsv" in name for name in json.dumps(plots).split('"'))


def test_in_a_repository_without_a_pipeline(
    repo: Path, store: Path, opened: Callable[..., Project], dvc: Any
) -> None:
    (repo / ".dvc").mkdir()
    (repo / ".dvc" / "config").touch()
    project = opened(repo)
    project.import_mlflow(store)
    low = project["low"]
    assert low.params == {"train.lr": 0.03, "layers": [64, 32], "opt/name": "adam", "bias": True}
    assert low.metrics == {"acc": 0.875, "val/loss": 0.25}
    states = json.loads(dvc("exp", "show", "--json", cwd=repo).stdout)
    assert sorted(one["name"] for one in states[-1]["experiments"]) == ["high-lr", "low"]


def test_keys_that_are_a_value_and_a_mapping_are_both_kept(
    project: Project, tmp_path: Path
) -> None:
    mlflow_run(
        tmp_path / "mlruns",
        "r",
        "odd",
        params={"a": "1", "a.b": "2", "c..d": "3", "s": "x: y # z"},
        metrics={"m": "1 1 0\n", "m.n": "1 2 0\n"},
    )
    project.import_mlflow(tmp_path)
    odd = project["odd"]
    assert odd.metrics == {"m": 1.0, "m.n": 2.0}
    assert {k: v for k, v in odd.params.items() if k[0] in "ac"} == {"a": 1, "a_b": 2, "c__d": 3}
    assert odd.params["s"] == "x: y # z"


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("0/aaa111/metrics/acc", "one two three\n", "is no point of a metric"),
        ("0/aaa111/meta.yaml", "- a list\n", "a mapping is expected"),
        ("0/aaa111/meta.yaml", "a: [\n", "meta.yaml"),
        ("0/aaa111/params/train.lr", b"\xff\xfe\x00", "train.lr"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_imported(
    path: str, text: str | bytes, told: str, project: Project, store: Path
) -> None:
    (store / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProjectFileError, match=told) as raised:
        project.import_mlflow(store)
    assert path.rpartition("/")[2] in raised.value.message
    assert project.names == []


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file"])
def test_what_is_no_folder_of_mlflow_is_told(what: str, project: Project, tmp_path: Path) -> None:
    place = tmp_path / "there"
    if what == "an empty folder":
        place.mkdir()
    elif what == "a file":
        place.write_text("")
    with pytest.raises(NotFound, match="Nothing was imported"):
        project.import_mlflow(place)


# ---- tables


def test_what_show_writes_as_csv_comes_back(
    project: Project, tmp_path: Path, git: Callable[..., str]
) -> None:
    """G-P33: params and metrics of every experiment are the same after `show --csv`, `remove`, `import csv`."""
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 1e-05, "prepare.rows": 5}, name="tiny")
    before = {n: (project[n].params, project[n].metrics) for n in project.names}
    table = tmp_path / "table.csv"
    table.write_text(project.show().to_csv())
    project.remove("low", "tiny")
    told: list[object] = []
    done = project.import_csv(table, emit=told.append)
    assert sorted(name for name, _ in done.experiments) == ["low", "tiny"]
    assert {n: (project[n].params, project[n].metrics) for n in project.names} == before
    again = tmp_path / "again.csv"
    again.write_text(project.show().to_csv())
    # By name: of two runs of one second the table has the later one first, and imported ones were never begun.
    kept = {"acc", "train.lr", "prepare.rows", "Experiment", "Created"}
    old, new = (
        {
            row["Experiment"]: {title: row[title] for title in kept}
            for row in csv.DictReader(path.open())
            if row["Experiment"]
        }
        for path in (table, again)
    )
    assert sorted(new) == ["low", "tiny"]
    assert new == old


def test_a_table_of_another_tool(project: Project, tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    table.write_text(
        "name;lr;opt;val_acc;seed;score\n"
        "one;0.1;adam;0.5;1;3\n"
        "two;0.2;sgd;0.75;2;4\n"
        ";0.3;sgd;0.8;3;5\n"
    )
    told: list[object] = []
    done = project.import_csv(table, metrics=["sc*"], emit=told.append)
    assert [name for name, _ in done.experiments] == ["one", "two", "results-3"]
    assert project["two"].metrics == {"val_acc": 0.75, "score": 4}
    assert project["two"].params["opt"] == "sgd"
    assert project["two"].params["seed"] == 2
    (notice,) = [one for one in told if isinstance(one, Notice)]
    assert notice.message == ("Taken by their names for metrics: val_acc; for params: lr, opt.")


def test_the_table_that_mlflow_writes_of_a_server(project: Project, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(
        "run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.acc,metrics.loss,"
        "params.train.lr,params.opt,tags.mlflow.runName,tags.mlflow.user\n"
        "aaa,0,FINISHED,file:///x,2026-01-02 03:04:05.678000+00:00,,0.5,,0.1,adam,calm-fox,ada\n"
        "bbb,0,FAILED,file:///x,2026-01-03 03:04:05.678000+00:00,,,0.25,0.2,,,ada\n"
    )
    done = project.import_csv(tmp_path / "runs.csv")
    assert [name for name, _ in done.experiments] == ["calm-fox"]
    assert done.failed == ("bbb",)
    fox = project["calm-fox"]
    assert (fox.params, fox.metrics) == ({"train.lr": 0.1, "opt": "adam"}, {"acc": 0.5})
    assert fox.created_s == 1767323045


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("name,lr\n", "no row"),
        ("name,lr,lr\na,1,2\n", "two columns are called `lr`"),
        ("name,lr\na,1\nb\n", "line 3: it has 1 cells"),
        ('name,lr\na,"1\n', "it is no CSV"),
        (b"name\n\xff\xfe\n", "table.csv"),
    ],
)
def test_a_broken_table_is_told_with_its_line(
    text: str | bytes, told: str, project: Project, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProjectFileError, match=told):
        project.import_csv(table)
    assert project.names == []


def test_a_missing_table_or_column_is_told(project: Project, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"`no\.csv` cannot be read"):
        project.import_csv("no.csv")
    (tmp_path / "t.csv").write_text("name,lr\na,1\n")
    with pytest.raises(NotFound, match="No column is called `acc`"):
        project.import_csv(tmp_path / "t.csv", metrics=["acc"])


def test_the_commands_are_words_of_a_family(project: Project, store: Path, nbexp_cli: Any) -> None:
    text = nbexp_cli("import", "mlflow", store, cwd=project.root).stdout
    assert text.splitlines()[0].startswith("imported 2 experiments from ")
    assert "  renamed       high lr! as high-lr" in text.splitlines()
    shown = nbexp_cli("import", "-h", cwd=project.root).stdout
    assert "mlflow" in shown
    assert "csv" in shown


def test_a_cell_shows_a_table_with_names_escaped(project: Project, tmp_path: Path) -> None:
    from nbexp.jupyter import display

    (tmp_path / "t.csv").write_text("name,lr\n<b>bold</b>,1\n")
    shown = str(display.bundle(project.import_csv(tmp_path / "t.csv"))[0]["text/html"])
    assert "<table" in shown
    assert "b-bold-b" in shown
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown
    project.run(name="first")
    saved = str(display.bundle(project.save(name="mine"))[0]["text/html"])
    assert "<table" in saved
    assert "mine" in saved


def test_two_hundred_rows_are_two_hundred_experiments(project: Project, tmp_path: Path) -> None:
    rows = "".join(f"run-{n},{n / 1000},{n},{n / 7}\n" for n in range(200))
    (tmp_path / "t.csv").write_text("name,train.lr,seed,acc\n" + rows)
    project.import_csv(tmp_path / "t.csv")
    assert len(project.names) == 200
    assert project["run-199"].params == {"train.lr": 0.199, "seed": 199}
