"""The panel of a sweep: a form of the params, how many runs that would be, and the sweep's course once it is started.

Below the form stands a static display: at first the params as a table, then what the sweep has come to, replaced in place
while it runs, and left there. Whatever takes longer than a key press (counting runs, starting, watching) is done by threads
of their own, and the sweep itself by processes that outlive the kernel: a callback only notes what is wanted.
"""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from nbexp import commands
from nbexp import project as projects
from nbexp.errors import NbexpError
from nbexp.events import ignore
from nbexp.jupyter import display, words
from nbexp.jupyter.panels import bundled, pump
from nbexp.render import sweeps as texts
from nbexp.results import Result
from nbexp.sweeps.form import Answers, Asked, Problem, SweepForm

if TYPE_CHECKING:
    from nbexp.project import Project
    from nbexp.sweeps.results import Sweep

Show = Callable[[dict[str, object], dict[str, object], bool], None]
"""Shows contents and metadata below the panel; the last argument says whether they replace what stands there."""

# The course is shown at most twice a second.
_PAUSE_S = 0.5
# The view counts as cut off after six seconds of silence.
BEAT_S = 2.0


class _Widget(anywidget.AnyWidget):
    """What is sent to and fro; `told` is what the answers come to."""

    _esm, _css = bundled.read("sweep")
    form = traitlets.Dict().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    told = traitlets.Dict().tag(sync=True)
    _view_count = traitlets.Int(0).tag(sync=True)


class Panel:
    """The form, in one of four phases: asking, starting, running, over."""

    def __init__(
        self, form: SweepForm, show: Show, dress: Callable[[Project], None] | None = None
    ) -> None:
        self._form = form
        self._show = show
        self._dress = dress
        self._folder = os.getcwd()  # a later cell may change it
        self._lock = threading.Lock()
        self._told: dict[str, Any] = {
            "phase": "asking", "line": "", "problems": [], "params": {}, "summary": "", "said": "", "progress": None,
        }  # fmt: skip
        self._asked = Asked((), (), ())
        self._wanted: tuple[str, ...] | None = None
        self._counter: threading.Thread | None = None
        self._counted: dict[tuple[str, ...], tuple[str, list[dict[str, object]]]] = {}
        self._name = ""
        self._had_views = self._is_followed = False
        self._beat_s = 0.0
        sent = form.to_json()
        self.widget = _Widget(form=sent, answers=sent["answers"], told={**self._told})
        self.widget.observe(lambda _: self._answered(), "answers")
        self.widget.on_msg(self._heard)
        self.widget.observe(self._viewed, "_view_count")

    def begin(self) -> None:
        """Show the static part, and say what the answers come to that are there already."""
        self._show(*display.bundle(self._form), False)
        self._answered()

    # ---- whether there is a kernel

    def follow(self) -> None:
        """Let the view know from now on that the kernel is there, also while a cell runs."""
        with self._lock:
            if self._is_followed:
                return
            self._is_followed = True
        pump.follow(self)

    def _viewed(self, change: Mapping[str, object]) -> None:
        if change["new"]:
            self._had_views = True
            self.follow()

    @property
    def is_open(self) -> bool:
        # Whoever runs all cells has the view long before the kernel can hear that it is there.
        return self.widget.comm is not None and bool(self.widget._view_count or not self._had_views)

    def pump(self) -> bool:
        if time.monotonic() - self._beat_s > BEAT_S:
            self._beat_s = time.monotonic()
            self.widget.send({"say": "beat"})
        return False

    def fail(self, error: Exception) -> None:
        """What beats has nothing to tell; the view hears that it has stopped."""

    def end(self) -> None:
        with self._lock:
            self._is_followed = False

    # ---- what is asked

    def _answered(self) -> None:
        if self._told["phase"] != "asking":
            return
        asked = self._asked = self._form.ask(Answers.from_json(self.widget.answers))
        line = words.line(asked.words) if asked.words else ""
        problems = [_problem(one) for one in asked.problems]
        if not asked.counting:
            self._wanted = None
            self._tell(line=line, problems=problems, params=dict(asked.told), summary="", said="")
            return
        known = self._counted.get(asked.counting)
        summary, more = known or ("counting …", [])
        self._tell(
            line="" if more else line,
            problems=[*problems, *more],
            params=dict(asked.told),
            summary=summary,
            said="",
        )
        if known is None:
            self._count(asked.counting)

    def _count(self, counting: tuple[str, ...]) -> None:
        """Have the runs counted, of what is typed last alone."""
        with self._lock:
            self._wanted = counting
            if self._counter is not None:
                return
            self._counter = self._thread(self._count_all)

    def _count_all(self) -> None:
        while True:
            with self._lock:
                counting, self._wanted = self._wanted, None
                if counting is None:
                    self._counter = None
                    return
            summary, problems = "", []
            try:
                found: Any = self._carry_out([*counting, "--dry"])
                summary = texts.foretold(found)
            except NbexpError as error:
                problems = [_problem(Problem("", _in_words(error.message), error.hint))]
            except Exception as error:  # noqa: BLE001  # nobody sees what a thread raises
                problems = [_problem(_bug(error))]
            self._counted[counting] = summary, problems
            if self._asked.counting == counting:
                self._answered()

    # ---- what is done

    def _heard(self, _widget: object, content: object, _buffers: object) -> None:
        wanted = content.get("do") if isinstance(content, Mapping) else None
        self.widget.send({"say": "heard"})
        phase = self._told["phase"]
        if wanted == "start" and phase == "asking":
            self._answered()
            if self._told["line"]:
                self._tell(phase="starting", said="starting …")
                self._thread(self._start)
        elif wanted == "stop" and phase == "running":
            self._thread(self._stop)
        elif wanted == "again" and phase == "over":
            self._counted.clear()  # what ran meanwhile is recorded now
            self._tell(phase="asking", progress=None, said="")
            self._answered()

    def _start(self) -> None:
        asked = self._asked
        detached = ["--detach"] if asked.words[0] == "sweep" else []
        try:
            made: Any = self._carry_out([*asked.words, *detached])
            if asked.words[0] != "sweep":
                self._draw(made)
                self._tell(phase="over", summary="", said="It waits in the queue.")
                return
            self._name = made.name
            self._follow()
        except NbexpError as error:
            self._fail(Problem("", error.message, error.hint))
        except Exception as error:  # noqa: BLE001  # nobody sees what a thread raises
            self._fail(_bug(error))

    def _follow(self) -> None:
        """Show the sweep's course until it is over."""
        project = projects.open(self._folder)
        try:
            if self._dress is not None:
                self._dress(project)
            for sweep in project.sweeps.watch(self._name):
                self._draw(sweep)
                over = sweep.state not in ("running", "waiting")
                phase = "over" if over else "running"
                self._tell(phase=phase, summary="", said="", progress=_progress(sweep))
                if not over:
                    time.sleep(_PAUSE_S)
        finally:
            project.close()

    def _stop(self) -> None:
        self._tell(said=f"stopping {self._name} …")
        try:
            self._carry_out(["stop", self._name])
        except NbexpError as error:
            self._tell(said=_in_words(str(error)))

    def _fail(self, problem: Problem) -> None:
        """Say what went wrong; what was asked for can be mended."""
        is_running = bool(self._name) and self._told["phase"] == "running"
        self._tell(phase="over" if is_running else "asking", said="", problems=[_problem(problem)])

    # ---- its means

    def _carry_out(self, argv: Sequence[str]) -> object:
        """The result of a command, which has a project of its own: this may be any thread."""
        outcome = commands.execute(
            argv, ignore, prog="%exp", directory=self._folder, prepare=self._dress
        )
        return outcome.result

    def _draw(self, result: Result) -> None:
        self._show(*display.bundle(result), True)

    def _tell(self, **news: object) -> None:
        with self._lock:
            self._told.update(news)
            self.widget.told = {**self._told}

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        context = contextvars.copy_context()  # which cell this is, to ipykernel
        thread = threading.Thread(target=context.run, args=(target,), daemon=True)
        thread.start()
        return thread


def _problem(one: Problem) -> dict[str, object]:
    found = one.to_json()
    return {**found, "message": _in_words(one.message), "hint": one.hint and _in_words(one.hint)}


def _in_words(text: str) -> str:
    return display.in_cell_words(text).removesuffix(" Nothing was run.")


def _bug(error: Exception) -> Problem:
    return Problem("", f"{type(error).__name__}: {error}", "`%exp doctor` checks the project.")


def _progress(sweep: Sweep) -> dict[str, object]:
    parts = [texts.progress(sweep)]
    best = sweep.best
    if best is not None:
        parts.append(f"best so far {texts.best_line(sweep, best).removeprefix('best: ')}")
    over = sum(one.state not in ("queued", "running", "committing") for one in sweep.trials)
    return {"text": "; ".join(parts), "done": over, "total": sweep.planned}
