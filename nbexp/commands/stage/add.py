"""Add a stage to ./dvc.yaml.

The command is all that follows the options. Outputs go into DVC's cache and into .gitignore, those of the options
with `-no-cache` stay in Git. The rest of dvc.yaml stays as it is, and `undo` takes the stage out again.

Examples
--------
  nbexp stage add -n train -d train.py -p train -o model.pt -M metrics.json python train.py
  nbexp stage add -n clean -d clean.sh -d raw.csv -o clean.csv sh clean.sh
  nbexp stage add -n train --force -d train.py -o model.pt python train.py   replace it
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True

# Each option that names an output: the list of dvc.yaml it goes to, how it is kept, and its help.
_OUTPUTS: tuple[tuple[tuple[str, ...], str, dict[str, bool], str], ...] = (
    (("-o", "--outs"), "outs", {}, "a file or directory that it writes"),
    (("-O", "--outs-no-cache"), "outs", {"cache": False}, "an output that Git keeps"),
    (
        ("--outs-persist",),
        "outs",
        {"persist": True},
        "an output that is not deleted before it runs",
    ),
    (
        ("--outs-persist-no-cache",),
        "outs",
        {"cache": False, "persist": True},
        "an output that Git keeps and that is not deleted before it runs",
    ),
    (("-m", "--metrics"), "metrics", {}, "a metrics file that it writes"),
    (("-M", "--metrics-no-cache"), "metrics", {"cache": False}, "a metrics file that Git keeps"),
    (("--plots",), "plots", {}, "a file to plot that it writes"),
    (("--plots-no-cache",), "plots", {"cache": False}, "a file to plot that Git keeps"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--name", required=True, metavar="NAME", help="the stage's name")
    parser.add_argument("-f", "--force", action="store_true", help="replace a stage of that name")
    parser.add_argument(
        "-d",
        "--deps",
        action="append",
        default=[],
        metavar="FILE",
        help="a file or directory that it reads; may be repeated, as may all that follow",
    )
    parser.add_argument(
        "-p",
        "--params",
        action="append",
        default=[],
        metavar="[FILE:]KEY,…",
        help="params that it reads, of params.yaml or another file; `FILE:` is all of a file",
    )
    for words, _, _, meaning in _OUTPUTS:
        parser.add_argument(*words, action="append", default=[], metavar="FILE", help=meaning)
    parser.add_argument("-w", "--wdir", metavar="DIR", help="where its command runs")
    parser.add_argument(
        "--always-changed", action="store_true", help="run it every time, changed or not"
    )
    parser.add_argument("--desc", metavar="TEXT", help="what it is for")
    parser.add_argument("--run", action="store_true", help="run it at once")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what it runs")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    found = project.stage.add(
        args.name,
        _command(args.command),
        deps=args.deps,
        params=[*_params(args.params)],
        wdir=args.wdir,
        desc=args.desc,
        always_changed=args.always_changed,
        force=args.force,
        emit=emit,
        **_outputs(args),
    )
    if args.run:
        project.repro([args.name], single_item=True, emit=emit)
    return found


def _command(words: list[str]) -> str:
    """One word as it is, several as a shell would get them: a word with spaces keeps its quotes."""
    words = words[1:] if words[:1] == ["--"] else words
    if len(words) < 2:
        return "".join(words)
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    # What DVC makes of it, so that equal lines write equal stages.
    if not word or (" " in word and '"' not in word):
        return f'"{word}"'
    return word


def _params(given: list[str]) -> Iterator[object]:
    """`lr,net.depth` and `other.json:size` as dvc.yaml has them."""
    for text in given:
        path, colon, keys = text.rpartition(":")
        listed = [key for key in keys.split(",") if key]
        if path or (colon and not listed):
            yield {path or "params.yaml": listed or None}
        else:
            yield from listed


def _outputs(args: argparse.Namespace) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {"outs": [], "metrics": [], "plots": []}
    for words, bucket, options, _ in _OUTPUTS:
        for path in getattr(args, words[-1].lstrip("-").replace("-", "_")):
            found[bucket].append({path: {**options}} if options else path)
    return found
