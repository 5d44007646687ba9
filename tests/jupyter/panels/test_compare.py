"""The compare panel without a browser; tests/journeys/test_compare_panel.py has it in JupyterLab and Notebook."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from nbexp.errors import NotFound, UsageError
from nbexp.experiments import columns
from nbexp.experiments.table import Data, FileError, Row, Table
from nbexp.formats.values import MISSING
from nbexp.frozen import replace
from nbexp.jupyter.panels import bundled, compare, packing, picture, rows, views

CASES = Path(__file__).parents[3] / "extension" / "src" / "panels" / "compare" / "cases.json"
SHARED = json.loads(CASES.read_text(encoding="utf-8"))
BASE = "b" * 40


def row(
    name: str, metrics: object, params: object, number: int = 0, *, deps: Any = None, **more: Any
) -> Row:
    data = Data({"params.yaml": params}, {"metrics.json": metrics}, deps or {})
    return Row(
        f"{number:040x}",
        name,
        "experiment",
        data,
        BASE,
        **{"created_s": 1_700_000_000 + number, **more},
    )


def table(*found: Row) -> Table:
    return Table(
        (
            Row("workspace", None, "workspace", Data()),
            Row(BASE, "main", "baseline", Data(), created_s=1),
            *found,
        )
    )


def tree(flat: dict[str, object]) -> dict[str, Any]:
    """Dotted keys as a file has them."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        here = found
        for part in above:
            here = here.setdefault(part, {})
        here[last] = value
    return found


def header(packed: bytes) -> dict[str, Any]:
    assert packed[:4] == b"NBX1"
    (length,) = struct.unpack("<I", packed[4:8])
    found: dict[str, Any] = json.loads(packed[8 : 8 + length])
    return found


@pytest.mark.parametrize(("where", "wanted"), SHARED["cases"])
def test_the_filter_of_the_browser_is_held_to_the_same_cases(where, wanted):
    made = [
        row(
            one["name"], tree(one["metrics"]), tree(one["params"]), number,
            state=one["state"], created_s=one["created"],
            labels={name: one[name] for name in ("tags", "star", "note") if one.get(name)},
            deps={path: {"hash": hash_} for path, hash_ in one.get("deps", {}).items()},
        )
        for number, one in enumerate(SHARED["rows"])
    ]  # fmt: skip
    if wanted is None:
        with pytest.raises((UsageError, NotFound)):
            columns.matching(table(*made), where)
    else:
        found = columns.matching(table(*made), where)
        assert [one.name for one in found.experiments] == wanted


def test_what_waits_is_known_by_its_task_and_goes_when_it_has_gone():
    waiting = [
        replace(row(name, {}, {"train.lr": 1}), rev=task, state="queued")
        for name, task in (("first", "0a1b2c3d4e5f"), ("later", "b8d4637a029c"))
    ]
    before, after = rows.of(table(*waiting)), rows.of(table(waiting[0]))
    packed = header(rows.whole(before))
    # The second column is the ids of rows that are no commit.
    assert packed["columns"][1]["levels"] == ["workspace", "0a1b2c3d4e5f", "b8d4637a029c"]
    assert header(rows.change(before, after))["meta"]["gone"] == ["b8d4637a029c"]


class TestPacking:
    def test_each_kind_of_column_is_as_small_as_it_can_be(self):
        cases = {
            "f64": [0.5, MISSING, 0.25],
            "i32": [3, 4, MISSING],
            "grid": [0.1, 0.2] * 200,
            "levels": ["adam", "sgd", MISSING, None, [1], float],
        }
        assert {kind: packing.values(found).said["type"] for kind, found in cases.items()} == {
            kind: kind for kind in cases
        }

    def test_what_json_lacks_is_said_all_the_same(self):
        found = [float("nan"), "x", 1 << 70, {"a": 1}, FileError("KeyError", "no")]
        assert packing.values(found).said["levels"] == [
            {"$": "float", "text": "nan"},
            "x",
            {"$": "int", "text": str(1 << 70)},
            {"$": "value", "text": '{"a": 1}'},
            {"$": "error", "text": "no"},
        ]

    def test_columns_are_aligned(self):
        packed = packing.pack(
            3, {}, [packing.levels(["a", "b", "a"]), packing.values([0.1, 0.2, 0.3])]
        )
        places = [column["at"] for column in header(packed)["columns"]]
        assert places == [0, 8]
        assert len(packed) % 8 == 0
        assert struct.unpack("<3d", packed[-24:]) == (0.1, 0.2, 0.3)


class TestRows:
    def test_the_columns_are_those_of_the_table(self):
        sent = rows.of(
            table(row("a", {"acc": 0.5}, {"lr": 1}), row("b", {"acc": 0.6}, {"lr": 2}, 1))
        )
        meta = header(rows.whole(sent))["meta"]
        assert [(one["id"], one.get("better"), one.get("whole")) for one in meta["columns"]] == [
            ("metric:metrics.json:acc", "higher", None),
            ("param:params.yaml:lr", None, True),
        ]

    def test_two_names_of_one_commit_are_two_rows(self):
        sent = rows.of(table(row("a", {}, {}), row("b", {}, {})))
        assert sent.ids[2:] == ("0" * 40, f"{'0' * 40} b")
        assert sent.row(sent.ids[3]).name == "b"

    def test_a_new_row_is_all_that_is_sent(self):
        many = [row(f"some-name-{n}", {f"m{i}": n / 7 for i in range(14)}, {f"p{i}": n for i in range(12)}, n + 1) for n in range(500)]  # fmt: skip
        before = rows.of(table(*many))
        after = rows.of(table(row("new", {"m0": 1.0}, {"p0": 1}, 900), *many))
        changed = rows.change(before, after)
        assert header(changed)["rows"] == 1
        assert header(changed)["meta"]["places"] == [2]
        assert len(changed) <= 10_000

    def test_labels_and_states_that_change_are_sent_and_what_went_is_named(self):
        one, other = row("a", {}, {}, 1), row("b", {}, {}, 2)
        starred = row("a", {}, {}, 1, labels={"star": True})
        changed = header(rows.change(rows.of(table(one, other)), rows.of(table(starred))))
        assert changed["meta"]["labels"] == {one.rev: {"star": True}}
        assert changed["meta"]["gone"] == [other.rev]
        assert rows.change(rows.of(table(one, other)), rows.of(table(one, other))) == b""

    def test_another_order_is_sent_whole(self):
        one, other = row("a", {}, {}, 1), row("b", {}, {}, 2)
        assert rows.change(rows.of(table(one, other)), rows.of(table(other, one))) is None


class TestViews:
    def test_a_view_is_found_by_its_name(self, tmp_path):
        views.change(tmp_path, "best", {"where": "acc > 0.9"})
        assert views.of(tmp_path, "best") == {"where": "acc > 0.9"}
        with pytest.raises(NotFound) as caught:
            views.of(tmp_path, "bets")
        assert str(caught.value) == (
            "There is no view `bets`.\nHint: did you mean `nbexp show -i --view best`?"
        )
        assert views.change(tmp_path, "best", None, remove=True) == {}

    def test_a_view_has_a_name_and_is_small(self, tmp_path):
        with pytest.raises(UsageError, match="A view needs a name"):
            views.change(tmp_path, " ", {})
        with pytest.raises(UsageError, match="larger than 64 kB"):
            views.change(tmp_path, "big", {"where": "x" * 70_000})
        assert views.read(tmp_path) == {}


class TestPicture:
    def test_each_experiment_is_a_line_and_the_best_stands_out(self):
        drawn = picture.draw(
            table(row("a", {"acc": 0.5}, {"lr": 1}), row("<b>", {"acc": 0.6}, {"lr": 2}, 1))
        )
        assert drawn.count("<polyline") == 2
        assert "&lt;b&gt;" in drawn and "<b>" not in drawn
        assert drawn.index(picture._BEST) > drawn.index(picture._LINE)

    def test_there_is_none_of_one_experiment(self):
        assert picture.draw(table(row("a", {"acc": 0.5}, {"lr": 1}))) is None


class TestPanel:
    @pytest.fixture
    def panel(self, pipeline_project, nbexp_cli):
        project = pipeline_project()
        for name, rate in (("one", "0.05"), ("two", "0.03")):
            nbexp_cli("run", "-S", f"train.lr={rate}", "-n", name, cwd=project)
        from nbexp import commands
        from nbexp.events import ignore

        words = ["show", "-i"]
        found = commands.execute(words, ignore, directory=str(project)).result
        made = compare.Compare(found, words, project)
        made.told = []
        made.widget.send = lambda content, buffers=None: made.told.append((content, buffers))
        return made

    def test_the_rows_are_sent_and_not_kept_in_the_state(self, panel):
        assert bytes(panel.widget.get_state()["data"])[:4] == b"NBX1"
        assert panel.widget.data is None
        panel.widget.set_state({"data": None})
        assert bytes(panel.widget.get_state()["data"])[:4] == b"NBX1"

    def test_what_is_chosen_are_experiments(self, panel):
        chosen = [panel.table["two"].rev, panel.table["main"].rev]
        panel._hear(panel.widget, {"do": "select", "number": 1, "ids": chosen}, [])
        assert panel.told == [({"say": "done", "number": 1, "selected": 2}, [])]
        assert [one.name for one in panel.selected] == ["two"]
        panel.select("one")
        assert [one.name for one in panel.selected] == ["one"]

    def test_the_browser_has_an_answer_whatever_goes_wrong(self, panel: Any) -> None:
        panel._hear(panel.widget, {"do": "select", "number": 9}, [])
        [(answer, _)] = [one for one in panel.told if one[0].get("number") == 9]
        assert answer["error"] == "KeyError: 'ids'"
        assert answer["hint"]

    def test_only_commands_of_its_menu_are_carried_out(self, panel):
        panel._hear(panel.widget, {"do": "act", "number": 1, "words": ["gc", "--yes"]}, [])
        answer, _ = panel.told[-1]
        assert answer["error"] == "`%exp gc --yes` is not for this panel. Nothing was done."

    def test_a_command_tells_its_line_and_what_it_came_to(self, panel):
        panel._hear(panel.widget, {"do": "act", "number": 4, "words": ["tag", "two", "best"]}, [])
        answer, _ = panel.told[-1]
        assert answer["line"] == "%exp tag two best"
        assert "best" in answer["html"]
        change, buffers = panel.told[-2]
        assert change == {"say": "rows", "whole": False}
        assert header(buffers[0])["meta"]["labels"][panel.table["two"].rev] == {
            "tags": ("best",)
        } or (header(buffers[0])["meta"]["labels"][panel.table["two"].rev] == {"tags": ["best"]})

    def test_an_error_is_its_message_and_hint(self, panel):
        panel._hear(panel.widget, {"do": "act", "number": 5, "words": ["open", "tow"]}, [])
        answer, _ = panel.told[-1]
        assert "tow" in answer["error"]
        assert answer["number"] == 5

    def test_curves_are_bytes(self, panel):
        asked = {"do": "curves", "number": 6, "metric": "acc", "names": ["one", "two"]}
        panel._hear(panel.widget, asked, [])
        answer, buffers = panel.told[-1]
        assert [one["name"] for one in answer["curves"]] == ["one", "two"]
        assert struct.unpack("<I4x3d3d", buffers[1]) == (3, 1, 2, 3, 0.9, 0.925, 0.9333)

    def test_the_still_part_has_text_a_table_and_a_picture(self, panel):
        contents, _ = compare.still(panel.table)
        assert str(contents["text/plain"]).splitlines()[0].split()[:3] == [
            "experiment",
            "created",
            "acc",
        ]
        assert "<table" in str(contents["text/html"])
        assert "<script" not in str(contents["text/html"])
        assert str(contents["image/svg+xml"]).startswith("<svg")


def test_a_panel_that_was_not_built_says_how_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    with pytest.raises(NotFound) as caught:
        bundled.read("compare")
    assert str(caught.value) == (
        "The panel `compare` is not built: this is nbexp from a checkout, without compare.js.\n"
        "Hint: `make panels` in the checkout builds it."
    )


def test_a_view_without_a_panel_is_refused(pipeline_project, nbexp_cli):
    ran = nbexp_cli("show", "--view", "best", cwd=pipeline_project(), code=2)
    assert "`nbexp show -i --view best`" in ran.stderr


def test_in_a_terminal_the_panel_is_the_table(pipeline_project, nbexp_cli):
    project = pipeline_project()
    assert nbexp_cli("show", "-i", cwd=project).stdout == nbexp_cli("show", cwd=project).stdout


def test_where_nobody_looks_on_there_is_the_table(pipeline_project, monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    quiet = Config()
    quiet.HistoryManager.enabled = False
    project = pipeline_project()
    (project / "nbexp.toml").write_text("interactive = true\n")
    monkeypatch.chdir(project)
    shell: Any = InteractiveShell(config=quiet)
    try:
        shell.run_line_magic("load_ext", "nbexp")
        for line in ("show", "show -i"):
            found = shell.run_line_magic("exp", line)
            assert type(found) is Table
            assert found.view.is_panel
        assert not shell.run_line_magic("exp", "show --group-by train.lr").groups
    finally:
        shell.restore_sys_module_state()
