"""Experiments as a shell script that makes them again in a clean clone.

Each block starts from the baseline's files, puts in what was edited by hand (as a patch), and gives the command as it
was typed, which the experiment's note has; where there is none, it is derived from what the commits say. Everything
that is not plain is quoted for a POSIX shell.
"""

from __future__ import annotations

import base64
import os
import posixpath
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp import overrides as grammar
from nbexp.errors import NbexpError
from nbexp.experiments import catalogue, cell_tree, cells, composition, notes, restore
from nbexp.formats import editing, ref_names, values
from nbexp.formats.editing.steps import Edit
from nbexp.formats.secrets import HIDDEN
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.results import Result

# The options of `run` that take a word, and those that DVC does not have.
_TAKES = {"-S", "-n", "-m", "-j"}
_OWN = {"--new", "--no-run-cache", "-j"}


@frozen
class Script(Result):
    """A shell script; `experiments` are the names that it makes, in order."""

    text: str
    experiments: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Script of {len(self.experiments)} experiments>"

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, object]:
        return {"experiments": list(self.experiments), "script": self.text}


@frozen
class Member:
    """An experiment of the session."""

    name: str
    rev: str
    baseline: str
    time_s: int


def members(git: Git, found: Mapping[str, str]) -> list[Member]:
    """The experiments of some refs, in the order in which they were made."""
    infos = catalogue.infos(git, [*found.values()])
    members = [
        Member(parsed.name, rev, parsed.baseline, infos[rev].time_s)
        for ref, rev in found.items()
        if (parsed := ref_names.parse(ref)) is not None and rev in infos
    ]
    recorded = notes.read(git, [member.rev for member in members])

    def made(member: Member) -> tuple[int, str, str]:
        run = recorded.get(member.rev, {}).get("run")
        started = run.get("started") if isinstance(run, Mapping) else None
        return member.time_s, str(started or ""), member.name

    return sorted(members, key=made)


def write(
    git: Git, root: Path, prefix: str, members: Sequence[Member], *, as_dvc: bool = False
) -> Script:
    """The script of these experiments, in their order.

    Parameters
    ----------
    as_dvc
        Lines of `dvc`, where it can do the same; else they stand above each line as a comment.
    """
    told = notes.read(git, [member.rev for member in members])
    lines = [
        "#!/bin/sh",
        "# Makes these experiments again; to be run in a clean clone: `sh script.sh`.",
        "set -eu",
        'cd "$(git rev-parse --show-toplevel)"',
        'if [ -n "$(git status --porcelain --untracked-files=no)" ]; then',
        "  echo 'There are edits here that no commit holds; a clean clone is needed.' >&2",
        "  exit 1",
        "fi",
    ]
    baseline, added = "", list[str]()
    for member in members:
        block = _Block(git, root, prefix, member, told.get(member.rev, {}), as_dvc)
        lines.append("")
        if member.baseline != baseline:
            baseline, added = member.baseline, _no_paths()
            lines += [f"git checkout --quiet {baseline}", *block.data()]
        else:
            lines.append("git reset --quiet --hard")
        stale = [*added, *block.locks()]
        if stale:
            lines.append(f"rm -f -- {shlex.join(stale)}")
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(member.time_s))
        lines.append(f"# {member.name}, {when}")
        lines += block.lines()
        added = block.added
    return Script("\n".join(lines) + "\n", tuple(member.name for member in members))


def _no_paths() -> list[str]:
    return []


class _Block:
    """What makes one experiment from its baseline."""

    def __init__(
        self,
        git: Git,
        root: Path,
        prefix: str,
        member: Member,
        note: Mapping[str, object],
        as_dvc: bool,
    ) -> None:
        self._git, self._member, self._as_dvc = git, member, as_dvc
        self._top = f"{prefix}/" if prefix else ""
        self._prefix = prefix
        self._graph: Graph = restore.graph_at(git, root, prefix, member.rev)
        self._old, self._new = git.tree(member.baseline), git.tree(member.rev)
        self.added: list[str] = []
        run = note.get("run")
        self._run: Mapping[str, object] = run if isinstance(run, Mapping) else {}
        self._directory = str(self._run.get("directory", "."))
        # The values are those that were composed: patched, or set one by one.
        self._is_composed = composition.source(root) is not None

    def data(self) -> list[str]:
        """Brings what the baseline tracks, where it names a remote to bring it from."""
        config = self._git.read(f"{self._member.baseline}:{self._top}.dvc/config") or b""
        tracked = any(stage.is_data for stage in self._graph.stages)
        if not tracked or b"remote" not in config:
            return []
        return [self._in_folder("dvc pull" if self._as_dvc else "nbexp data pull", ".")]

    def locks(self) -> list[str]:
        """The dvc.lock files that the baseline does not have, and a run before may have left."""
        found = {self._top + one.lock_file for one in self._graph.stages if not one.is_data}
        return sorted(path for path in found if path not in self._old)

    def lines(self) -> list[str]:
        changed = self._changed()
        if not [stage for stage in self._graph.stages if not stage.is_data]:
            return [
                *self._patch(changed),
                *self._command(["save", "-n", self._member.name, *self._extra()]),
            ]
        words = self._typed()
        if words is None:
            words, settled = self._derived(changed)
            cell = cells.folder_at(self._git, self._prefix, self._member.rev)
            if cell is not None:
                # What the cell reads of other stages is made first.
                file = posixpath.relpath(f"{cell}/dvc.yaml", self._directory)
                words.append(f"{file}:{cell_tree.STAGE}")
        else:
            words, settled = self._checked(words)
        patched = [path for path in changed if path not in settled]
        lines = self._patch(patched)
        if self.added:
            # `run` records new files that its pipeline names, and those that are staged.
            lines.append(f"git add --force -- {shlex.join(self.added)}")
        if self._is_composed and "--no-hydra" not in words:
            words = ["--no-hydra", *words]
        return [*lines, *self._command(["run", *words])]

    def _changed(self) -> list[str]:
        """The files that were edited, from the top: not what stages or DVC wrote."""
        outs = [self._top + out.path for _, out in self._graph.outs]
        locks = {self._top + stage.lock_file for stage in self._graph.stages if not stage.is_data}
        cached = {
            self._top + posixpath.join(posixpath.dirname(out.path), ".gitignore")
            for _, out in self._graph.outs
            if out.cache
        }
        return [
            path
            for path in sorted({*self._old, *self._new})
            if self._old.get(path) != self._new.get(path)
            and path not in locks
            and not (path in cached and path not in self._old)
            and not any(is_inside(path, out) for out in outs)
        ]

    def _typed(self) -> list[str] | None:
        """The words after `run` of the note's line, with the experiment's present name; None if that cannot serve."""
        command = self._run.get("command")
        if not isinstance(command, str) or HIDDEN in command:
            return None
        try:
            words = shlex.split(command)
        except ValueError:
            return None
        if words[:2] != ["nbexp", "run"]:
            return None
        return words[2:]

    def _checked(self, words: Sequence[str]) -> tuple[list[str], set[str]]:
        """The typed words without values that a patch brings, and the params files that their values settle."""
        options: list[str] = []
        items: list[str] = []
        rest = iter(words)
        for word in rest:
            if word in _TAKES:
                value = next(rest, "")
                if word == "-S":
                    items.append(value)
                elif word != "-n":
                    options += [word, value]
            elif word not in {"-f", "--new"}:  # each is made once, and anew
                options.append(word)
        by_file: dict[str, list[str]] = {}
        for item in items:
            point = grammar.parse([item])[0]
            by_file.setdefault(self._place(point[0].file), []).append(item)
        settled = {path for path, texts in by_file.items() if self._gives(path, texts)}
        kept = [item for path, texts in by_file.items() if path in settled for item in texts]
        ordered = [item for item in items if item in kept]
        return [*_set(ordered), "-n", self._member.name, *options], settled

    def _derived(self, changed: Sequence[str]) -> tuple[list[str], set[str]]:
        """`-S` for each params file whose change can be typed; the others are patched."""
        items: list[str] = []
        settled: set[str] = set()
        listed = {self._top + param.path for stage in self._graph.stages for param in stage.params}
        for path in changed:
            if path not in listed or path not in self._old or path not in self._new:
                continue
            texts = self._items(path)
            if texts is not None and self._gives(path, texts):
                items += texts
                settled.add(path)
        return [*_set(items), "-n", self._member.name], settled

    def _items(self, path: str) -> list[str] | None:
        """What one types to get from the baseline's values in a params file to the experiment's."""
        trees = []
        for rev in (self._member.baseline, self._member.rev):
            try:
                trees.append(values.flatten(values.parse(self._text(rev, path), path)))
            except NbexpError:
                return None
        old, new = trees
        file = posixpath.relpath(path, self._prefix or ".")
        start = "" if file == "params.yaml" else f"{file}:"
        found = []
        for key, value in new.items():
            if key not in old:
                found.append(f"{start}+{key}={grammar.spell(value)}")
            elif not values.same(old[key], value):
                found.append(f"{start}{key}={grammar.spell(value)}")
        return found + [f"{start}~{key}" for key in old if key not in new]

    def _gives(self, path: str, items: Sequence[str]) -> bool:
        """Whether these items make the baseline's file that of the experiment, to the byte."""
        try:
            points = grammar.parse(items)
            if len(points) != 1:
                return False
            text = self._text(self._member.baseline, path)
            found = grammar.resolve(points[0], lambda _file: values.parse(text, path))
            edits = [Edit(one.key, one.value, one.op, one.has_value) for one in found]
            return editing.edit(text, path, edits) == self._text(self._member.rev, path)
        except NbexpError:
            return False

    def _extra(self) -> list[str]:
        """The new files that `save` has to be told of."""
        new = [path for path in self._changed() if path not in self._old]
        inside = [posixpath.relpath(path, self._prefix or ".") for path in new]
        return [word for path in inside for word in ("-I", path)]

    def _patch(self, paths: Sequence[str]) -> list[str]:
        """Lines that make these files as the experiment has them."""
        self.added = [path for path in paths if path not in self._old]
        if not paths:
            return []
        data = self._git.run(
            "--literal-pathspecs", "diff-tree", "-p", "--binary", "--full-index", "--no-renames",
            "--no-color", "--no-ext-diff", "--no-textconv",
            self._member.baseline, self._member.rev, "--", *paths,
        )  # fmt: skip
        try:
            text = data.decode()
            is_plain = "\r" not in text and "\0" not in text
        except UnicodeDecodeError:
            is_plain = False
        if is_plain:
            end = _delimiter(text)
            return [f"git apply --whitespace=nowarn - <<'{end}'", text.removesuffix("\n"), end]
        # Bytes that are not text would not live through an editor or a terminal.
        packed = base64.encodebytes(data).decode().strip()
        return ["base64 -d <<'END' | git apply --whitespace=nowarn -", packed, "END"]

    def _command(self, words: Sequence[str]) -> list[str]:
        ours = shlex.join(["nbexp", *words])
        own = _OWN.intersection(words)
        theirs = None if own else shlex.join(["dvc", "exp", *words])
        if self._as_dvc and theirs is not None:
            return [self._in_folder(theirs, self._directory)]
        if self._as_dvc:
            why = f"# dvc has no {', '.join(sorted(own))}:"
            return [why, self._in_folder(ours, self._directory)]
        comment = [f"# with DVC: {theirs}"] if theirs is not None and "\n" not in theirs else []
        return [*comment, self._in_folder(ours, self._directory)]

    def _in_folder(self, line: str, directory: str) -> str:
        folder = posixpath.normpath(posixpath.join(self._prefix, directory))
        return line if folder == "." else f"(cd -- {shlex.quote(folder)} && {line})"

    def _place(self, file: str) -> str:
        return posixpath.normpath(posixpath.join(self._prefix, self._directory, file))

    def _text(self, rev: str, path: str) -> bytes:
        return self._git.read(f"{rev}:{path}") or b""


def _set(items: Sequence[str]) -> list[str]:
    return [word for item in items for word in ("-S", item)]


def _delimiter(text: str) -> str:
    """A word that ends a here-document of the text, and is no line of it."""
    lines = set(text.splitlines())
    end = "END"
    while end in lines:
        end += os.urandom(2).hex().upper()
    return end
