"""Run many experiments from one line, and find the best of them.

Values with commas are choices, of which every combination is run; `--random` draws some, `--optuna` looks at the
results and picks the next ones, and stops trials that fall behind. All run beside your files, from what they are
now. The same line again goes on where it was, after a restarted kernel too; without anything, the sweeps are listed.

Examples
--------
  nbexp sweep -S train.lr=0.1,0.2 -S train.seed=0,1          every combination: four experiments
  nbexp sweep -S train.lr=0.1,0.2 --repeat 3                 each with the seeds 0, 1 and 2
  nbexp sweep --file points.csv -j 2                         a column for each param, a row for each experiment
  nbexp sweep --random 20 -S 'train.lr=tag(log,interval(1e-4,1e-1))'
  nbexp sweep --optuna "minimize loss" -S 'train.lr=interval(1e-4,1e-1)' --trials 40 -j 4
  nbexp sweep -S train.lr=0.1,0.2 --dry                      how many, and how long that takes
  nbexp sweep -i                                             in a notebook: a form for all of this
  nbexp sweep                                                the sweeps there are
  nbexp sweep --resume sweep-1                               watch one again, or go on with it
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.commands import _queueing, at_least_1
from nbexp.errors import UsageError
from nbexp.events import Emit
from nbexp.frozen import replace

if TYPE_CHECKING:
    from nbexp.project import Project
    from nbexp.sweeps.form import Answers

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    from nbexp.commands import run as like_run

    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="[FILE:]KEY=VALUES",
        help="a param and its values: `a,b`, `range(1,5)`, `interval(0,1)`; may be repeated",
    )
    parser.add_argument(
        "--file", metavar="PATH", help="points, one a row: .csv, .tsv, .yaml, .json"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--random", type=at_least_1, metavar="N", help="N points, drawn")
    how.add_argument(
        "--optuna",
        metavar="OBJECTIVE",
        help='let Optuna pick them: "minimize loss", "maximize acc"',
    )
    parser.add_argument(
        "--sampler",
        metavar="NAME",
        help="with --optuna: tpe, random, cmaes, gp, qmc or nsgaii; else who picks points: grid, random, …",
    )
    parser.add_argument(
        "--pruner",
        metavar="NAME",
        help="with --optuna: who stops trials that are behind: median, percentile, halving, hyperband or none",
    )
    parser.add_argument(
        "--minimize", metavar="METRIC", help="the metric that the best has least of"
    )
    parser.add_argument("--maximize", metavar="METRIC", help="the metric that the best has most of")
    parser.add_argument("--trials", type=at_least_1, metavar="N", help="how many experiments")
    parser.add_argument(
        "-j",
        "--jobs",
        type=at_least_1,
        default=None,
        metavar="N",
        help="run N experiments at once; default: 1",
    )
    parser.add_argument(
        "--repeat",
        type=at_least_1,
        default=1,
        metavar="N",
        help="each point N times, with other seeds",
    )
    parser.add_argument(
        "--seed-param", metavar="KEY", help="the param that is the seed; default: the one called so"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of what is drawn; default: a new one"
    )
    parser.add_argument(
        "--timeout",
        type=_queueing.duration,
        metavar="TIME",
        help="stop a trial after so long, for example 90s, 30m or 12h; it has failed then",
    )
    parser.add_argument(
        "-n", "--name", metavar="PREFIX", help="names the sweep, and its experiments PREFIX-1, …"
    )
    parser.add_argument(
        "-m", "--message", metavar="TEXT", help="the message of the experiments' commits"
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="run every stage even if it did not change"
    )
    parser.add_argument(
        "--new", action="store_true", help="begin anew, and run even what is recorded already"
    )
    parser.add_argument("--detach", action="store_true", help="return at once; the sweep goes on")
    parser.add_argument("--resume", metavar="NAME", help="go on with a sweep, or watch it again")
    parser.add_argument(
        "--no-hydra",
        action="store_true",
        help="take params.yaml as it is, whatever the config says of Hydra",
    )
    like_run.add_selection(parser)
    like_run.add_manner_of_each(parser)
    like_run.add_start(parser)
    parser.add_argument(
        "-i",
        "--interactive",
        action="store_true",
        help="a form of the params in a notebook, which holds what else is on the line; elsewhere the params",
    )
    parser.add_argument(
        "--dry", action="store_true", help="say how many, and how long that takes; change nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.interactive:
        return project.sweeps.form(_answers(args, project.settings.better))
    if args.resume is not None:
        return project.sweeps.resume(
            args.resume,
            trials=args.trials,
            jobs=args.jobs,
            timeout_s=args.timeout,
            detach=args.detach,
            emit=emit,
        )
    points, args.targets = _points(args.targets)
    is_list = not (args.set_param or points or args.file or args.random or args.optuna)
    if is_list and args.repeat == 1:
        return project.sweeps.list()
    asked = _asked(args, points, project.settings.better)
    if args.dry:
        return project.sweeps.plan(emit=emit, **asked)
    return project.sweep(detach=args.detach, emit=emit, **asked)


def _asked(
    args: argparse.Namespace, points: list[dict[str, object]], better: Mapping[str, str]
) -> dict[str, Any]:
    """What `Project.sweep` is to be called with."""
    from nbexp.commands import run as like_run

    sampler, options = _sampler(args)
    minimize, maximize = args.minimize, args.maximize
    if args.optuna is not None:
        from nbexp.sweeps import objective

        aim = objective.parse(args.optuna, better)
        if aim.direction == "minimize":
            minimize = aim.metric
        else:
            maximize = aim.metric
    return {
        "space": points or args.set_param,
        "set_params": args.set_param if points or args.file else (),
        "file": args.file,
        "sampler": sampler,
        "options": options,
        "minimize": minimize,
        "maximize": maximize,
        "trials": args.random or args.trials,
        "jobs": args.jobs or 1,
        "repeat": args.repeat,
        "seed_param": args.seed_param,
        "seed": args.seed,
        "timeout_s": args.timeout,
        "name": args.name,
        "new": args.new,
        "message": args.message,
        "force": args.force,
        **like_run.selection(args),
        **like_run.manner_of_each(args),
        **like_run.start_of_each(args),
    }


# What the form asks for; the rest of the options is for who types.
_IN_THE_FORM = {
    "set_param", "random", "optuna", "sampler", "pruner", "minimize", "maximize", "trials", "jobs", "repeat",
    "seed_param", "name", "new", "interactive", "quiet", "verbose", "cd", "folder",
}  # fmt: skip


def _answers(args: argparse.Namespace, better: Mapping[str, str]) -> Answers:
    """The form as the rest of the line fills it in."""
    from nbexp import commands
    from nbexp.sweeps.form import asking

    given = vars(args)
    plain = vars(commands.parser("sweep").parse_args([]))
    more = [name for name in plain if name not in _IN_THE_FORM and given[name] != plain[name]]
    if more:
        what = "STAGE" if more[0] == "targets" else f"--{more[0].replace('_', '-')}"
        raise UsageError(
            f"The form does not ask for `{what}`. Nothing was run.",
            "`nbexp sweep -i` without it; or the whole line without `-i`.",
        )
    found = asking.filled(args.set_param)
    asked = _asked(args, [], better)
    metric = asked["minimize"] or asked["maximize"] or ""
    return replace(
        found,
        sampler=asked["sampler"] or "grid",
        optuna=args.sampler if args.optuna is not None and args.sampler else found.optuna,
        pruner=args.pruner or found.pruner,
        metric=metric,
        direction="" if not metric else "minimize" if asked["minimize"] else "maximize",
        trials=str(asked["trials"] or ""),
        repeat=str(args.repeat),
        seed_param=args.seed_param or "",
        jobs=str(asked["jobs"]),
        name=args.name or "",
        new=args.new,
    )


def _sampler(args: argparse.Namespace) -> tuple[str | None, dict[str, str]]:
    """Who picks the points, and the options of Optuna."""
    if args.optuna is not None:
        chosen = {"sampler": args.sampler, "pruner": args.pruner}
        return "optuna", {name: value for name, value in chosen.items() if value is not None}
    if args.pruner is not None:
        raise UsageError(
            f"`--pruner {args.pruner}` is Optuna's, and Optuna was not asked for. Nothing was run.",
            f'`nbexp sweep --optuna "minimize loss" --pruner {args.pruner}`.',
        )
    if args.random is not None and args.sampler is not None:
        raise UsageError(
            f"`--random` and `--sampler {args.sampler}` are two that pick points. Nothing was run.",
            f"`nbexp sweep --sampler {args.sampler} --trials {args.random}`.",
        )
    return ("random" if args.random is not None else args.sampler), {}


def _points(targets: Sequence[str]) -> tuple[list[dict[str, object]], list[str]]:
    """Points among the words, which a cell fills in as JSON (`%exp sweep {points}`), and the stages."""
    import json

    found: list[dict[str, object]] = []
    stages = []
    for word in targets:
        if not word.startswith("["):
            stages.append(word)
            continue
        try:
            listed = json.loads(word)
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise UsageError(
                f"`{word}` is no list of points in JSON. Nothing was run.",
                """`nbexp sweep '[{"train.lr": 0.1}, {"train.lr": 0.2}]'`.""",
            )
        found += listed
    return found, stages
