"""Which plots a revision has: those of dvc.yaml, at its top and of its stages, and files that are asked for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from nbexp.experiments.plots.held import Held, Pipeline

Options = Mapping[str, object]
Found = dict[str, dict[str, Options]]
"""Plot by plot its options, by the dvc.yaml that has it at its top; under "" all others."""

_PROPERTIES = ("template", "x", "y", "x_label", "y_label", "title", "header")


def defined(
    held: Held, here: str, targets: Sequence[str], given: Options, *, is_workspace: bool
) -> Found:
    """The plots of a revision, with paths as seen from `here`.

    Parameters
    ----------
    targets
        Files, or names of plots (as regular expressions, which DVC takes them for); none: all.
    given
        Properties that go before those of dvc.yaml.

    Notes
    -----
    Of overlapping folders at the top of a dvc.yaml, a file belongs to the innermost. A target that no plot matches is
    a file to be drawn, if it exists; whether it exists or not where no dvc.yaml has plots at its top and no plot of
    a stage was found yet.
    """
    found: Found = {}
    for pipeline in held.pipelines:
        if pipeline.file.plots:
            file = _seen(pipeline.path, here)
            found[file] = dict(_at_the_top(held, pipeline, file, here, targets, given))
    for pipeline in held.pipelines:
        for path, options in _of_stages(held, pipeline, here, targets, given, is_workspace):
            _merge(found, path, options)
    for target in targets:
        place = _join(here, target)
        if not found or held.exists(place):
            for path in _unpacked(held, place):
                _merge(found, target if path == place else _seen(path, here), given)
    return found


def _at_the_top(
    held: Held, pipeline: Pipeline, file: str, here: str, targets: Sequence[str], given: Options
) -> Iterator[tuple[str, Options]]:
    listed = {plot.id: plot.options or {} for plot in pipeline.file.plots}
    places = [_join(pipeline.folder, name) for name in listed]
    for name, options in listed.items():
        if not _is_meant(targets, name, file):
            continue
        if isinstance(options.get("y"), Mapping):
            moved = {
                axis: {_seen(_join(pipeline.folder, path), here): key for path, key in by.items()}
                for axis in ("x", "y")
                if isinstance(by := options.get(axis), Mapping)
            }
            yield name, {**options, **moved, **given}
            continue
        place = _join(pipeline.folder, name)
        for path in _unpacked(held, place):
            if _innermost(path, places) == place:
                yield _seen(path, here), {**options, **given}


def _of_stages(
    held: Held,
    pipeline: Pipeline,
    here: str,
    targets: Sequence[str],
    given: Options,
    is_workspace: bool,
) -> Iterator[tuple[str, Options]]:
    file = _seen(pipeline.path, here)
    for stage in pipeline.file.stages:
        for out in stage.outs:
            if out.bucket != "plots":
                continue
            place = pipeline.place(stage, out.path)
            # What a target is compared with: DVC spells it so in the workspace, and so in a commit.
            name = _seen(place, here) if is_workspace else out.path
            if _is_meant(targets, name, file):
                own = {key: out.plot[key] for key in _PROPERTIES if key in out.plot}
                for path in _unpacked(held, place):
                    yield _seen(path, here), {**own, **given}


def _merge(found: Found, path: str, options: Options) -> None:
    others = found.setdefault("", {})
    others[path] = {**others.get(path, {}), **options}


def _unpacked(held: Held, place: str) -> list[str]:
    """The files of a folder; a path that is none is itself, there or not."""
    inside = held.below(place)
    return [place] if inside is None else inside


def _innermost(path: str, places: Sequence[str]) -> str:
    """What the path shares with that of the places with which it shares most."""
    best = ""
    for place in places:
        shared = posixpath.commonpath([path, place])
        if len(shared) > len(best):
            best = shared
    return best


def _is_meant(targets: Sequence[str], name: str, file: str) -> bool:
    return not targets or any(
        _matches(target, text) for target in targets for text in (name, f"{file}::{name}")
    )


def _matches(target: str, text: str) -> bool:
    try:
        return re.match(target, text) is not None
    except re.error:
        return text.startswith(target)


def _seen(path: str, here: str) -> str:
    return posixpath.relpath(path, here or ".")


def _join(*parts: str) -> str:
    return posixpath.normpath(posixpath.join(*parts))
