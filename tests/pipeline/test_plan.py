"""What would run, and why, in words."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NotFound, ProjectFileError
from nbexp.pipeline.plan import Disk, Inspector

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

PIPELINE = """\
stages:
  train:
    cmd: cp data.csv model.txt
    deps: [data.csv]
    params: [lr, net]
    outs: [model.txt]
"""
PARAMS = "lr: 0.1\nnet:\n  depth: 2\n  widths: [8, 8]\nother: 1\n"


@pytest.fixture
def done(bench: Bench) -> Bench:
    """A project whose one stage is up to date."""
    bench.write(dvc__yaml=PIPELINE, params__yaml=PARAMS, data__csv="1\n")
    bench.run()
    return bench


def notebook(*cells: str, prose: str = "") -> str:
    made: list[dict[str, object]] = [
        {"cell_type": "markdown", "id": "m", "metadata": {}, "source": prose}
    ]
    made += [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["parameters"]} if not number else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


# --- Reasons ------------------------------------------------------------------------------------


def test_a_stage_that_never_ran_says_all_that_is_new(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE, params__yaml=PARAMS, data__csv="1\n")
    assert bench.reasons("train") == [
        "data.csv is new",
        "params.yaml:lr is new",
        "params.yaml:net is new",
        "model.txt is missing",
    ]


def test_a_stage_that_ran_has_no_reason_to_run(done: Bench) -> None:
    assert done.reasons("train") == []


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ("lr: 0.1", "lr: 0.01", ["params.yaml:lr 0.1 -> 0.01"]),
        ("lr: 0.1", "lr: high", ["params.yaml:lr 0.1 -> high"]),
        ("lr: 0.1", "lr: true", ["params.yaml:lr 0.1 -> true"]),
        ("lr: 0.1", "lr: null", ["params.yaml:lr 0.1 -> null"]),
        ("depth: 2", "depth: 3", ["params.yaml:net.depth 2 -> 3"]),
        (
            "depth: 2",
            "depth: 2\n  bias: true",
            ["params.yaml:net.bias none -> true"],
        ),
        (
            "[8, 8]",
            "[8, 16]",
            ["params.yaml:net.widths [8, 8] -> [8, 16]"],
        ),
        ("lr: 0.1\n", "", ["params.yaml:lr is missing"]),
        ("other: 1", "other: 2", []),
        ("lr: 0.1", "lr: 0.10  # the same number", []),
        ("lr: 0.1", "lr: 1e-1", []),
    ],
)
def test_a_changed_param_is_named_with_both_values(
    before: str, after: str, reasons: list[str], done: Bench
) -> None:
    assert before in PARAMS
    done.write(params__yaml=PARAMS.replace(before, after))
    assert done.reasons("train") == reasons


def test_changed_files_are_named(done: Bench) -> None:
    done.write(data__csv="2\n", model__txt="edited\n")
    assert done.reasons("train") == ["data.csv changed", "model.txt changed"]
    (done.root / "data.csv").unlink()
    (done.root / "model.txt").unlink()
    assert done.reasons("train") == ["data.csv is missing", "model.txt is missing"]


def test_a_changed_command_is_a_reason(done: Bench) -> None:
    done.write(dvc__yaml=PIPELINE.replace("cp data", "cp -f data"))
    assert done.reasons("train") == ["its command changed"]


def test_a_new_dep_and_a_new_output_are_reasons(done: Bench) -> None:
    text = PIPELINE.replace("[data.csv]", "[data.csv, more.csv]").replace(
        "[model.txt]", "[model.txt, log.txt]"
    )
    done.write(dvc__yaml=text, more__csv="1\n", log__txt="1\n")
    assert done.reasons("train") == ["more.csv is new", "log.txt is new"]


def test_an_output_whose_object_is_gone_is_a_reason(done: Bench) -> None:
    done.cache.path(hashlib.md5(b"1\n").hexdigest()).unlink()
    assert done.reasons("train") == ["model.txt not in cache"]


def test_what_was_asked_for_comes_first(done: Bench) -> None:
    assert [str(reason) for reason in done.check("train", force=True).reasons] == ["asked for"]


@pytest.mark.parametrize(
    "body",
    ["    cmd: 'true'\n", "    cmd: 'true'\n    always_changed: true\n    deps: [data.csv]\n"],
)
def test_a_stage_that_always_runs_says_so(body: str, bench: Bench) -> None:
    bench.write(dvc__yaml=f"stages:\n  ping:\n{body}", data__csv="1\n")
    bench.run()
    assert bench.reasons("ping") == ["it always runs"]


def test_a_frozen_stage_looks_at_its_outputs_alone(done: Bench) -> None:
    frozen = PIPELINE.replace("    cmd:", "    frozen: true\n    cmd:")
    done.write(dvc__yaml=frozen, data__csv="2\n", params__yaml="lr: 7\n")
    assert done.reasons("train") == []
    (done.root / "model.txt").unlink()
    assert done.reasons("train") == ["model.txt is missing"]


def test_only_missing_outputs_are_told_apart(done: Bench) -> None:
    (done.root / "model.txt").unlink()
    assert done.check("train").only_outs
    done.write(data__csv="2\n")
    assert not done.check("train").only_outs


def test_a_directory_has_changed_when_a_file_in_it_has(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: mkdir out && cp data/* out\n    deps: [data]\n    outs: [out]\n",
        data___x__csv="1\n",
    )
    bench.run()
    assert bench.reasons("a") == []
    bench.write(data___y__csv="2\n")
    assert bench.reasons("a") == ["data changed"]
    (bench.root / "data" / "y.csv").unlink()
    (bench.root / "out" / "x.csv").rename(bench.root / "out" / "z.csv")
    assert bench.reasons("a") == ["out changed"]


def test_an_entry_of_dvc_2_is_compared_by_its_own_digest(done: Bench) -> None:
    """Its md5s are those of the text with Unix line ends (formats.md 3.2)."""
    done.write(data__csv="1\r\n")
    done.run()
    unix = hashlib.md5(b"1\n").hexdigest()
    lock = done.read("dvc.lock").replace("      hash: md5\n", "")
    lock = lock.replace(hashlib.md5(b"1\r\n").hexdigest(), unix)
    done.write(dvc__lock=lock)
    assert "data.csv changed" not in done.reasons("train")


# --- Notebooks ----------------------------------------------------------------------------------

NOTEBOOK_STAGE = """\
stages:
  train:
    cmd: nbexp notebook train.ipynb out.ipynb --params train
    deps: [train.ipynb]
    params: [train]
    outs: [out.ipynb]
"""


@pytest.fixture
def ran(bench: Bench) -> Bench:
    """A notebook stage that dvc.lock says is up to date; no kernel had to start for it."""
    bench.write(
        dvc__yaml=NOTEBOOK_STAGE,
        params__yaml="train: {lr: 1}\n",
        train__ipynb=notebook("lr = 1", "print(lr)", prose="# Title"),
        out__ipynb="{}",
    )
    (stage,) = bench.stages("train")
    now = bench.inspector.now(stage)
    out = bench.cache.add(bench.root / "out.ipynb")
    bench.cache.memo("notebook", now.deps[0].md5)
    lock = {
        "schema": "2.0",
        "stages": {
            "train": {
                "cmd": stage.spec.cmd,
                "deps": [{"path": "train.ipynb", "hash": "md5", "md5": now.deps[0].md5, "size": 1}],
                "params": {"params.yaml": {"train": {"lr": 1}}},
                "outs": [{"path": "out.ipynb", "hash": "md5", "md5": out.md5, "size": 2}],
            }
        },
    }
    bench.write(dvc__lock=json.dumps(lock))
    return bench


class Committed:
    """Git, as far as a stage asks: the notebook as it was."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def notebook(self, path: str, md5: str) -> bytes | None:
        return self.data if hashlib.md5(self.data).hexdigest() == md5 else None


def test_prose_does_not_make_a_notebook_run_but_its_md5_is_refreshed(ran: Bench) -> None:
    ran.meanings = Committed((ran.root / "train.ipynb").read_bytes())
    edited = notebook("lr = 1", "print(lr)", prose="# Another title")
    ran.write(train__ipynb=edited)
    check = ran.check("train")
    assert check.reasons == ()
    assert check.refreshed is not None
    assert check.refreshed.deps[0].md5 == hashlib.md5(edited.encode()).hexdigest()


def test_code_makes_a_notebook_run(ran: Bench) -> None:
    ran.meanings = Committed((ran.root / "train.ipynb").read_bytes())
    ran.write(train__ipynb=notebook("lr = 1", "print(lr + 1)", prose="# Title"))
    assert ran.reasons("train") == ["train.ipynb changed"]


def test_a_notebook_whose_old_bytes_nobody_has_counts_as_changed(ran: Bench) -> None:
    ran.write(train__ipynb=notebook("lr = 1", "print(lr)", prose="# Another title"))
    assert ran.reasons("train") == ["train.ipynb changed"]


def test_a_notebook_that_a_script_reads_is_compared_by_its_bytes(ran: Bench) -> None:
    ran.meanings = Committed((ran.root / "train.ipynb").read_bytes())
    ran.write(dvc__yaml=NOTEBOOK_STAGE.replace("nbexp notebook train.ipynb", "python run.py"))
    ran.write(train__ipynb=notebook("lr = 1", "print(lr)", prose="# Another title"))
    assert "train.ipynb changed" in ran.reasons("train")


# --- Before anything runs -----------------------------------------------------------------------


def require(bench: Bench, *names: str, edits: dict[str, bytes] | None = None) -> None:
    files = Disk(bench.root, edits or {})
    inspector = Inspector(bench.root, bench.cache, files, bench.meanings)  # type: ignore[arg-type]
    inspector.require_inputs(bench.stages(*names), bench.graph)


@pytest.mark.parametrize(
    ("pipeline", "text"),
    [
        (
            PIPELINE.replace("[data.csv]", "[dota.csv]"),
            (
                "Dep `dota.csv` of stage `train` does not exist. Nothing was run.\n"
                "Hint: did you mean `data.csv`?"
            ),
        ),
        (
            PIPELINE.replace("[data.csv]", "[raw/2024.parquet]"),
            (
                "Dep `raw/2024.parquet` of stage `train` does not exist. Nothing was run.\n"
                "Hint: create it, or correct deps in dvc.yaml."
            ),
        ),
        (
            PIPELINE.replace("[lr, net]", "[lr, net.dept]"),
            (
                "No param `net.dept` in params.yaml, which stage `train` reads. Nothing was run.\n"
                "Hint: did you mean `net.depth`?"
            ),
        ),
        (
            PIPELINE.replace("[lr, net]", "[optimizer]"),
            (
                "No param `optimizer` in params.yaml, which stage `train` reads. Nothing was run.\n"
                "Hint: add `optimizer` to params.yaml."
            ),
        ),
        (
            PIPELINE.replace("[lr, net]", "[{conf.json: [lr]}]"),
            (
                "Params file `conf.json` of stage `train` does not exist. Nothing was run.\n"
                "Hint: create it, or correct params in dvc.yaml."
            ),
        ),
        (
            PIPELINE.replace("    cmd:", "    wdir: src\n    cmd:"),
            (
                "The wdir `src` of stage `train` is no directory. Nothing was run.\n"
                "Hint: create it, or correct wdir in dvc.yaml."
            ),
        ),
        (
            PIPELINE.replace("    cmd:", "    wdir: data.csv\n    cmd:"),
            (
                "The wdir `data.csv` of stage `train` is no directory. Nothing was run.\n"
                "Hint: create it, or correct wdir in dvc.yaml."
            ),
        ),
    ],
)
def test_what_is_not_there_is_told_before_anything_runs(
    pipeline: str, text: str, bench: Bench
) -> None:
    bench.write(dvc__yaml=pipeline, params__yaml=PARAMS, data__csv="1\n")
    with pytest.raises(NotFound) as caught:
        require(bench)
    assert str(caught.value) == text


def test_what_an_earlier_stage_writes_need_not_be_there(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n"
        "  first:\n    cmd: x\n    outs: [made, conf.yaml]\n"
        "  second:\n    cmd: x\n    deps: [made/part.csv]\n    params: [{conf.yaml: [lr]}]\n"
    )
    require(bench)


def test_a_frozen_stage_may_lack_its_inputs(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE.replace("    cmd:", "    frozen: true\n    cmd:"))
    require(bench)


def test_params_are_looked_for_where_the_overrides_are_written(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE, params__yaml="lr: 1\n", data__csv="1\n")
    with pytest.raises(NotFound):
        require(bench)
    require(bench, edits={"params.yaml": b"lr: 1\nnet: 2\n"})


def test_a_lock_that_cannot_be_read_is_told_before_anything_runs(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE, params__yaml=PARAMS, data__csv="1\n", dvc__lock="stages: [\n")
    with pytest.raises(ProjectFileError) as caught:
        require(bench)
    assert caught.value.path == "dvc.lock"


# --- What dvc.lock would say ---------------------------------------------------------------------


def test_deps_and_params_are_in_the_order_of_dvc_lock(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: x\n    deps: [z.csv, a.csv]\n"
        "    params: [{conf.json: }, z, a, {b.yaml: [k]}]\n    outs: [o]\n",
        params__yaml="a: 1\nz: 2\n",
        b__yaml="k: [1, 2]\n",
        conf__json='{"y": 1, "x": {"k": null}}',
        z__csv="z",
        a__csv="a",
    )
    (stage,) = bench.stages("a")
    entry = bench.inspector.now(stage).entry()
    assert [dep["path"] for dep in entry["deps"]] == ["a.csv", "z.csv"]  # type: ignore[attr-defined]
    assert json.dumps(entry["params"]) == json.dumps(
        {
            "params.yaml": {"a": 1, "z": 2},
            "b.yaml": {"k": [1, 2]},
            "conf.json": {"x": {"k": None}, "y": 1},
        }
    )


def test_files_are_read_as_they_will_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "d").mkdir()
    disk = Disk(tmp_path, {"a": b"new", "b": b"made"})
    assert [disk.read(path) for path in ("a", "b", "c", "d", "a/x")] == [
        b"new",
        b"made",
        None,
        None,
        None,
    ]
