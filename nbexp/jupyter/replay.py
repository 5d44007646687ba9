"""What the notebook of a recorded cell calls: `begin` before the cell, `end` after it.

    from nbexp.jupyter import replay

    replay.begin("cell")
    lr = replay.param("train.lr", "params.yaml")

The cell then runs as it ran under `%%exp`: what it logs goes into the folder, and at the end so do its metrics and
figures, in the same bytes where they are equal.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from nbexp.jupyter.capture import Capture

_capture: Capture | None = None
_folder = Path()


def begin(folder: str) -> None:
    """From here on, what is logged and shown belongs to the cell that `folder` is of."""
    global _capture, _folder
    from nbexp import live
    from nbexp.experiments.cell_results import FIGURES, LIVE

    _folder = Path(folder).absolute()
    for name in (FIGURES, LIVE):
        shutil.rmtree(_folder / name, ignore_errors=True)
    os.environ["NBEXP_LIVE_DIR"] = os.environ["NBEXP_CELL"] = str(_folder / LIVE)
    live.begin_anew()
    if _capture is not None:
        _capture.stop()
        _capture = None
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        _capture = Capture(shell)
        # The cell in which this stands is about to end with a value, if with any, that is none of the cell's.
        shell.events.register("post_run_cell", _take_down)


def param(key: str, file: str = "params.yaml") -> Any:
    """The value at a key of a params file."""
    from nbexp.errors import NotFound
    from nbexp.formats import values

    found = values.lookup(values.parse(Path(file).read_bytes(), file), key)
    if found is values.MISSING:
        raise NotFound(f"No param `{key}` in {file}.")
    return found


def end() -> None:
    """Write what the cell came to: its metrics and its figures."""
    global _capture
    from nbexp.experiments import cell_results
    from nbexp.formats import dvc_yaml

    capture, _capture = _capture, None
    last: object = None
    figures: dict[str, bytes] = {}
    if capture is not None:
        capture.stop()
        last = capture.last
        figures = cell_results.figures(capture.outputs)
    found = cell_results.metrics(last, _folder / cell_results.LIVE)
    outs = _declared(dvc_yaml)
    if found.values or cell_results.METRICS in outs:
        _folder.mkdir(parents=True, exist_ok=True)
        (_folder / cell_results.METRICS).write_bytes(cell_results.dump_metrics(found.values))
    for name in (cell_results.FIGURES, cell_results.LIVE):
        if name in outs or (figures and name == cell_results.FIGURES):
            (_folder / name).mkdir(parents=True, exist_ok=True)
    for name, data in figures.items():
        (_folder / cell_results.FIGURES / name).write_bytes(data)


def _declared(dvc_yaml: Any) -> set[str]:
    """The outputs that the stage of the cell must have, by their names in the folder."""
    from nbexp.errors import NbexpError

    try:
        data = (_folder / "dvc.yaml").read_bytes()
        stages = dvc_yaml.parse(data, "dvc.yaml").stages
    except (OSError, NbexpError):
        return set()
    return {out.path.rpartition("/")[2] for stage in stages for out in stage.outs}


def _take_down(_result: object) -> None:
    """When the cell that called `begin` has ended: the next ones count."""
    capture = _capture
    ipython = sys.modules.get("IPython")
    assert ipython is not None
    shell = ipython.get_ipython()
    shell.events.unregister("post_run_cell", _take_down)
    if capture is not None:
        capture.start()
