"""Params and metrics of any revision: what `project.params` and `project.metrics` offer.

The JSON and the Markdown are those of `dvc params diff`, `dvc metrics show` and `dvc metrics diff`.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp.errors import ProjectFileError
from nbexp.experiments import compare
from nbexp.experiments.compare import Change
from nbexp.experiments.reading import Reader
from nbexp.experiments.row import Data, FileError, wrapped
from nbexp.experiments.selection import Revisions, commits_at
from nbexp.experiments.value_text import markdown, plain
from nbexp.formats import values
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.results import Result

What = Literal["params", "metrics"]

_DIGITS = 5  # after the point, as DVC writes metrics


@frozen
class MeasureDiff(Result):
    """The params, or the metrics, that differ from `old` to `new`; names as they were asked for.

    Attributes
    ----------
    no_path, precision
        How it is written for people: without the column of files, with that many digits after the point.
    unreadable
        The files that could not be read on one of the sides, with the reason.
    """

    what: What
    old: str
    new: str
    changes: tuple[Change, ...]
    no_path: bool = False
    precision: int = _DIGITS
    unreadable: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<MeasureDiff {self.old} -> {self.new}: {len(self.changes)} {self.what}>"

    def to_json(self) -> dict[str, object]:
        """DVC's `params diff --json` and `metrics diff --json`."""
        return dict(compare.by_file(self.changes))

    def to_markdown(self) -> str:
        """DVC's `--md`."""
        return markdown(self.lines())

    def lines(self) -> list[list[str]]:
        """The table for people, its head first."""
        title = "Param" if self.what == "params" else "Metric"
        digits = None if self.what == "params" else self.precision
        rows = [["Path", title, self.old, self.new, "Change"]]
        for change in self.changes:
            both = isinstance(change.old, (int, float)) and isinstance(change.new, (int, float))
            delta = change.new - change.old if both else None  # type: ignore[operator]
            sides = [_field(value, digits) for value in (change.old, change.new)]
            rows.append([change.file, change.key, *sides, _field(delta, digits)])
        first, last = int(self.no_path), 4 if self.what == "params" else 5
        return [row[first:last] for row in rows]


@frozen
class MetricsShown(Result):
    """Metrics by revision and file; the revision alone is called "" where no other was asked for.

    A file's value is its tree, or why there is none.
    """

    revisions: Mapping[str, Mapping[str, object] | FileError]
    precision: int = _DIGITS

    def __repr__(self) -> str:
        return f"<MetricsShown: {len(self.revisions)} revisions>"

    def __hash__(self) -> int:
        return hash((tuple(self.revisions), self.precision))

    @property
    def unreadable(self) -> tuple[str, ...]:
        """The files that could not be read, with the reason."""
        return tuple(
            _why(name or "workspace", path, tree)
            for name, files in self.revisions.items()
            for path, tree in ([("", files)] if isinstance(files, FileError) else files.items())
            if isinstance(tree, FileError)
        )

    def to_json(self) -> dict[str, object]:
        """DVC's `metrics show --json`."""
        return {
            name: wrapped(files)
            if isinstance(files, FileError)
            else {"data": {path: wrapped(tree) for path, tree in files.items()}}
            for name, files in self.revisions.items()
        }

    def to_markdown(self) -> str:
        """DVC's `--md`."""
        return markdown(self.lines())

    def lines(self) -> list[list[str]]:
        """The table for people, its head first."""
        rows = [
            (name, path, {} if isinstance(tree, FileError) else values.flatten(tree))
            for name, files in self.revisions.items()
            if not isinstance(files, FileError)
            for path, tree in files.items()
        ]
        keys = sorted({key for _, _, found in rows for key in found})
        lines = [["Revision", "Path", *keys]]
        for name, path, found in rows:
            cells = (_field(found.get(key, values.MISSING), self.precision) for key in keys)
            lines.append([name, path, *cells])
        return lines if "" not in self.revisions else [line[1:] for line in lines]


class _Measures:
    """What both families share: reading a revision, and laying two side by side."""

    _what: What

    def __init__(
        self,
        git: Git,
        reader: Reader,
        root: Path,
        here: str,
        resolve: Callable[[str], tuple[str, str]],
    ) -> None:
        self._git = git
        self._reader = reader
        self._root = root
        self._here = here
        self._resolve = resolve

    def _compared(
        self,
        old: str | None,
        new: str | None,
        targets: Sequence[str],
        *,
        deps_only: bool = False,
        all_values: bool = False,
        no_path: bool = False,
        precision: int | None = None,
    ) -> MeasureDiff:
        names = old or "HEAD", new or "workspace"
        digits = _DIGITS if precision is None else precision
        if self._git.head() is None:
            return MeasureDiff(self._what, *names, (), no_path, digits)
        before, after = (self._at(name, targets, deps_only=deps_only) for name in names)
        changes = compare.changes(before, after, self._what, all_values=all_values)
        bad = {
            _why(name, path, tree)
            for name, data in zip(names, (before, after), strict=True)
            for path, tree in getattr(data, self._what).items()
            if isinstance(tree, FileError)
        }
        return MeasureDiff(
            self._what,
            *names,
            tuple(sorted(map(self._shown, changes), key=lambda one: (one.file, one.key))),
            no_path,
            digits,
            tuple(sorted(bad)),
        )

    def _at(self, name: str, targets: Sequence[str], *, deps_only: bool) -> Data:
        rev = None if name == "workspace" else self._resolve(name)[1]
        return self._reader.read(rev, targets=self._places(targets), deps_only=deps_only)

    def _places(self, targets: Sequence[str]) -> list[str] | None:
        """The targets as seen from the project's root; None where there are none."""
        place = self._root / self._here
        found = [Path(os.path.relpath(place / one, self._root)).as_posix() for one in targets]
        return found or None

    def _shown(self, change: Change) -> Change:
        path = posixpath.relpath(change.file, self._here)
        return Change(path, change.key, change.old, change.new)


class Params(_Measures):
    """The params of any revision; get it as `project.params`."""

    _what = "params"

    def diff(
        self,
        old: str | None = None,
        new: str | None = None,
        *,
        targets: Sequence[str] = (),
        deps: bool = False,
        all_values: bool = False,
        no_path: bool = False,
    ) -> MeasureDiff:
        """What changed from `old` (HEAD when None) to `new` (the workspace when None).

        Parameters
        ----------
        targets
            The params files to look at, listed in dvc.yaml or not; none means all that dvc.yaml lists.
        deps
            Only params that stages read.
        all_values
            Equal ones as well.
        """
        return self._compared(
            old, new, targets, deps_only=deps, all_values=all_values, no_path=no_path
        )


class Metrics(_Measures):
    """The metrics of any revision; get it as `project.metrics`."""

    _what = "metrics"

    def show(
        self,
        targets: Sequence[str] = (),
        *,
        all_branches: bool = False,
        all_tags: bool = False,
        all_commits: bool = False,
        precision: int | None = None,
    ) -> MetricsShown:
        """The metrics of the workspace and, when asked for, of every branch, tag or commit.

        The workspace is left out where it equals the present branch. A file that cannot be read is in the
        result with the reason.

        Parameters
        ----------
        targets
            The metrics files to look at, listed in dvc.yaml or not, or folders of such; none means all that
            dvc.yaml lists.
        """
        places = self._places(targets)
        revs = self._revisions(branches=all_branches, tags=all_tags, commits=all_commits)
        asked = all_branches or all_tags or all_commits
        found = {"workspace" if asked else "": self._files(None, places)}
        for rev, names in revs.items():
            found[",".join(names)] = self._files(rev, places)
        workspace, branch = found.get("workspace"), found.get(self._git.branch() or "")
        if workspace is not None and workspace == branch and not MetricsShown(found).unreadable:
            del found["workspace"]
        return MetricsShown(found, _DIGITS if precision is None else precision)

    def diff(
        self,
        old: str | None = None,
        new: str | None = None,
        *,
        targets: Sequence[str] = (),
        all_values: bool = False,
        no_path: bool = False,
        precision: int | None = None,
    ) -> MeasureDiff:
        """What changed from `old` (HEAD when None) to `new` (the workspace when None).

        Parameters
        ----------
        targets
            The metrics files to look at, listed in dvc.yaml or not, or folders of such.
        all_values
            Equal ones as well.
        """
        return self._compared(
            old, new, targets, all_values=all_values, no_path=no_path, precision=precision
        )

    def _files(self, rev: str | None, places: list[str] | None) -> dict[str, object] | FileError:
        try:
            trees = self._reader.read(rev, targets=places).metrics
        except ProjectFileError as error:
            if rev is None:
                raise
            return FileError("YAMLSyntaxError", error.message)
        return {posixpath.relpath(path, self._here): tree for path, tree in trees.items()}

    def _revisions(self, *, branches: bool, tags: bool, commits: bool) -> dict[str, list[str]]:
        """The commits asked for, each with its names."""
        found: dict[str, list[str]] = {}
        if commits:
            return {rev: [rev] for rev in Revisions(all_commits=True).baselines(self._git)}
        for wanted, prefix in ((branches, "refs/heads/"), (tags, "refs/tags/")):
            for ref, rev in commits_at(self._git, prefix).items() if wanted else ():
                found.setdefault(rev, []).append(ref.removeprefix(prefix))
        return found


def _field(value: object, digits: int | None) -> str:
    """A value for people as DVC writes it: floats with that many digits after the point, all for None."""
    if value is values.MISSING or value is None:
        return "-"
    if isinstance(value, float) and digits:
        return str(round(value, digits))
    return plain(value)


def _why(side: str, path: str, error: FileError) -> str:
    """Why a file of one side could not be read; of one that is not there DVC's JSON has Python's words."""
    return f"{side}: there is no {path}" if error.is_missing and path else f"{side}: {error.msg}"
