"""What `doctor`, `gc` and `clean` found and did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, clock, counted, size

if TYPE_CHECKING:
    from nbexp.experiments.collect import Collected, Heap
    from nbexp.experiments.doctor import Finding, Health
    from nbexp.experiments.worktrees import Cleaned


def _health(result: Health) -> str:
    rows = [[one.verdict, one.check, finding_words(one)] for one in result.findings]
    count = len(result.open)
    end = (
        f"{counted(count, 'thing')} {'needs' if count == 1 else 'need'} you"
        if count
        else "all is well"
    )
    return "\n".join([*aligned(rows), end])


def finding_words(finding: Finding) -> str:
    """What a check found, and what to do."""
    return f"{finding.text} Hint: {finding.hint}" if finding.hint else finding.text


_KINDS = {
    "trash": "removed and replaced experiments",
    "undo": "steps that undo goes",
    "failed": "failed and interrupted runs",
    "logs": "logs of runs",
    "temporary": "temporary files and work trees",
}


def _collected(result: Collected) -> str:
    rows = [heap_cells(heap) for heap in result.heaps if heap.items or heap.kept]
    lines = aligned([["kind", "items", "size", "oldest", "kept", ""], *rows]) if rows else []
    if not result.items:
        lines.append("There is nothing to remove.")
    elif result.removed:
        lines.append(f"removed {counted(result.items, 'item')}: {size(result.size_bytes)}")
    else:
        lines.append("Nothing was removed. The same with --yes removes it for good.")
    if result.data_bytes:
        words = "can free now" if result.removed else "could free then"
        lines.append(
            f"data of the cache that `nbexp data gc -a -T` {words}: {size(result.data_bytes)}"
        )
    if result.in_use:
        lines.append(f"logs and temporary files are left alone, in use: {_users(result.in_use)}")
    return "\n".join(lines)


def _users(locks: Sequence[str]) -> str:
    """Who holds the locks: workers as a number, which is what people know of them, and the other locks by name."""
    workers = sum(lock.startswith("workers/") for lock in locks)
    # A worker's place among them is no second user.
    others = [lock for lock in locks if not lock.startswith(("workers/", "slots/"))]
    return ", ".join([*([counted(workers, "worker")] if workers else []), *others]) or locks[0]


def _cleaned(result: Cleaned) -> str:
    return "\n".join(cleaned_lines(result))


def cleaned_lines(result: Cleaned) -> list[str]:
    """What `clean` took away, a line for each kind."""
    lines = []
    if result.work_trees:
        count = counted(len(result.work_trees), "work tree")
        lines.append(f"{count} removed: {', '.join(result.work_trees)}.")
    if result.leftovers:
        lines.append(f"{counted(result.leftovers, 'leftover')} of killed commands removed.")
    if result.in_use:
        lines.append(f"In use, and so left alone: {', '.join(result.in_use)}.")
    return lines or ["Nothing to clean."]


def heap_cells(heap: Heap) -> list[str]:
    """One kind of what can go, as cells of text."""
    oldest = "-" if heap.oldest_s is None else clock(int(heap.oldest_s))
    return [
        heap.kind,
        f"{heap.items:,}",
        size(heap.size_bytes),
        oldest,
        f"{heap.kept:,}",
        _KINDS[heap.kind],
    ]


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Health": _health,
    "Cleaned": _cleaned,
    "Collected": _collected,
}
