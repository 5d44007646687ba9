"""The table of experiments: rows, columns, and DVC's JSON, CSV and Markdown of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NotFound
from nbexp.experiments.table import Data, FileError, Row, Table, markdown
from nbexp.formats.values import MISSING

if TYPE_CHECKING:
    from nbexp import Project
    from tests.conftest import Program

Git = Callable[..., str]

HEAD, LOW, HIGH = "a" * 40, "b" * 40, "c" * 40
NOON = int(time.mktime((2024, 5, 4, 12, 30, 0, 0, 0, -1)))


def data(lr: object, acc: object = None, **more: object) -> Data:
    metrics = {} if acc is None else {"metrics.json": {"acc": acc}}
    return Data({"params.yaml": {"lr": lr, **more}}, metrics)


@pytest.fixture
def table() -> Table:
    return Table(
        (
            Row("workspace", None, "workspace", data(0.5, 0.8)),
            Row(HEAD, "main", "baseline", data(0.1), created_s=NOON),
            Row(HIGH, "high", "experiment", data(0.5, 0.8), HEAD, NOON + 60),
            Row(LOW, "low", "experiment", data(0.03, 0.912345678, seed=1), HEAD, NOON),
        )
    )


# --- Rows and columns ---------------------------------------------------------------------------


def test_a_table_is_a_list_of_rows(table: Table) -> None:
    assert len(table) == 4
    assert [row.kind for row in table] == ["workspace", "baseline", "experiment", "experiment"]
    assert [row.name for row in table.experiments] == ["high", "low"]
    assert table["low"].rev == LOW
    assert table[LOW].name == "low"
    assert table["low"].params == {"lr": 0.03, "seed": 1}
    assert table["low"].metrics == {"acc": 0.912345678}
    with pytest.raises(NotFound):
        table["nobody"]


def test_metrics_come_before_params_and_deps_on_request(table: Table) -> None:
    assert [(column.kind, column.title) for column in table.columns()] == [
        ("metric", "acc"),
        ("param", "lr"),
        ("param", "seed"),
    ]
    row = Row(
        LOW, "x", "experiment", Data(deps={"b.csv": {"hash": "1"}, "a.csv": {"hash": None}}), HEAD
    )
    with_deps = Table((row,))
    assert [column.title for column in with_deps.columns(deps=True)] == ["a.csv", "b.csv"]
    first, second = with_deps.columns(deps=True)
    assert with_deps.value(row, first) is MISSING
    assert with_deps.value(row, second) == "1"


def test_keys_that_two_files_have_are_titled_with_their_file() -> None:
    row = Row(
        LOW,
        "x",
        "experiment",
        Data({"params.yaml": {"lr": 1, "seed": 2}, "more.json": {"lr": 3}}, {"m.json": {"lr": 4}}),
        HEAD,
    )
    titles = [column.title for column in Table((row,)).columns()]
    assert titles == ["m.json:lr", "params.yaml:lr", "seed", "more.json:lr"]
    assert row.params == {"params.yaml:lr": 1, "seed": 2, "more.json:lr": 3}


def test_what_a_row_lacks_is_missing(table: Table) -> None:
    acc, _, seed = table.columns()
    assert table.value(table["main"], acc) is MISSING
    assert table.value(table["high"], seed) is MISSING
    assert table.value(table["low"], seed) == 1
    broken = Row("x" * 40, "bad", "experiment", Data({"params.yaml": FileError("E", "m")}), HEAD)
    assert isinstance(Table((broken,)).value(broken, table.columns()[1]), FileError)
    unread = Row("y" * 40, "unread", "experiment", None, HEAD, error="dvc.yaml: …")
    assert table.value(unread, acc) is MISSING
    assert unread.params == {}


# --- Shapes -------------------------------------------------------------------------------------


def test_csv_is_dvcs(table: Table) -> None:
    assert table.to_csv() == (
        "Experiment,rev,typ,Created,parent,acc,lr,seed\r\n"
        ",workspace,baseline,,,0.8,0.5,\r\n"
        ",main,baseline,2024-05-04T12:30:00,,,0.1,\r\n"
        "high,ccccccc,branch_commit,2024-05-04T12:31:00,,0.8,0.5,\r\n"
        "low,bbbbbbb,branch_base,2024-05-04T12:30:00,,0.912345678,0.03,1\r\n"
    )


def test_markdown_is_dvcs(table: Table) -> None:
    assert table.to_markdown() == (
        "| Experiment         | Created      | acc     | lr   | seed   |\n"
        "|--------------------|--------------|---------|------|--------|\n"
        "| workspace          | -            | 0.8     | 0.5  | -      |\n"
        "| main               | May 04, 2024 | -       | 0.1  | -      |\n"
        "| ├── ccccccc [high] | May 04, 2024 | 0.8     | 0.5  | -      |\n"
        "| └── bbbbbbb [low]  | May 04, 2024 | 0.91235 | 0.03 | 1      |\n"
    )


def test_json_is_dvcs(table: Table) -> None:
    workspace, main = table.to_json()
    assert workspace["rev"] == "workspace"
    assert workspace["experiments"] is None
    assert main["name"] == "main"
    assert main["data"] == {
        "rev": HEAD,
        "timestamp": "2024-05-04T12:30:00",
        "params": {"params.yaml": {"data": {"lr": 0.1}}},
        "metrics": {},
        "deps": {},
        "outs": {},
        "meta": {},
    }
    members = main["experiments"]
    assert isinstance(members, list)
    assert [member["name"] for member in members] == ["high", "low"]
    assert members[0]["executor"] is None
    assert [rev["rev"] for rev in members[1]["revs"]] == [LOW]
    json.dumps(table.to_json())


def test_states_other_than_done_get_a_column_and_an_executor(table: Table) -> None:
    failed = Row("d" * 40, "bad", "experiment", data(9), HEAD, NOON, state="interrupted")
    with_failed = Table((*table.rows, failed))
    assert with_failed.to_csv().splitlines()[0] == (
        "Experiment,rev,typ,Created,parent,State,acc,lr,seed"
    )
    assert (
        with_failed.to_csv()
        .splitlines()[-1]
        .startswith("bad,ddddddd,branch_base,2024-05-04T12:30:00,,interrupted,,9,")
    )
    main = with_failed.to_json()[1]
    members = main["experiments"]
    assert isinstance(members, list)
    assert members[-1]["executor"]["state"] == "failed"


def test_an_error_takes_the_place_of_the_data(table: Table) -> None:
    broken = Row("d" * 40, "bad", "experiment", None, HEAD, NOON - 1, error="dvc.yaml: no")
    main = Table((*table.rows, broken)).to_json()[1]
    members = main["experiments"]
    assert isinstance(members, list)
    state = members[-1]["revs"][0]
    assert state["data"] is None
    assert state["error"] == {"msg": "dvc.yaml: no", "type": "ProjectFileError"}


def test_a_frame_has_typed_columns(table: Table) -> None:
    frame = table.to_frame()
    assert list(frame.columns) == [
        "experiment", "rev", "kind", "baseline", "state", "created", "acc", "lr", "seed",
    ]  # fmt: skip
    assert frame["lr"].dtype == "float64"
    assert frame["acc"].dtype == "float64"
    assert str(frame["created"].dtype).startswith("datetime64")
    assert frame["created"].dt.tz is not None
    assert frame.loc[frame.experiment == "low", "acc"].item() == 0.912345678
    assert frame.loc[frame.experiment == "main", "acc"].isna().item()


def test_a_column_of_whole_numbers_stays_one_where_no_value_is_missing() -> None:
    rows = [Row("w", None, "workspace", data(1)), Row(HEAD, "main", "baseline", data(2))]
    frame = Table(tuple(rows)).to_frame()
    assert frame["lr"].dtype == "int64"


def test_a_markdown_table_is_padded_as_dvc_does() -> None:
    assert markdown([["a", "long head"], ["value", "x"]]) == (
        "| a     | long head   |\n|-------|-------------|\n| value | x           |\n"
    )


# --- Reading commits ----------------------------------------------------------------------------


def test_rows_are_read_from_commits_newest_first(project: Project) -> None:
    project.run({"train.lr": 0.03}, name="low")
    time.sleep(1.1)
    project.run({"train.lr": 0.5}, name="high")
    table = project.show()
    assert [(row.kind, row.name) for row in table] == [
        ("workspace", None),
        ("baseline", "main"),
        ("experiment", "high"),
        ("experiment", "low"),
    ]
    assert [row.metrics.get("acc") for row in table] == [0.4633, None, 0.4633, 0.9333]
    missing = table.value(table["main"], table.columns()[0])
    assert isinstance(missing, FileError)
    assert missing.msg == "[Errno 2] No such file or directory: 'metrics.json'"
    assert table["low"].params["train.lr"] == 0.03
    assert table["workspace"].params["train.lr"] == 0.5


def test_of_one_second_the_last_one_is_first_and_for_dvc_the_highest_revision(
    project: Project, monkeypatch: pytest.MonkeyPatch, dvc: Program
) -> None:
    second = float(int(time.time()))
    monkeypatch.setattr("nbexp.git.time.time", lambda: second)
    for name in ("b", "d", "a", "e", "c"):
        project.run({"seed": ord(name)}, name=name)
    shown = project.show()
    assert len({row.created_s for row in shown.experiments}) == 1
    assert [row.name for row in shown.experiments] == ["c", "e", "a", "d", "b"]
    project.close()
    theirs = dvc("exp", "show", "--json", cwd=project.root).stdout
    assert shown.to_json() == json.loads(theirs)
    revs = [row.rev for row in shown.experiments]
    lines = [line for line in shown.to_csv().splitlines() if ",branch_" in line]
    assert [line.split(",")[1] for line in lines] == [rev[:7] for rev in sorted(revs)[::-1]]
    by_seed = project.show(sort="seed").to_json()[1]["experiments"]
    assert [one["name"] for one in by_seed] == ["a", "b", "c", "d", "e"]  # type: ignore[attr-defined]


def test_every_baseline_has_its_own_group_the_present_one_first(project: Project, git: Git) -> None:
    project.run(name="old")
    first = git("rev-parse", "HEAD", cwd=project.root)
    git("tag", "v1", cwd=project.root)
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=project.root)
    project.run(name="new")
    found = [(row.kind, row.name) for row in project.show()]
    assert found == [
        ("workspace", None),
        ("baseline", "main"),
        ("experiment", "new"),
        ("baseline", "v1"),
        ("experiment", "old"),
    ]
    assert project.show()["old"].baseline == first


def test_metrics_that_dvc_caches_are_read_from_the_cache(project: Project, git: Git) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: cp params.yaml m.yaml\n    params: [seed]\n    metrics: [m.yaml]\n"
    )
    git("commit", "--quiet", "--all", "--message=metrics", cwd=root)
    project.run({"seed": 7}, name="seven")
    project.run({"seed": 8}, name="eight")
    assert project.show()["seven"].metrics["seed"] == 7
    assert project.show()["eight"].metrics["seed"] == 8


def test_a_directory_of_metrics_is_read_file_by_file(project: Project, git: Git) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: mkdir -p out && cp conf.json out/a.json && cp conf.json out/b.json\n"
        "    deps: [conf.json]\n    metrics: [{out: {cache: false}}]\n"
    )
    (root / "conf.json").write_text('{"acc": 1}')
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=metrics", cwd=root)
    project.run(name="one")
    (root / "conf.json").write_text('{"acc": 2}')
    project.run(name="two")
    assert project.show()["one"].metrics == {"out/a.json:acc": 1, "out/b.json:acc": 1}
    assert project.show()["two"].metrics == {"out/a.json:acc": 2, "out/b.json:acc": 2}


def test_only_the_params_that_stages_read_are_shown_of_other_files(
    project: Project, git: Git
) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: 'true'\n    params: [{conf.json: [used]}]\n"
    )
    (root / "conf.json").write_text('{"used": 1, "unused": 2}')
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=conf", cwd=root)
    params = project.show()["main"].params
    assert params["used"] == 1
    assert "unused" not in params
    assert params["train.lr"] == 0.1


def test_a_second_look_is_answered_from_the_index(project: Project) -> None:
    project.run(name="one")
    first = project.show()
    assert project.show().rows == first.rows


def test_an_experiment_whose_baseline_git_lacks_is_shown(project: Project, git: Git) -> None:
    """A shallow clone has such ones."""
    made = project.run(name="one")
    nowhere = "12" * 20
    git("update-ref", f"refs/exps/{nowhere[:2]}/{nowhere[2:]}/lost", made.rev, cwd=project.root)
    table = project.show()
    assert [row.name for row in table] == [None, "main", "one", None, "lost"]
    assert table[nowhere].is_detached
    assert table[nowhere].data is None
    assert table["lost"].metrics["acc"] == 0.8633
