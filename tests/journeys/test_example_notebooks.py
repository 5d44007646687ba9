"""The example notebooks as they are, executed headless, and what their cells say compared with what stands here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

import blocks  # noqa: E402  # found through the line above

# What a cell shows, by its source; names and values are exact, times and commits are any.
FIRST = {
    "%exp init train.ipynb": """\
parameters   lr=0.1 (float)  epochs=10 (int)  seed=0 (int)               from the cell tagged "parameters"
metrics      metrics.json                                                written in cell 3
live         acc by step                                                 logged in cell 2
wrote        params.yaml  dvc.yaml  .gitignore  runs/.gitignore  .dvc/
baseline     ed6edf3 "nbexp: track train.ipynb"   (new Git repository)
train.ipynb was not changed. Next: %exp run""",
    "%exp run -n dusty-crow": """\
dusty-crow   done in 7.9 s   (nbexp 0.5 s)
  acc                  0.875
  stages               train ran (3 cells)
  notebook             %exp open dusty-crow
  changes vs baseline  none
keep it as a branch: %exp branch dusty-crow my-branch""",
    "%exp run -n mauve-pike -S train.lr=0.03": """\
mauve-pike   done in 1.6 s   (nbexp 0.4 s)
  train.lr  0.1 -> 0.03
  acc       0.945   +0.07 vs dusty-crow  (better)
  stages    train ran (3 cells)
  notebook  %exp open mauve-pike
keep it as a branch: %exp branch mauve-pike my-branch""",
    "%exp run -S train.lr=0.03": """\
identical to mauve-pike (same code, data and parameters): nothing to run      0.3 s      --new runs it again""",
    "%exp run -S train.lrr=0.03": """\
No param `train.lrr` in params.yaml. Nothing was run.
Hint: did you mean `train.lr`? A new param is added with a plus: `%exp run -S +train.lrr=0.03`.""",
    "%exp show": """\
experiment    created  acc    train.lr  train.epochs  train.seed
workspace     -        0.945  0.03      10            0
main          22:32    -      0.1       10            0
  mauve-pike  22:32    0.945  0.03      10            0
  dusty-crow  22:32    0.875  0.1       10            0""",
    "%exp diff dusty-crow mauve-pike": """\
params   train.lr  0.1    ->  0.03
metrics  acc       0.875  ->  0.945  +0.07  (better)
code     no change
notebook cell 2 output differs (runs/train.ipynb)""",
    "%exp plot acc": """\
acc by step
experiment  steps  first  last   min   max
mauve-pike  10     0.9    0.945  0.9   0.945
dusty-crow  10     0.83   0.875  0.83  0.875""",
}
DIGITS = {
    "%exp run -n sharp": """\
sharp   done in 29.1 s   (nbexp 0.6 s)
  accuracy             0.86
  train_accuracy       0.9577
  worst_accuracy       0.7333
  stages               prepare ran, train ran (6 cells), evaluate ran
  notebook             %exp open sharp
  changes vs baseline  none
keep it as a branch: %exp branch sharp my-branch""",
    "%exp run -n smooth -S train.gamma=0.01": """\
smooth   done in 2.5 s   (nbexp 0.2 s)
  train.gamma     0.05 -> 0.01
  accuracy        0.96   +0.1 vs sharp  (better)
  train_accuracy  0.974   +0.0163 vs sharp  (better)
  worst_accuracy  0.907   +0.1737 vs sharp  (better)
  stages          prepare unchanged, train ran (6 cells), evaluate ran
  notebook        %exp open smooth
keep it as a branch: %exp branch smooth my-branch""",
    "%exp run -S train.model=svc": """\
identical to smooth (same code, data and parameters): nothing to run      0.3 s      --new runs it again""",
    "%exp diff sharp smooth": """\
params   train.gamma     0.05    ->  0.01
metrics  accuracy        0.86    ->  0.96   +0.1     (better)
         train_accuracy  0.9577  ->  0.974  +0.0163  (better)
         worst_accuracy  0.7333  ->  0.907  +0.1737  (better)
code     no change
outputs  model.npz modified
notebook cells 4, 5, 6 outputs differ (runs/train.ipynb)""",
    "%exp plot accuracy": """\
accuracy by step
experiment  steps  first   last    min     max
plain       15     0.9244  0.9578  0.9244  0.9578
smooth      15     0.7733  0.96    0.7733  0.9644
sharp       15     0.7044  0.86    0.7044  0.8667""",
    "%exp status": "Data and pipelines are up to date.",
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("first-notebook", FIRST), ("digits", DIGITS)],
    ids=["first-notebook", "digits"],
)
def test_an_example_says_what_it_is_expected_to(
    name: str, expected: dict[str, str], tmp_path: Path, git: Callable[..., str]
) -> None:
    folder = tmp_path / name
    shutil.copytree(ROOT / "example-notebooks" / name, folder)
    if name == "digits":  # a project that is in Git, as the demo makes it
        git("init", "--quiet", "--initial-branch=main", cwd=folder)
        git("add", "--all", cwd=folder)
        git("commit", "--quiet", "--message=start", cwd=folder)
    notebook = nbformat.read(folder / "lab.ipynb", 4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    said = {cell.source: _said(cell.outputs) for cell in notebook.cells if cell.source in expected}
    for source, text in expected.items():
        assert blocks.matches(text, said[source]), f"{source}\n{said[source]}"


def _said(outputs: list[nbformat.NotebookNode]) -> str:
    """What the cell shows as its result, or the mistake it explains."""
    shown = [one for one in outputs if one.output_type != "stream"]
    assert len(shown) == 1, outputs
    if shown[0].output_type == "error":
        return "\n".join(shown[0].traceback)
    return str(shown[0].data["text/plain"])
