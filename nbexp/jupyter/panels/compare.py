"""The table of experiments as a panel: sorted, filtered and grouped in the browser, with actions on rows and linked plots.

The rows are one message of bytes, and later changes of them are small ones. They are kept out of what is saved with the
notebook: the state of the widget has no value for them, only what is written when a browser asks (`to_json`).
"""

from __future__ import annotations

import json
import os
import shlex
import struct
import threading
import uuid
import weakref
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from nbexp import commands
from nbexp.errors import NbexpError, NotFound, UsageError
from nbexp.events import Event, Notice, ignore
from nbexp.experiments.row import Row
from nbexp.experiments.table import Table
from nbexp.jupyter import display
from nbexp.jupyter.markup import Markup, page, tag
from nbexp.jupyter.panels import bundled, rows, views
from nbexp.results import Bundle, Result

if TYPE_CHECKING:
    from nbexp.project import Project
    from nbexp.project.results import Experiment

# What a row's menu may ask for; a page can have no other command carried out by this panel.
VERBS = frozenset(
    {
        "apply", "branch", "diff", "logs", "note", "open", "push", "remove", "run", "stop", "tag",
    }
)  # fmt: skip
# So many curves can be told apart, and so many points are drawn of each.
MAX_CURVES, MAX_POINTS = 20, 2_000
# How often is looked whether an experiment came or a run told of something.
_LOOK_S = 0.5

Prepare = Callable[["Project"], None]


class Widget(anywidget.AnyWidget):
    """What the browser sees: the rows, how they are arranged, and messages both ways."""

    _view_count = traitlets.Int(0).tag(sync=True)
    # Written when the state is sent, and so never kept twice; a browser that lets go of them changes nothing here.
    data = traitlets.Any(None, allow_none=True).tag(
        sync=True,
        to_json=lambda _value, widget: widget.packed(),
        from_json=lambda _value, _widget: None,
    )
    view = traitlets.Unicode("{}").tag(sync=True)
    uid = traitlets.Unicode().tag(sync=True)

    def __init__(self, packed: Callable[[], bytes], **traits: object) -> None:
        self.packed = packed
        self._esm, self._css = bundled.read("compare")
        super().__init__(uid=uuid.uuid4().hex, **traits)

    def __repr__(self) -> str:
        # What stands in its place where no widget is shown; the table itself is below.
        return "the panel of `%exp show -i`, where widgets are shown"


class Compare(Result):
    """A table as a panel: `selected` are the experiments that are chosen in it, `table` is what it shows.

    Parameters
    ----------
    words
        The command that made the table, which is carried out again to look what is new.
    folder
        Where it was typed.
    prepare
        Tells a project about the kernel, as for any command of it.
    """

    def __init__(
        self,
        table: Table,
        words: Sequence[str],
        folder: Path,
        prepare: Prepare | None = None,
        view: Mapping[str, object] | None = None,
    ) -> None:
        self._words = [word for word in words if word not in ("-i", "--interactive")]
        self._folder = folder
        self._prepare = prepare
        self._lock = threading.Lock()
        self._sent = rows.of(table)
        self._ids: tuple[str, ...] = ()
        self.widget = Widget(
            lambda: rows.whole(self._sent), view=json.dumps(dict(view or {}), ensure_ascii=False)
        )
        self.widget.on_msg(self._hear)
        self.widget.observe(self._watch, "_view_count")

    def __repr__(self) -> str:
        return f"<Compare: {len(self.table.experiments)} experiments, {len(self._ids)} selected>"

    def __str__(self) -> str:
        return str(self.table)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        contents, metadata = still(self.table)
        found = self.widget._repr_mimebundle_()
        contents.update(found[0] if isinstance(found, tuple) else found or {})
        return contents, metadata

    @property
    def table(self) -> Table:
        """The table as it was last read."""
        return self._sent.table

    @property
    def selected_rows(self) -> tuple[Row, ...]:
        """The rows that are chosen, in the order in which they were; those that are gone are left out."""
        found = (self._sent.row(one) for one in self._ids)
        return tuple(row for row in found if row is not None)

    @property
    def selected(self) -> tuple[Experiment, ...]:
        """The experiments that are chosen."""
        from nbexp import project as projects

        project = projects.open(self._folder)
        try:
            return tuple(
                project.experiment(row.name or row.rev)
                for row in self.selected_rows
                if row.kind == "experiment" and row.rev != "workspace" and not row.is_step
            )
        finally:
            project.close()

    def select(self, *names: str) -> None:
        """Choose the rows of these experiments, by name or rev, in place of those that are chosen."""
        found = []
        for name in names:
            row = self.table[name]
            found += [
                id_
                for id_, one in zip(self._sent.ids, self.table.listed, strict=True)
                if one is row
            ]
        self._ids = tuple(found)
        self.widget.send({"say": "select", "ids": found})

    def refresh(self) -> bool:
        """Look what is new, and tell the browser; whether anything is."""
        with self._lock:
            found = commands.execute(
                self._words, ignore, prog="%exp", directory=str(self._folder)
            ).result
            if not isinstance(found, Table):
                return False
            before, self._sent = self._sent, rows.of(found)
            changed = rows.change(before, self._sent)
            if changed is None:
                self.widget.send({"say": "rows", "whole": True}, [rows.whole(self._sent)])
            elif changed:
                self.widget.send({"say": "rows", "whole": False}, [changed])
            return changed != b""

    # ---- what the browser says

    def _hear(self, _widget: object, said: Mapping[str, Any], _buffers: object) -> None:
        answer: dict[str, Any] = {"say": "done", "number": said.get("number")}
        buffers: list[bytes] = []
        try:
            if said["do"] == "select":
                self._ids = tuple(map(str, said["ids"]))
                answer["selected"] = len(self._ids)
            elif said["do"] == "act":
                answer |= self._act([str(word) for word in said["words"]])
            elif said["do"] == "curves":
                found, buffers = self._curves(str(said["metric"]), [str(n) for n in said["names"]])
                answer |= found
            elif said["do"] == "refresh":
                answer["news"] = self.refresh()
            elif said["do"] == "view":
                answer["views"] = views.change(
                    self._root(), str(said["name"]), said.get("view"), remove=said.get("remove")
                )
            elif said["do"] == "views":
                answer["views"] = views.read(self._root())
        except NbexpError as error:
            answer["error"] = display.in_cell_words(error.message)
            answer["hint"] = display.in_cell_words(error.hint or "")
        except Exception as error:  # noqa: BLE001  # shown in the panel, which waits for an answer
            answer["error"] = f"{type(error).__name__}: {error}"
            answer["hint"] = "the same as a line in a cell says where it comes from."
        self.widget.send(answer, buffers)

    def _act(self, words: list[str]) -> dict[str, Any]:
        """Carry out a command as if it had been typed, and say what it came to."""
        line = f"%exp {shlex.join(words)}"
        if not words or words[0] not in VERBS:
            raise UsageError(f"`{line}` is not for this panel. Nothing was done.")
        notices: list[str] = []

        def hear(event: Event) -> None:
            if isinstance(event, Notice):
                notices.append(display.in_cell_words(event.message))

        where = ["--cd", cd] if (cd := _cd(self._words)) else []
        outcome = commands.execute(
            [*where, *words], hear, prog="%exp", directory=str(self._folder), prepare=self._prepare
        )
        answer: dict[str, Any] = {"line": line, "notices": notices}
        answer["html"] = page(display.html(outcome.result))
        failure = outcome.result.failure if isinstance(outcome.result, Result) else None
        if failure is not None:
            answer["error"], answer["hint"] = failure.message, failure.hint or ""
        answer["news"] = self.refresh()
        return answer

    def _curves(self, metric: str, names: Sequence[str]) -> tuple[dict[str, Any], list[bytes]]:
        """The metric over its steps, of each experiment that logged it."""
        from nbexp import project as projects

        project = projects.open(self._folder)
        said, buffers = [], []
        try:
            for name in names[:MAX_CURVES]:
                try:
                    curves = project.plot(metric, name)
                except NotFound:
                    continue  # it logged no such value
                for one in curves.series:
                    every = max(1, -(-len(one.steps) // MAX_POINTS))
                    steps, values = one.steps[::every], one.values[::every]
                    said.append({"name": one.name, "x": one.x})
                    buffers.append(
                        struct.pack("<I", len(steps))
                        + b"\0" * 4
                        + array("d", steps).tobytes()
                        + array("d", values).tobytes()
                    )
        finally:
            project.close()
        return {"curves": said, "of": metric}, buffers

    def _root(self) -> Path:
        from nbexp import project as projects

        project = projects.open(self._folder)
        try:
            return project.root
        finally:
            project.close()

    # ---- what goes on elsewhere

    def _watch(self, change: Mapping[str, object]) -> None:
        if change["new"]:
            _watched.add(self)


class _Watched:
    """One thread for all panels of a kernel; it ends when none is on a page any more."""

    def __init__(self) -> None:
        self._panels: weakref.WeakSet[Compare] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, panel: Compare) -> None:
        with self._lock:
            self._panels.add(panel)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, daemon=True, name="nbexp-panels"
                )
                self._thread.start()

    def _follow(self) -> None:
        known: dict[Path, object] = {}
        seen: weakref.WeakKeyDictionary[Compare, object] = weakref.WeakKeyDictionary()
        while True:
            with self._lock:
                panels = [one for one in self._panels if one.widget._view_count]
                if not panels:
                    self._thread = None
                    return
            known.clear()
            for panel in panels:
                folder = panel._folder
                if folder not in known:
                    known[folder] = _signs(folder)
                if seen.get(panel) not in (None, known[folder]):
                    try:
                        panel.refresh()
                    except (NbexpError, OSError):
                        pass  # told when the user asks; the next look may find it mended
                seen[panel] = known[folder]
            del panels
            threading.Event().wait(_LOOK_S)


_watched = _Watched()


def _signs(folder: Path) -> object:
    """What differs once an experiment came or went, or a run told of something; a few looks at files, no process."""
    from nbexp.experiments import place

    root = next((one for one in (folder, *folder.parents) if (one / ".dvc").is_dir()), None)
    if root is None:
        return None
    git = next((one / ".git" for one in (root, *root.parents) if (one / ".git").exists()), None)
    own = place.own_folder(root)
    files = [own / "queue.db", own / "queue.db-wal", root / "params.yaml"]
    found: list[object] = [_sign(path) for path in files]
    if git is not None:
        git = _shared(git)
        found += [_sign(git / name) for name in ("packed-refs", "HEAD", "logs/HEAD")]
        for kind in ("exps", "notes/nbexp", "nbexp/failed"):
            for parent, _, names in os.walk(git / "refs" / kind):
                found.append((parent, _sign(Path(parent)), *names))
        found.append(_sign(git / "refs" / "notes" / "nbexp"))
    ongoing = own / "ongoing"
    if ongoing.is_dir():
        found += [_sign(Path(one.path)) for one in os.scandir(ongoing) if one.name.endswith("l")]
    return tuple(found)


def _shared(git: Path) -> Path:
    """The folder that refs are in: of a linked work tree, whose `.git` is a file, that of the repository."""
    if git.is_dir():
        return git
    own = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    try:
        return own / (own / "commondir").read_text(encoding="utf-8").strip()
    except OSError:
        return own


def _sign(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return (str(path), found.st_mtime_ns, found.st_size)


def _cd(words: Sequence[str]) -> str | None:
    return words[words.index("--cd") + 1] if "--cd" in words[:-1] else None


def still(table: Table) -> Bundle:
    """The static bundle beside the panel: text, a real table, and a picture of it."""
    from nbexp.jupyter.panels import picture

    contents, metadata = display.bundle(table)
    drawn = picture.draw(table)
    if drawn is not None and "text/html" in contents:
        contents["image/svg+xml"] = drawn
        contents["text/html"] = f"{contents['text/html']}{tag('p', picture.tag_of(drawn, table))}"
    if "text/html" in contents:
        summary = tag("summary", "The same as a table that stays")
        inside = Markup(contents["text/html"])
        contents["text/html"] = tag("details", summary, inside, open="")
    return contents, metadata


def show(
    table: Table, words: Sequence[str], prepare: Prepare | None, view: str | None = None
) -> Compare:
    """The panel of a table.

    Raises
    ------
    NotFound
        There is no view of that name, or the panel was not built.
    """
    from nbexp import project as projects

    folder = Path(os.path.join(Path.cwd(), _cd(words) or ""))
    project = projects.open(folder)
    try:
        found = views.of(project.root, view) if view is not None else None
    finally:
        project.close()
    return Compare(table, words, Path.cwd(), prepare, found)
