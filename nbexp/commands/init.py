"""Make a project of this directory, and stages of what is in it: a notebook, a command, or all that is found.

With a notebook: reads the cell tagged `parameters`, writes its values to params.yaml and a stage to dvc.yaml.
With a command: writes its stage, the rest of it assumed, given by options, or asked for with `-i`. With
`--detect`: proposes stages for the scripts and notebooks that are there, with the reason for each line; with
your consent they run once in a copy of the project, to see what they really open. What is written is committed,
these files alone; nothing else is changed, and the Git repository is made where there is none.

Examples
--------
  nbexp init train.ipynb                     track a notebook
  nbexp init --detect                        propose a pipeline of what is there; nothing is written unasked
  nbexp init --detect --yes                  run the scripts in a copy, and write what was found
  nbexp init -i                              seven questions, and a stage
  nbexp init 'python src/train.py'           a stage of a command, with the layout that DVC 2 assumed
  nbexp init                                 only make the project; write dvc.yaml yourself
"""

from __future__ import annotations

import argparse

from nbexp.events import Emit

needs_project = False

_PATHS = {
    "code": "the source file or folder (default: src)",
    "data": "the data file or folder (default: data)",
    "models": "the model file or folder (default: models)",
    "params": "the params file (default: params.yaml)",
    "metrics": "the metrics file (default: metrics.json)",
    "plots": "the plots file or folder (default: plots)",
    "live": "the folder that dvclive writes to, instead of metrics and plots",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="a notebook, or a command (in quotes if it has options), to make a stage of",
    )
    parser.add_argument(
        "--untagged",
        action="store_true",
        help="where no cell is tagged `parameters`, take the values of the first code cell",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    found = parser.add_argument_group("finding the pipeline")
    found.add_argument(
        "--detect", action="store_true", help="propose stages of the scripts and notebooks here"
    )
    found.add_argument(
        "-y",
        "--yes",
        action="store_true",
        help="agree to the traced run and to what was found, untagged values too",
    )
    found.add_argument(
        "--trace",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="run the scripts in a copy of the project to see what they open; default: ask",
    )
    found.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="the time each script may take in the copy (default: 300)",
    )
    stage = parser.add_argument_group("a stage of a command")
    stage.add_argument("-i", "--interactive", action="store_true", help="ask for what is not given")
    for name, text in _PATHS.items():
        stage.add_argument(f"--{name}", metavar="PATH", help=text)
    stage.add_argument(
        "--type",
        choices=["default", "checkpoint"],
        default="default",
        help="checkpoint: outputs are kept when the stage runs again",
    )
    stage.add_argument(
        "--explicit", action="store_true", help="assume nothing: what is not given is left out"
    )
    stage.add_argument("-n", "--name", default="train", help="the stage's name (default: train)")
    stage.add_argument("-f", "--force", action="store_true", help="replace the stage of that name")


def run(project: object, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp import project as projects
    from nbexp.errors import UsageError
    from nbexp.frozen import replace

    given = {name: value for name in _PATHS if (value := getattr(args, name))}
    is_notebook = len(args.what) == 1 and args.what[0].endswith(".ipynb")
    if args.detect:
        if args.what or given or args.interactive:
            raise UsageError(
                "`--detect` looks at all that is here, and takes no notebook, command or path.",
                "`nbexp init --detect`, or `nbexp init` with the rest of the line.",
            )
        traced = args.yes if args.trace is None else args.trace
        found = projects.detect(args.folder, traced=traced, timeout_s=args.timeout, emit=emit)
        if args.yes:
            return found.write()
        return replace(found, may_trace=args.trace is None)
    if args.interactive or given or args.explicit or (args.what and not is_notebook):
        command = _command(args.what)
        setup = projects.setup(
            args.folder,
            {**({"cmd": command} if command else {}), **given},
            explicit=args.explicit,
            name=args.name,
            kind=args.type,
            force=args.force,
        )
        return setup if args.interactive else setup.answer({})
    notebook = args.what[0] if args.what else None
    untagged = args.untagged or args.yes
    return projects.init(notebook, path=args.folder, untagged=untagged, emit=emit)


def _command(words: list[str]) -> str:
    """The command as one line; of several words those with spaces in quotes, as DVC joins them."""
    if len(words) < 2:
        return "".join(words)
    return " ".join(
        f'"{word}"' if not word or (" " in word and '"' not in word) else word for word in words
    )
