"""Several stages at once: a thread waits for the commands of each; everything else happens in one.

The thread that called looks at stages, moves outputs, writes dvc.lock and talks to Git and the cache, one
stage at a time. It sleeps until a stage has ended.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue

from nbexp.errors import NbexpError
from nbexp.events import Emit, Event, Notice
from nbexp.pipeline import schedule
from nbexp.pipeline.checkpoint import Made
from nbexp.pipeline.execute import Done, Execution, Needed, StageResult
from nbexp.pipeline.flight import Flight
from nbexp.pipeline.schedule import Schedule
from nbexp.pipeline.stage import Stage

# How soon a thread that waits for its checkpoint sees that all is stopped.
_LOOK_S = 0.1
# How soon an interrupt is seen that came in the moment before the sleep began: Python sleeps through it.
_WAKE_S = 0.5


def run(work: Execution) -> None:
    """Bring the stages of `work` up to date, as many at once as its jobs and resources allow."""
    _SideBySide(work).run()


class _Job:
    """A stage that runs, or waits for another process that runs the same."""

    def __init__(self, needed: Needed, flight: Flight | None) -> None:
        self.needed = needed
        self.stage = needed.stage
        self.flight = flight
        self.declared = contextlib.ExitStack()
        self.commands: threading.Thread | None = None  # they run now
        self.is_waiting = False  # a thread waits for the lock
        self.is_dropped = False  # nobody wants to know any more


class _Asked:
    """A stage that runs asks for a checkpoint, and its thread waits for what comes of it."""

    def __init__(self) -> None:
        self.is_met = threading.Event()
        self.made: Made | None = None
        self.error: NbexpError | OSError | None = None


# What a thread has to say: whose it is, and how the commands ended; None: the stage may run now.
_News = tuple[_Job, Done | _Asked | BaseException | None]


class _SideBySide:
    def __init__(self, work: Execution) -> None:
        self._work = work
        self._schedule = Schedule(
            work.stages,
            schedule.order_constraints(work.stages, work.graph),
            jobs=work.how.jobs,
            demands=work.demands,
            totals=work.how.totals,
        )
        self._jobs: dict[Stage, _Job] = {}
        self._news: SimpleQueue[_News] = SimpleQueue()
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._emit = work.emit
        work.emit = self._in_turn(work.emit)

    def run(self) -> None:
        try:
            self._start()
            while self._jobs:
                with self._work.context.guard.waiting():
                    news = self._next()
                self._take(*news)
                self._start()
        except BaseException:
            self._end_all()
            raise
        finally:
            self._work.emit = self._emit
        for stage in self._work.stages:
            if not self._work.is_over(stage):
                self._work.leave_out(stage)

    def _next(self) -> _News:
        while True:
            with contextlib.suppress(Empty):
                return self._news.get(timeout=_WAKE_S)

    def _start(self) -> None:
        """Start all that may start; what need not run is over at once."""
        while not self._work.is_stopping and (stage := self._schedule.next()) is not None:
            if self._work.is_over(stage):  # left out: what it needs failed
                self._schedule.end(stage)
                continue
            with self._told(stage):
                found = self._work.begin(stage)
                if isinstance(found, StageResult):
                    self._over(found)
                else:
                    self._need(found)
        if self._work.is_stopping:
            self._drop_waiting()

    def _need(self, needed: Needed) -> None:
        job = self._jobs[needed.stage] = _Job(needed, self._work.flight(needed))
        if job.flight is None or job.flight.is_free():
            self._go(job)
        else:
            self._work.emit(self._work.waiting_for(job.stage, job.flight))
            job.is_waiting = True
            self._thread(lambda: self._wait(job)).start()

    def _go(self, job: _Job) -> None:
        """Run the stage, unless somebody else has meanwhile."""
        if job.flight is not None:
            result = self._work.again(job.needed)
            if result is not None:
                self._over(result)
                return
        self._work.start(job.needed)
        declared = self._work.context.guard.declared(*self._work.paths(job.stage))
        job.declared.enter_context(declared)
        job.commands = self._thread(lambda: self._run(job))
        job.commands.start()

    def _take(self, job: _Job, news: Done | _Asked | BaseException | None) -> None:
        if isinstance(news, _Asked):
            self._meet(job, news)
            return
        with self._told(job.stage):
            if news is None:
                job.is_waiting = False
                self._go(job)
                return
            job.commands = None
            job.declared.close()
            if isinstance(news, BaseException):
                raise news
            self._over(self._work.finish(job.needed, news))

    def _meet(self, job: _Job, asked: _Asked) -> None:
        """Record a step of a stage; what is wrong with it is told to whoever asked."""
        try:
            asked.made = self._work.checkpoint(job.needed)
        except (NbexpError, OSError) as error:
            asked.error = error
        asked.is_met.set()

    def _over(self, result: StageResult) -> None:
        self._work.over(result)
        self._leave(result.stage)

    def _leave(self, stage: Stage) -> None:
        job = self._jobs.pop(stage, None)
        if job is not None:
            job.declared.close()
            if job.flight is not None:
                job.flight.release()
        self._schedule.end(stage)

    @contextlib.contextmanager
    def _told(self, stage: Stage) -> Iterator[None]:
        """What goes wrong inside is that stage's failure."""
        try:
            yield
        except NbexpError as error:
            self._work.failed(stage, error)
            self._leave(stage)
            running = [job.stage.name for job in self._jobs.values() if job.commands]
            if self._work.is_stopping and running:
                names = ", ".join(f"`{name}`" for name in running)
                self._work.emit(
                    Notice(f"Stage `{stage.name}` failed; what runs is let finish: {names}.")
                )

    # ---- the threads

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        context = contextvars.copy_context()  # which cell this is, to ipykernel
        return threading.Thread(target=context.run, args=(work,), daemon=True)

    def _run(self, job: _Job) -> None:
        try:
            done = self._work.commands(
                job.needed, self._work.emit, self._stop, lambda _: self._step(job)
            )
            self._news.put((job, done))
        except BaseException as error:  # noqa: BLE001  # raised by the thread that waits for the news
            self._news.put((job, error))

    def _step(self, job: _Job) -> Made:
        """A step of the stage, recorded by the one thread that talks to Git and the cache."""
        asked = _Asked()
        self._news.put((job, asked))
        while not asked.is_met.wait(_LOOK_S):
            if self._stop.is_set():
                raise KeyboardInterrupt
        if asked.error is not None:
            raise asked.error
        assert asked.made is not None
        return asked.made

    def _wait(self, job: _Job) -> None:
        assert job.flight is not None
        job.flight.wait()
        with self._turn:
            if not job.is_dropped:
                self._news.put((job, None))
                return
        job.flight.release()

    def _in_turn(self, emit: Emit) -> Emit:
        """A consumer of events hears one thread at a time."""
        lock = threading.RLock()

        def told(event: Event) -> None:
            with lock:
                emit(event)

        return told

    # ---- the end

    def _drop_waiting(self) -> None:
        """Nothing starts any more: those who wait for another process need not."""
        with self._turn:
            left = [job for job in self._jobs.values() if job.commands is None]
            for job in left:
                job.is_dropped = True
        # From here on a thread that gets its lock gives it back; one may have got it just before.
        kept = []
        while not self._news.empty():
            job, news = self._news.get()
            if news is None:
                job.is_waiting = False
            else:
                kept.append((job, news))
        for one in kept:
            self._news.put(one)
        for job in left:
            if job.flight is not None and not job.is_waiting:
                job.flight.release()
            del self._jobs[job.stage]
            self._schedule.end(job.stage)

    def _end_all(self) -> None:
        """End the processes of all stages, and wait until they are gone, however often one is interrupted."""
        self._stop.set()
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                for job in self._jobs.values():
                    if job.commands is not None and job.commands.is_alive():
                        job.commands.join()
                break
        self._drop_waiting()
        for job in self._jobs.values():
            job.declared.close()
            if job.flight is not None:
                job.flight.release()
