"""Looking at stages as they will be; that this is what then happens, tests/experiments/test_planning.py says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbexp.formats import directory
from nbexp.pipeline.forecast import Foresight
from nbexp.pipeline.plan import Disk

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

PIPELINE = """\
stages:
  make:
    cmd: mkdir -p out/deep && cp raw.txt out/a.txt && cp raw.txt out/deep/b.txt
    deps: [raw.txt]
    outs: [out]
"""


def test_what_will_be_inside_a_directory_that_comes_back(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE, raw__txt="1")
    bench.run()
    before = bench.cache.hash(bench.root / "out")
    inner = bench.cache.hash(bench.root / "out" / "deep")
    file = bench.cache.hash(bench.root / "out" / "a.txt")
    assert before is not None
    assert inner is not None
    assert file is not None
    bench.write(raw__txt="2")
    bench.run()
    (stage,) = bench.stages("make")
    ahead = Foresight(bench.root, bench.cache, Disk(bench.root, {}), bench.meanings)  # type: ignore[arg-type]
    ahead.comes_back("out", before, stage)
    found = {path: ahead.hash(path) for path in ("out", "out/deep", "out/a.txt", "out/no.txt")}
    assert found["out"] == before
    assert found["out/deep"] is not None
    assert (
        found["out/deep"].md5 == inner.md5 == directory.digest([directory.Item("b.txt", file.md5)])
    )
    assert found["out/a.txt"] is not None
    assert found["out/a.txt"].md5 == file.md5
    assert found["out/no.txt"] is None
    # What holds the directory among other things, nobody can tell; what is beside it stays as it is.
    assert ahead.maker(".") is stage
    assert ahead.maker("raw.txt") is None


def test_what_a_stage_makes_anew_nobody_knows(bench: Bench) -> None:
    bench.write(dvc__yaml=PIPELINE, raw__txt="1")
    (stage,) = bench.stages("make")
    ahead = Foresight(bench.root, bench.cache, Disk(bench.root, {}), bench.meanings)  # type: ignore[arg-type]
    ahead.is_made("out", stage)
    assert ahead.maker("out") is stage
    assert ahead.maker("out/a.txt") is stage
    assert ahead.maker("outer") is None
