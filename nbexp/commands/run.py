"""Run what changed and record it as an experiment.

Brings the stages of ./dvc.yaml up to date and commits params, metrics, code and the hashes of outputs as an
experiment on the present commit; branches, index and history stay as they are. A run that is recorded
already returns that experiment at once. When a stage fails, the workspace is as it was before.

Examples
--------
  nbexp run                                    run what changed
  nbexp run -S train.lr=0.01                   with another value
  nbexp run -S train.lr=0.01 -n low-lr         and a name
  nbexp run -S train.lr=0.01,0.1 -j 2          two experiments, beside your files
  nbexp run -S +train.momentum=0.9             add a param
  nbexp run -S other.json:depth=3              a param of another file
  nbexp run -S model=big                       another member of a group, where params are composed
  nbexp run train                              only this stage and what it needs
  nbexp run --resume low-lr                    go on from its last checkpoint
  nbexp run --resume low-lr@3 -n other         from that step, as another experiment
  nbexp run --resume low-lr -S train.lr=0.1,0.2           two that go on from it, beside each other
  nbexp run -j 4                               four stages at once
  nbexp run --temp                             beside your files, which can be edited meanwhile
  nbexp run --temp -C .env                     with a file that Git ignores
  nbexp run --temp --baseline v1.0             from another version
  nbexp run --queue -S train.lr=0.1,0.01       two experiments that wait for `nbexp queue start`
  nbexp run --temp --detach                    in the background, at once
  nbexp run --dry                              what would run, and why
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbexp.commands import _jobs, _named, _queueing
from nbexp.errors import UsageError
from nbexp.events import Emit, Notice

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="[FILE:]KEY=VALUE",
        help="a value for this run; may be repeated",
    )
    _named.add_arguments(parser)
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="run every stage even if it did not change, and replace an experiment of that name",
    )
    parser.add_argument(
        "--new", action="store_true", help="run and record even what is recorded already"
    )
    parser.add_argument(
        "--resume",
        "--rev",
        metavar="NAME",
        help="go on from the last checkpoint of this experiment; from step 3 as another one: NAME@3",
    )
    parser.add_argument(
        "--reset",
        action="store_true",
        help="begin over; the experiment of that name is replaced",
    )
    parser.add_argument(
        "--no-hydra",
        action="store_true",
        help="take params.yaml as it is, whatever the config says of Hydra",
    )
    add_selection(parser)
    add_manner(parser)
    add_isolation(parser)
    _queueing.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.dry and args.resume is not None:
        raise UsageError(
            f"What `--resume {args.resume}` would run follows from the files of that step, which are not in place. "
            "Nothing was run.",
            f"`nbexp apply {args.resume}`, then `nbexp run --dry`.",
        )
    is_now = not (args.queue or args.run_all or args.timeout)
    if is_now and _is_many(args.set_param):
        return _many(project, args, emit)
    if args.dry:
        return project.plan(
            args.set_param,
            force=args.force,
            new=args.new,
            hydra=not args.no_hydra,
            **planned(args),
        )
    if _queueing.is_meant(args):
        options = {**selection(args), **manner(args), **isolation(args)}
        options |= {name: getattr(args, name) for name in ("name", "message", "force", "new")}
        options["hydra"] = not args.no_hydra
        options["resume"], options["reset"] = args.resume, args.reset
        return _queueing.run(project, args, emit, options)
    made = project.run(
        args.set_param,
        name=args.name,
        message=args.message,
        force=args.force,
        new=args.new,
        resume=args.resume,
        reset=args.reset,
        hydra=not args.no_hydra,
        emit=emit,
        **selection(args),
        **manner(args),
        **isolation(args),
    )
    if args.verbose and made.report is not None and made.report.folder is not None:
        emit(Notice(f"It ran in {made.report.folder}."))
    return made


def _is_many(items: Sequence[str]) -> bool:
    """Whether they give several values to a param, and so are several experiments."""
    from nbexp import overrides

    return len(overrides.parse(items)) > 1


def _many(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    """Run them beside the user's files, so many at a time, and wait."""
    if args.interactive:
        raise UsageError(
            "`-i` asks before each stage; several experiments run beside each other, and ask nobody. "
            "Nothing was run.",
            "`nbexp run -S …` with one value each, or without `-i`.",
        )
    asked: dict[str, Any] = {
        **selection(args),
        **manner_of_each(args),
        **{name: getattr(args, name) for name in ("name", "message", "force", "new", "jobs")},
        **start_of_each(args),
        "resume": args.resume,
        "reset": args.reset,
    }
    if args.dry:
        return project.sweeps.plan(args.set_param, emit=emit, **asked)
    return project.sweeps.begin(args.set_param, verb="run", detach=args.detach, emit=emit, **asked)


def add_isolation(parser: argparse.ArgumentParser) -> None:
    """The options of a run that leaves the user's files alone."""
    parser.add_argument(
        "--temp",
        action="store_true",
        help="run beside your files, from how they are now, without untracked and ignored ones",
    )
    add_start(parser)


def add_start(parser: argparse.ArgumentParser) -> None:
    """The options that say what runs beside the user's files start from."""
    parser.add_argument(
        "-C",
        "--copy-paths",
        action="append",
        default=[],
        metavar="PATH",
        help="an untracked or ignored file or folder that a run beside your files gets a copy of; may be repeated",
    )
    parser.add_argument(
        "--baseline",
        metavar="REV",
        help="what such a run starts from: a branch, tag, commit or experiment; default: HEAD",
    )
    parser.add_argument(
        "--with-edits",
        action="store_true",
        help="uncommitted edits go along to the --baseline",
    )


def start_of_each(args: argparse.Namespace) -> dict[str, Any]:
    """What each of many experiments starts from."""
    return {
        "copy_paths": args.copy_paths,
        "baseline": args.baseline,
        "with_edits": args.with_edits or None,
        "hydra": not args.no_hydra,
    }


def isolation(args: argparse.Namespace) -> dict[str, Any]:
    """Where it runs, as `Project` has it."""
    return {name: getattr(args, name) for name in ("temp", "copy_paths", "baseline", "with_edits")}


# What `repro` has as well.


def add_selection(parser: argparse.ArgumentParser) -> None:
    """The options that say which stages are meant."""
    parser.add_argument(
        "targets", nargs="*", metavar="STAGE", help="stages to run; default: all of ./dvc.yaml"
    )
    parser.add_argument(
        "-s",
        "--single-item",
        action="store_true",
        help="run the given stages alone, not what they need",
    )
    parser.add_argument(
        "-p",
        "--pipeline",
        action="store_true",
        help="all stages that are connected with the given ones",
    )
    parser.add_argument(
        "-P", "--all-pipelines", action="store_true", help="all stages of the project"
    )
    parser.add_argument(
        "-R",
        "--recursive",
        action="store_true",
        help="of a directory: the stages of all files below it",
    )
    parser.add_argument(
        "--downstream", action="store_true", help="the given stages and what needs them"
    )


def add_manner(parser: argparse.ArgumentParser) -> None:
    """The options that say how stages run."""
    add_manner_of_each(parser)
    _jobs.add_arguments(parser)
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="ask before each stage that would run"
    )
    parser.add_argument(
        "--dry", action="store_true", help="say what would run, and why; change nothing"
    )


def add_manner_of_each(parser: argparse.ArgumentParser) -> None:
    """Those of them that hold for each of many experiments."""
    parser.add_argument(
        "--force-downstream",
        action="store_true",
        help="run what needs a stage that ran, even if it did not change",
    )
    parser.add_argument(
        "--pull",
        action="store_true",
        help="fetch data that is missing from the remote, results of the run cache as well",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="data that is merely absent is no reason to run",
    )
    parser.add_argument(
        "-k",
        "--keep-going",
        action="store_const",
        const="keep-going",
        default="stop",
        dest="on_failure",
        help="when a stage fails, run what does not need it",
    )
    parser.add_argument(
        "--ignore-errors",
        action="store_const",
        const="ignore",
        default="stop",
        dest="on_failure",
        help="when a stage fails, go on as if it had not",
    )
    parser.add_argument(
        "--no-run-cache",
        action="store_true",
        help="run stages even if the run cache has their results",
    )


def selection(args: argparse.Namespace) -> dict[str, Any]:
    """The stages meant, as `Project` has it."""
    names = ("targets", "single_item", "pipeline", "all_pipelines", "recursive", "downstream")
    return {name: getattr(args, name) for name in names}


def manner(args: argparse.Namespace) -> dict[str, Any]:
    """How they run, as `Project` has it."""
    return manner_of_each(args) | {"jobs": args.jobs, "interactive": args.interactive}


def manner_of_each(args: argparse.Namespace) -> dict[str, Any]:
    """How each of many experiments runs."""
    names = ("force_downstream", "pull", "allow_missing", "on_failure")
    return {name: getattr(args, name) for name in names} | {"run_cache": not args.no_run_cache}


def planned(args: argparse.Namespace) -> dict[str, Any]:
    """What counts where nothing runs."""
    names = ("force_downstream", "allow_missing", "run_cache")
    return selection(args) | {name: value for name, value in manner(args).items() if name in names}
