"""What plots draw of files of experiments: pairs of labels, and pictures."""

from __future__ import annotations

import base64
import fnmatch
import posixpath
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.errors import NbexpError, NotFound, UsageError, nearest
from nbexp.experiments import pixels
from nbexp.experiments.report import making
from nbexp.formats import rows
from nbexp.frozen import field, frozen
from nbexp.plots.images import SIDE

if TYPE_CHECKING:
    from nbexp.experiments.data.located import Contents
    from nbexp.experiments.plotting.asking import Home, State

_ACTUAL = ("actual", "y_true", "true", "truth", "label", "target", "expected", "class", "y")
_PREDICTED = ("predicted", "y_pred", "pred", "prediction", "predict", "output", "guess", "y_hat")


@frozen
class Labelled:
    """What an experiment predicted."""

    name: str
    pairs: tuple[tuple[object, object], ...] = field(repr=False)


@frozen
class Picture:
    """A picture among the outputs of an experiment, no larger than it is shown."""

    name: str
    path: str
    url: str = field(repr=False)
    size: tuple[int, int]


def labels(
    contents: Callable[[str], Contents],
    states: Sequence[State],
    words: Sequence[str],
    limit: int,
) -> tuple[list[Labelled], tuple[str, ...], list[str]]:
    """The pairs of the file that each experiment has, the file and the two columns, and what is left out.

    Parameters
    ----------
    words
        The file, then the columns of the actual and the predicted label; without them those that are called so.

    Raises
    ------
    NotFound
        None of the experiments has the file, or it lacks the columns.
    """
    path, *wanted = words
    found: list[Labelled] = []
    titles: tuple[str, str] | None = None
    missing: NbexpError | None = None
    lacking = 0
    for name, rev in states:
        if rev is None:
            continue
        if limit and len(found) >= limit:
            break
        try:
            place = contents(rev)
            located = place.locate(place.resolved(path))
            file = located.file
            if file is None:
                raise UsageError(f"{path} is a directory, not a file of labels.")
            place.bring(located)
            table = rows.parse(place.read(file), located.path)
        except UsageError:
            raise
        except NbexpError as error:
            missing = missing or error
            lacking += 1
            continue
        titles = titles or _titles(table, path, wanted)
        actual, told = titles
        pairs = tuple((row[actual], row[told]) for row in table if actual in row and told in row)
        found.append(Labelled(name, pairs))
    if titles is None:
        if missing is not None:
            raise missing
        raise NotFound("There are no experiments to draw.", "`nbexp run` makes one.")
    notes = [f"{lacking} of {lacking + len(found)} have no {path}"] if lacking else []
    left = len(states) - len(found) - lacking
    if left > 0:
        notes.append(f"the first {len(found)} of {len(states)} experiments are drawn")
    return found, (path, *titles), notes


def _titles(table: Sequence[rows.Row], path: str, wanted: Sequence[str]) -> tuple[str, str]:
    columns = list(dict.fromkeys(key for row in table for key in row))
    if not columns:
        raise NotFound(f"{path} has no rows, so no labels.")
    for word in wanted:
        if word not in columns:
            near = nearest(word, columns)
            raise NotFound(
                f"{path} has no column `{word}`.",
                f"did you mean `{near}`?" if near else f"there are {', '.join(columns)}.",
            )
    if len(wanted) >= 2:
        return wanted[0], wanted[1]
    lower = {column.lower(): column for column in columns}
    actual = next((lower[name] for name in _ACTUAL if name in lower), None)
    told = next((lower[name] for name in _PREDICTED if name in lower), None)
    if len(columns) == 2 and (actual is None) != (told is None):
        # One of two is known, so is the other.
        actual = actual or next(one for one in columns if one != told)
        told = told or next(one for one in columns if one != actual)
    if actual is None or told is None:
        raise NotFound(
            f"{path} has no columns that are called actual and predicted.",
            f"name them: `nbexp plot confusion {path} {columns[0]} {columns[-1]}`.",
        )
    return actual, told


def images(
    home: Home, states: Sequence[State], patterns: Sequence[str], limit: int
) -> tuple[list[Picture], list[str]]:
    """The pictures among the outputs of each experiment, and what is left out; of all, or those that match.

    Raises
    ------
    NotFound
        None of them has any.
    """
    files = making.Files(home.git, home.cache, home.root, home.prefix)
    found: list[Picture] = []
    shown: set[str] = set()
    seen: set[str] = set()
    broken = 0
    for name, rev in states:
        if limit and len(shown) >= limit:
            break
        try:
            there = files.pictures(rev)
        except NbexpError:
            continue
        for path, read in sorted(there.items()):
            seen.add(path)
            if patterns and not any(_matches(path, pattern) for pattern in patterns):
                continue
            picture = _picture(name, path, read)
            if picture is None:
                broken += 1
            else:
                found.append(picture)
                shown.add(name)
    if not found:
        if patterns and seen:
            near = nearest(patterns[0], seen)
            raise NotFound(
                f"No picture among the outputs is `{patterns[0]}`.",
                f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(seen)[:10])}.",
            )
        raise NotFound(
            "No experiment here has a picture among its outputs.",
            "list it under `outs` or `plots` of the stage that writes it.",
        )
    notes = [f"{broken} pictures cannot be read"] if broken else []
    if len(shown) < len(states) and limit and len(shown) >= limit:
        notes.append(f"the first {len(shown)} of {len(states)} experiments are drawn")
    return found, notes


def _matches(path: str, pattern: str) -> bool:
    return fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(posixpath.basename(path), pattern)


def _picture(name: str, path: str, read: Callable[[], Any]) -> Picture | None:
    try:
        small = pixels.small(read(), 2 * SIDE)
    except (NbexpError, OSError):
        return None
    if small is None:
        return None
    data, size = small
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return Picture(name, path, url, size)
