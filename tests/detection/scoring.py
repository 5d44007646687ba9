"""How well a proposal meets a truth: precision and recall of each kind of line.

`python tests/detection/scoring.py` runs the detector on every sample and prints the table of the documentation.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nbexp import events
from nbexp.formats import values
from nbexp.pipeline import detection
from nbexp.pipeline.detection import Proposal

PROJECTS = Path(__file__).parent / "projects"
KINDS = ("deps", "outs", "params", "metrics", "plots")


@dataclass
class Score:
    """What was found of what is true, and what was found beside it."""

    right: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __add__(self, other: Score) -> Score:
        return Score(self.right + other.right, self.missed + other.missed, self.wrong + other.wrong)

    @property
    def precision(self) -> float:
        found = self.right + len(self.wrong)
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        true = self.right + len(self.missed)
        return self.right / true if true else 1.0


@dataclass
class Measured:
    """A project's proposal beside its truth; `order` is whether the stages come in the true order."""

    name: str
    proposal: Proposal
    scores: dict[str, Score]
    stages: Score
    order: bool


def measure(project: Path, work: Path, *, traced: bool) -> Measured:
    """Detect the pipeline of a copy of the project in the folder `work`, and compare."""
    copy = work / project.name
    shutil.copytree(project, copy)
    truth = tomllib.loads((copy / "truth.toml").read_text())
    (copy / "truth.toml").unlink()
    proposal = detection.propose(copy, events.ignore, traced=traced)
    found = {stage.source: stage for stage in proposal.stages}
    scores = {}
    for kind in KINDS:
        score = Score()
        for source in dict.fromkeys([*truth["order"], *found]):
            wanted = set(truth["stages"].get(source, {}).get(kind, ()))
            stage = found.get(source)
            got: set[str] = set()
            for entry in getattr(stage, kind) if stage is not None else ():
                # A folder is as good as all that is known of it.
                is_true = entry.path in wanted or not entry.files
                got.update([entry.name] if is_true else entry.files)
            if kind == "params":
                wanted, got = _leaves(copy, wanted, proposal), _leaves(copy, got, proposal)
            score += _compare(source, wanted, got)
        scores[kind] = score
    stages = _compare("", set(truth["order"]), set(found))
    order = [source for source in found if source in truth["order"]]
    return Measured(project.name, proposal, scores, stages, order == truth["order"])


def _compare(source: str, wanted: set[str], got: set[str]) -> Score:
    start = f"{source}: " if source else ""
    return Score(
        len(wanted & got),
        [start + one for one in sorted(wanted - got)],
        [start + one for one in sorted(got - wanted)],
    )


def _leaves(copy: Path, names: Iterable[str], proposal: Proposal) -> set[str]:
    """Params to their scalars, so that `train` and `train.lr`, `train.epochs` are the same."""
    params = proposal.params()
    files = {} if params is None else {"params.yaml": params}
    found: set[str] = set()
    for name in names:
        file, _, key = name.partition(":")
        data = files.get(file) or ((copy / file).read_bytes() if (copy / file).exists() else b"")
        tree = values.parse(data, file) if data else {}
        value = values.lookup(tree, key) if key else tree
        inner = values.flatten(value) if isinstance(value, dict) and value else {"": value}
        found.update(f"{file}:{key}.{leaf}".rstrip(".") for leaf in inner)
    return found


def total(measured: Iterable[Measured], kind: str) -> Score:
    """The score of a kind over all projects."""
    score = Score()
    for one in measured:
        score += one.scores[kind]
    return score


def table(measured: list[Measured]) -> str:
    """The scores as a Markdown table: precision / recall of each kind, of each project and of all."""
    heads = ["project", "stages", *KINDS, "order"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " --- |" * (len(heads) - 1)]
    for one in measured:
        cells = [one.name, _shown(one.stages), *(_shown(one.scores[kind]) for kind in KINDS)]
        lines.append("| " + " | ".join([*cells, "right" if one.order else "wrong"]) + " |")
    stages = Score()
    for one in measured:
        stages += one.stages
    right = sum(one.order for one in measured)
    cells = ["all", _shown(stages), *(_shown(total(measured, kind)) for kind in KINDS)]
    lines.append("| " + " | ".join([*cells, f"{right} of {len(measured)}"]) + " |")
    return "\n".join(lines)


def _shown(score: Score) -> str:
    if not score.right and not score.missed and not score.wrong:
        return "–"
    return f"{score.precision:.2f} / {score.recall:.2f}"


def errors(measured: list[Measured]) -> list[str]:
    """Each line that is missing or too much, for the page that explains them."""
    found = []
    for one in measured:
        for kind, score in one.scores.items():
            found += [f"{one.name} {kind} missed {text}" for text in score.missed]
            found += [f"{one.name} {kind} wrong {text}" for text in score.wrong]
        found += [f"{one.name} stage missed {text}" for text in one.stages.missed]
        found += [f"{one.name} stage wrong {text}" for text in one.stages.wrong]
    return found


def main() -> None:
    """Print the table and the errors, with each script run once in a copy."""
    import tempfile

    projects = sorted(path for path in PROJECTS.iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as work:
        measured = [measure(project, Path(work), traced=True) for project in projects]
    print("\n".join([table(measured), "", *errors(measured)]))


if __name__ == "__main__":
    main()
