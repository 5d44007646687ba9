"""What `doctor` looks at in Git: the program, who commits, ignore rules, refs of every shape, undo steps, notes."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from nbexp.experiments import place, trash, undo
from nbexp.experiments.doctor import Check, Finding, Visit, counted, some
from nbexp.filesystem import atomic_write
from nbexp.formats import ref_names
from nbexp.git import Git

OLDEST_GIT = (2, 30)
_IGNORED = ("/config.local", "/tmp", "/cache")  # noqa: S108 - lines of an ignore file
_DVC_OWN = re.compile(r"refs/exps/(stash|(exec|celery|apply|temp)(/.*)?)")
# A lock of Git's is there for milliseconds; an older one was left by a program that was killed.
_STALE_S = 60


def git_program(visit: Visit) -> Iterator[Finding]:
    """Its version, and what kind of clone this is."""
    git = visit.site.git
    said = git.run("--version").decode(errors="replace").strip()
    found = re.search(r"(\d+)\.(\d+)[.\d]*", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < OLDEST_GIT:
        yield Finding("git", "needs you", f"{said} is older than 2.30.", "install a newer Git.")
        return
    words = [said]
    if (git.common / "shallow").exists():
        words.append("a shallow clone: older commits are not here")
    if git.head() is None:
        words.append("no commit yet")
    yield Finding("git", "ok", "; ".join(words))


def identity(visit: Visit) -> Iterator[Finding]:
    """Whether commits get the user's name."""
    who = visit.site.git.identity()
    if who.name == "nbexp" or who.email == "nbexp@localhost":
        yield Finding(
            "identity",
            "needs you",
            f"Git does not know who you are: experiments are by {who.name} <{who.email}>.",
            "`git config --global user.name 'Ada Lovelace'` and `user.email ada@example.org`.",
        )
        return
    yield Finding("identity", "ok", f"{who.name} <{who.email}>")


def ignore_rules(visit: Visit) -> Iterator[Finding]:
    """Whether Git leaves alone what is nobody's to commit."""
    site = visit.site
    top = f"{site.prefix}/" if site.prefix else ""
    asked = {f"{top}.dvc/tmp/nbexp/state.db", f"{top}.dvc/config.local"}
    missing = asked - site.git.ignored(asked)
    tracked = site.git.is_tracked([f"{top}.dvc/tmp"])
    if tracked:
        yield Finding(
            "ignore rules",
            "needs you",
            "Files of .dvc/tmp are tracked by Git.",
            f"`git rm -r --cached {top}.dvc/tmp`",
        )
        return
    if not missing:
        yield Finding("ignore rules", "ok", ".dvc/tmp and .dvc/config.local are ignored")
        return
    if visit.fix:
        file = site.root / ".dvc" / ".gitignore"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = [*text.splitlines(), *(line for line in _IGNORED if line not in text.splitlines())]
        atomic_write(file, "".join(f"{line}\n" for line in lines).encode())
        if not asked - site.git.ignored(asked):
            yield Finding("ignore rules", "mended", ".dvc/.gitignore ignores .dvc/tmp again")
            return
    yield Finding(
        "ignore rules",
        "needs you",
        f"Git does not ignore {', '.join(sorted(missing))}.",
        "`nbexp doctor --fix` writes .dvc/.gitignore anew."
        if not visit.fix
        else "a rule of another .gitignore takes it back: `git check-ignore -v .dvc/tmp`.",
    )


def git_locks(visit: Visit) -> Iterator[Finding]:
    """Locks that a killed Git left; they are Git's, so they are told and not removed."""
    git = visit.site.git
    found = []
    for path in _lock_files(git):
        try:
            age_s = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if age_s > _STALE_S:
            found.append((path, age_s))
    for path, age_s in found:
        yield Finding(
            "git locks",
            "needs you",
            f"{_inside(path, git)} is {age_s / 60:,.0f} minutes old: a Git that was killed left it.",
            f"`rm {_inside(path, git)}` if no Git is at work.",
        )
    if not found:
        yield Finding("git locks", "ok", "none is left over")


def refs(visit: Visit) -> Iterator[Finding]:
    """Experiments, and what nbexp keeps, by their refs: shapes, and whether each leads to a commit."""
    git = visit.site.git
    known = git.refs("refs/exps/", "refs/nbexp/")
    infos = dict(zip(known, git.info_many([*known.values()]), strict=True))
    problems = [*_damaged_files(git)]
    count = 0
    for ref, info in infos.items():
        wrong = _shape(ref, known[ref])
        if _DVC_OWN.fullmatch(ref):
            continue
        if wrong is None and (info is None or info[1] != "commit"):
            what = "is not there" if info is None else f"is a {info[1]}"
            wrong = f"`{ref}` points to {known[ref][:7]}, which {what}."
        if wrong is None:
            count += ref.startswith(ref_names.PREFIX)
            continue
        keep = "" if info is None else f" (`git branch NAME {known[ref][:7]}` keeps what it has)"
        problems.append((wrong, f"`git update-ref -d {ref}` takes it away{keep}."))
    for text, hint in problems:
        yield Finding("refs", "needs you", text, hint)
    if not problems:
        yield Finding(
            "refs",
            "ok",
            f"{counted(count, 'experiment')}, {counted(len(known) - count, 'other ref')}",
        )


def undo_steps(visit: Visit) -> Iterator[Finding]:
    """Whether each step can be gone: what it keeps is in Git, the cache, or below .dvc/tmp/nbexp/undo."""
    site = visit.site
    where = place.undo_place(site.git, site.root)
    steps = [*undo.points(site.git, where), *undo.points(site.git, where, undo.REDO)]
    kept = place.own_folder(site.root) / "undo"
    lost = [
        (one, paths) for one in steps if (paths := undo.lacking(site.git, site.cache, kept, one))
    ]
    for one, paths in lost:
        yield Finding(
            "undo steps",
            "needs you",
            f"Step {one.short} (`{one.op}`) cannot bring back {some(paths)}: the old data is gone.",
            "`nbexp gc --undo` collects steps; `--keep-last N` keeps the newest.",
        )
    if not lost:
        yield Finding("undo steps", "ok", counted(len(steps), "step"))


def notes(visit: Visit) -> Iterator[Finding]:
    """Whether each note of an experiment is the JSON it has to be."""
    git = visit.site.git
    if "refs/notes/nbexp" not in git.refs("refs/notes/"):
        yield Finding("notes", "ok", "none yet")
        return
    listed = git.run("notes", "--ref=nbexp", "list").decode().split()
    blobs, revs = listed[::2], listed[1::2]
    broken = []
    for rev, data in zip(revs, git.read_many(blobs), strict=True):
        try:
            is_sound = isinstance(json.loads(data or b""), dict)
        except ValueError:
            is_sound = False
        if not is_sound:
            broken.append(rev)
    for rev in broken:
        yield Finding(
            "notes",
            "needs you",
            f"The note of {rev[:7]} is no JSON object.",
            f"`git notes --ref=nbexp show {rev[:7]}` prints it; `git notes --ref=nbexp remove {rev[:7]}` drops it.",
        )
    if not broken:
        yield Finding("notes", "ok", counted(len(revs), "note"))


def git_objects(visit: Visit) -> Iterator[Finding]:
    """With `full`, whether everything that refs lead to is there."""
    if not visit.full:
        return
    git = visit.site.git
    said = git.run(
        "fsck", "--connectivity-only", "--no-dangling", "--no-progress", allowed=range(256)
    ).decode(errors="replace")
    lines = [line for line in said.splitlines() if line.startswith(("missing", "broken", "error"))]
    if lines:
        yield Finding(
            "git objects",
            "needs you",
            f"Objects of Git are missing: {some(lines)}.",
            "`git fetch --refetch` gets them from a remote that has them.",
        )
    else:
        yield Finding("git objects", "ok", "all that refs lead to is there")


CHECKS: tuple[Check, ...] = (
    git_program,
    identity,
    ignore_rules,
    git_locks,
    refs,
    undo_steps,
    notes,
    git_objects,
)


def _shape(ref: str, rev: str) -> str | None:
    """What is wrong with the name of a ref; None where it is of a kind that is known."""
    if ref.startswith(ref_names.PREFIX):
        if ref_names.parse(ref) is None:
            return f"`{ref}` has not the shape of an experiment's ref."
    elif ref.startswith(trash.PREFIX):
        if trash.parse(ref, rev) is None:
            return f"`{ref}` has not the shape of a ref of the trash."
    elif ref.startswith(ref_names.FAILED):
        parsed = ref_names.parse(ref_names.PREFIX + ref.removeprefix(ref_names.FAILED))
        if parsed is None:
            return f"`{ref}` has not the shape of a failed run's ref."
    return None


def _damaged_files(git: Git) -> Iterator[tuple[str, str]]:
    """Loose refs that hold no commit: a power cut leaves empty ones, and Git passes over them in silence."""
    for top in ("exps", "nbexp", "notes"):
        for folder, _, names in os.walk(git.common / "refs" / top):
            for name in names:
                path = Path(folder, name)
                if name.endswith(".lock"):
                    continue
                text = path.read_bytes().strip()
                if not re.fullmatch(rb"[0-9a-f]{40}|[0-9a-f]{64}|ref: .+", text):
                    shown = _inside(path, git)
                    what = "is damaged" if text else "is empty"
                    yield f"{shown} {what}, so nobody sees that ref.", f"`rm {shown}`"


def _lock_files(git: Git) -> Iterator[Path]:
    for folder in {git.common, git.folder}:
        yield from sorted(folder.glob("*.lock"))
    yield from sorted((git.common / "refs").rglob("*.lock"))


def _inside(path: Path, git: Git) -> str:
    """The path as one would type it at the top of the work tree."""
    return os.path.relpath(path, git.root)
