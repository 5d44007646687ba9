"""What a run came to, for the card that a cell or a terminal shows: stages, values that changed, what else did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from nbexp.frozen import brief, field, frozen

# Results are loaded by every command, and these by those that run something.
if TYPE_CHECKING:
    from nbexp.experiments.compare import Change
    from nbexp.experiments.differences import DataChange, EnvironmentChange, Patch
    from nbexp.experiments.reading import Reader
    from nbexp.experiments.record import NotRecorded
    from nbexp.experiments.run import Ran
    from nbexp.git import Git
    from nbexp.pipeline.execute import Outcome
    from nbexp.pipeline.stage import Stage
    from nbexp.settings import Settings


@frozen
class StageReport:
    """What became of one stage in a run; `cells` is the number of code cells of a notebook stage."""

    name: str
    action: Literal["skipped", "restored", "taken", "ran", "failed", "not run"]
    seconds: float = 0.0
    cells: int | None = None
    reasons: tuple[str, ...] = ()


@frozen
class RunReport:
    """What a run came to, for its card.

    Attributes
    ----------
    versus
        The experiment that the changes are measured against; None: the baseline.
    own_s
        Seconds of `elapsed_s` that nbexp itself took.
    unlisted
        Project modules that a stage imports without listing them as deps.
    differs
        Of `rerun`: files and outputs that are not as in `versus`. None: nothing was compared.
    code, data, environment
        What else changed since `versus`: files of the code, tracked data, packages.
    steps
        How many checkpoints the experiment has.
    folder
        Where it ran, if beside the workspace.
    """

    __repr__ = brief

    identical: bool
    stages: tuple[StageReport, ...]
    params: tuple[Change, ...]
    metrics: tuple[Change, ...]
    versus: str | None
    not_recorded: tuple[NotRecorded, ...]
    unlisted: Mapping[str, tuple[str, ...]] = field(hash=False)
    notebooks: tuple[str, ...]
    elapsed_s: float
    own_s: float
    hints: bool = True
    foreign_author: str | None = None
    differs: tuple[str, ...] | None = None
    code: tuple[Patch, ...] = ()
    data: tuple[DataChange, ...] = ()
    environment: EnvironmentChange | None = None
    steps: int = 0
    folder: str | None = None


def stage_json(stage: StageReport) -> dict[str, object]:
    """One stage of `run --json` and `repro --json`."""
    return {
        "name": stage.name,
        "action": stage.action,
        "reasons": list(stage.reasons),
        "seconds": stage.seconds,
    }


def stages(outcome: Outcome, here: str) -> tuple[StageReport, ...]:
    """What became of each stage, by the name it has for somebody in the directory `here`."""
    return tuple(
        StageReport(
            result.stage.address(here),
            result.action,
            result.seconds,
            result.cells,
            result.reasons,
        )
        for result in outcome.stages
    )


def of_run(
    git: Git,
    reader: Reader,
    settings: Settings,
    ran: Ran,
    asked: Sequence[Stage],
    *,
    baseline: str,
    refs: Mapping[str, str],
    beside: tuple[str, str] | None = None,
    prefix: str,
    here: str,
    elapsed_s: float,
    differs: tuple[str, ...] | None = None,
) -> RunReport:
    """The report of a run.

    Parameters
    ----------
    asked
        The stages that the request was about.
    refs
        The experiments that were there before.
    beside
        Name and rev of the experiment that the changes are measured against; None is the newest that the
        baseline had, and where it had none, the baseline.
    elapsed_s
        All that the command took; `ran.elapsed_s` of it went by in the run.
    differs
        What a rerun has otherwise than the experiment that it is of.
    """
    from nbexp.experiments import catalogue, compare, record
    from nbexp.experiments.row import Data
    from nbexp.formats import values

    before = [row for row in catalogue.of_baseline(git, baseline, refs) if row.rev != ran.rev]
    if beside is None and before:
        beside = (before[0].name or "", before[0].rev)
    versus = baseline if beside is None else beside[1]
    # A baseline whose dvc.yaml is broken says nothing; the run has mended it.
    data = {rev: one.data for rev, one in reader.commits([versus, ran.rev]).items()}
    old, new = data.get(versus) or Data(), data.get(ran.rev) or Data()
    metrics = compare.changes(old, new, "metrics", all_values=True, better=settings.better)
    patches: tuple[Patch, ...] = ()
    tracked: tuple[DataChange, ...] = ()
    environment: EnvironmentChange | None = None
    if not ran.identical:
        from nbexp.experiments import details

        outs = [out.path for stage in asked for out in stage.outs]
        patches, tracked, environment = details.between_runs(
            git, prefix, (versus, old), (ran.rev, new), outs
        )
    return RunReport(
        identical=ran.identical,
        stages=stages(ran.outcome, here),
        params=compare.changes(old, new, "params"),
        metrics=tuple(change for change in metrics if change.new is not values.MISSING),
        versus=None if beside is None else beside[0],
        not_recorded=ran.not_recorded,
        unlisted={stage: tuple(paths) for stage, paths in ran.unlisted.items()},
        notebooks=tuple(record.notebook_targets(asked)),
        elapsed_s=elapsed_s,
        own_s=ran.own_s + elapsed_s - ran.elapsed_s,
        hints=settings.hints,
        differs=differs,
        code=patches,
        data=tracked,
        environment=environment,
        steps=ran.steps,
        folder=None if ran.folder is None else str(ran.folder),
    )
