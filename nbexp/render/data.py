"""Tracked data: added, committed, checked out, compared, collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, size

if TYPE_CHECKING:
    from nbexp.experiments.data.adding import Added, Committed
    from nbexp.experiments.data.changes import DataDiff, DataStatus
    from nbexp.experiments.data.garbage import Garbage
    from nbexp.experiments.data.restoring import CheckedOut, Unprotected


def _added(result: Added) -> str:
    """What to commit now, as DVC says it; what `git add` has to be told of a name with a space is quoted."""
    import shlex

    names = " ".join(shlex.quote(path) for path in (*result.files, *result.ignores))
    lines = [f"tracked {path} ({size(result.size_bytes)})" for path in result.paths[:1]]
    if len(result.paths) != 1:
        lines = [f"tracked {counted(len(result.paths), 'path')} ({size(result.size_bytes)})"]
    if not result.staged:
        lines.append(f"to track the changes with Git: git add {names}")
    return "\n".join(lines)


def _committed(result: Committed) -> str:
    if not result.stages:
        return "There is no tracked data and no stage here."
    wrote = f"; written: {', '.join(result.files)}" if result.files else ""
    return f"committed {', '.join(result.stages)}{wrote}"


def _checked_out(result: CheckedOut) -> str:
    """DVC's lines: `M`, `A` or `D` and a path; with `--summary` how many files."""
    lines = []
    if result.summary:
        parts = [f"{counted(n, 'file')} {word}" for word, n in result.files.items() if n]
        lines = [", ".join(parts) if parts else "No changes."]
    else:
        for letter, paths in (
            ("M", result.modified),
            ("A", result.added),
            ("D", result.deleted),
        ):
            lines += [f"{letter}       {path}" for path in paths]  # a tab that DVC expands
    if result.missing:
        lines.append(f"not in the cache: {', '.join(result.missing)}")
    if result.relinked:
        lines.append("Relinked successfully")
    return "\n".join(lines) or "Everything was as it is tracked."


_DATA_STATUS: tuple[tuple[str, str, list[str]], ...] = (
    ("not_in_cache", "Not in cache", ["`nbexp data fetch` gets it from a remote"]),
    ("not_in_remote", "Not in remote", ["`nbexp data push` sends it"]),
    ("committed", "Changes committed to .dvc files and dvc.lock", ["`git commit` records them"]),
    (
        "uncommitted",
        "Changes not committed yet",
        ["`nbexp data commit` takes them", "`nbexp data checkout` discards them"],
    ),
    ("untracked", "Untracked files", ["`nbexp data add`, or `git add`"]),
    ("unchanged", "Unchanged", []),
)


def _data_status(result: DataStatus) -> str:
    parts = []
    found = result.to_json()
    for key, head, hints in _DATA_STATUS:
        if key not in found:
            continue
        value: Any = found[key]
        lines = [f"{head}:"]
        lines += [f"  ({hint})" for hint in hints]
        if isinstance(value, dict):
            for word, paths in value.items():
                lines += [f"        {word}: {_moved(path)}" for path in paths]
        else:
            lines += [f"        {path}" for path in value]
        parts.append("\n".join(lines))
    if not parts:
        parts.append("No changes.")
    if result.is_git_dirty:
        other = "other " if found else ""
        parts.append(f"(there are {other}changes that Git tracks: `git status`)")
    return "\n\n".join(parts)


def _moved(path: Any) -> str:
    return f"{path['old']} -> {path['new']}" if isinstance(path, dict) else str(path)


def _data_diff(result: DataDiff) -> str:
    """DVC's text: each kind with its paths, then a line of counts."""
    from nbexp.experiments.data.changes import digest_words, path_words

    parts, counts = [], []
    for word in result.words:
        found = result.of(word)
        if not found:
            continue
        digests = [f"{digest_words(one)}  " if result.show_hash else "" for one in found]
        lines = [f"    {d}{path_words(one)}" for d, one in zip(digests, found, strict=True)]
        parts.append("\n".join([f"{word.capitalize()}:", *lines]))
        files = sum(not one.path.endswith("/") for one in found)
        counts += [f"{files} {word}"] if files else []
    if counts:
        parts.append(f"files summary: {', '.join(counts)}")
    return "\n\n".join(parts) or "No data changed."


def _unprotected(result: Unprotected) -> str:
    made = "a copy" if result.files == 1 else "copies"
    return f"{', '.join(result.paths)}: {counted(result.files, 'link')} made {made}"


_MOST_GROUPS = 20


def _garbage(result: Garbage) -> str:
    """What goes, biggest first, and how to let it go."""
    count = f"{counted(result.objects, 'object')} of {result.folder}"
    if not result.objects and not result.in_remote:
        return f"Everything in {result.folder} is needed ({counted(result.kept, 'object')})."
    shown = result.groups[:_MOST_GROUPS]
    rows = [
        [size(one.size_bytes), counted(one.objects, "object"), one.path, one.last] for one in shown
    ]
    if result.removed:
        lines = [f"removed {count}: {size(result.size_bytes)}"]
    else:
        lines = [f"Nothing needs {count}: {size(result.size_bytes)}"]
    lines += [f"  {line}" for line in aligned(rows)]
    if len(result.groups) > _MOST_GROUPS:
        lines.append(f"  and {len(result.groups) - _MOST_GROUPS:,} more paths")
    if result.runs:
        words = "lost" if result.removed else "would lose"
        lines.append(
            f"{counted(len(result.runs), 'run')} of the run cache {words} outputs: "
            f"{', '.join(result.runs[:5])}{', ...' if len(result.runs) > 5 else ''}"
        )
    if result.in_remote:
        there = f"{counted(result.in_remote, 'object')} of the remote: {size(result.remote_bytes)}"
        lines.append(f"removed {there}" if result.removed else f"Nothing needs {there}")
    if not result.removed:
        lines.append("Nothing was removed. The same with --yes removes it for good.")
    return "\n".join(lines)


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Added": _added,
    "CheckedOut": _checked_out,
    "Committed": _committed,
    "DataDiff": _data_diff,
    "DataStatus": _data_status,
    "Garbage": _garbage,
    "Unprotected": _unprotected,
}
