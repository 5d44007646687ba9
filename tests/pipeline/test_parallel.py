"""Stages side by side: the same end as one after the other, what happens when one fails, and the interrupt."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbexp import events
from nbexp.errors import NbexpError, ProjectFileError, StageFailed
from nbexp.pipeline.flight import Flight

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

Words = Callable[[type[events.Event]], list[events.Event]]


def pipeline(stages: dict[str, list[str]], command: Callable[[str], str]) -> str:
    """A dvc.yaml: each stage reads the outputs of others and `in.txt`, and writes `NAME.txt`."""
    lines = ["stages:"]
    for name, needs in stages.items():
        deps = ", ".join(["in.txt", *(f"{need}.txt" for need in needs)])
        lines += [
            f"  {name}:",
            f"    cmd: {command(name)}",
            f"    deps: [{deps}]",
            f"    outs: [{name}.txt]",
        ]
    return "\n".join(lines) + "\n"


def rest(seconds: float) -> Callable[[str], str]:
    """A command that notes when it began and ended, and rests in between."""
    return lambda name: (
        f"echo +{name} >> .dvc/ran; sleep {seconds}; echo {name} > {name}.txt; echo -{name} >> .dvc/ran"
    )


def told(bench: Bench) -> list[str]:
    return (bench.root / ".dvc" / "ran").read_text().split()


INDEPENDENT: dict[str, list[str]] = {name: [] for name in "abcd"}
# a before b and c, both before d; x apart.
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "x": []}


def test_four_independent_stages_of_two_seconds_take_less_than_three(bench: Bench) -> None:
    bench.write(dvc__yaml=pipeline(INDEPENDENT, lambda n: f"sleep 2; echo > {n}.txt"), in__txt="1")
    took_s = []
    for _ in range(5):  # others may be at work on the machine
        clock = time.monotonic()
        outcome = bench.run(jobs=4, force=True)
        took_s.append(time.monotonic() - clock)
        if took_s[-1] < 3:
            break
    assert took_s[-1] < 3
    assert [f"{one.stage.name} {one.action}" for one in outcome.stages] == [
        "a ran", "b ran", "c ran", "d ran",
    ]  # fmt: skip
    assert 2 <= outcome.running_s < 3


def test_no_more_run_than_there_are_jobs(bench: Bench) -> None:
    bench.write(dvc__yaml=pipeline(INDEPENDENT, rest(0.5)), in__txt="1")
    bench.run(jobs=2)
    running, most = 0, 0
    for word in told(bench):
        running += 1 if word[0] == "+" else -1
        most = max(most, running)
    assert most == 2


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_pipeline_ends_the_same_with_any_number_of_jobs(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """dvc.lock to the byte, .gitignore, outputs; and every stage after what it reads."""
    from nbexp.store.cache import Cache
    from tests.pipeline.conftest import Bench, Guard, Ignores

    count = data.draw(st.integers(2, 6))
    names = [f"s{n}" for n in range(count)]
    needs = {
        name: sorted(data.draw(st.sets(st.sampled_from(names[:n])))) if n else []
        for n, name in enumerate(names)
    }
    order = data.draw(st.permutations(names))
    times = {name: data.draw(st.sampled_from([0, 0.02, 0.05])) for name in names}
    text = pipeline({name: needs[name] for name in order}, lambda name: rest(times[name])(name))
    known = data.draw(st.sets(st.sampled_from(names)))
    left = []
    for jobs in (1, data.draw(st.integers(2, 4))):
        root = tmp_path_factory.mktemp("project")
        cache = Cache(
            root / ".dvc" / "cache", link_types=("copy",), state=root / ".dvc" / "state.db"
        )
        bench = Bench(root, cache, Guard(root), Ignores())
        bench.write(dvc__yaml=text, in__txt="1", __dvc___ran="")
        if known:  # these have entries in dvc.lock already, which keep their places
            bench.run(*sorted(known))
            bench.write(in__txt="2")
        (root / ".dvc" / "ran").write_text("")
        bench.run(jobs=jobs)
        words = told(bench)
        for name in names:
            assert all(words.index(f"-{need}") < words.index(f"+{name}") for need in needs[name])
        outs = {name: bench.read(f"{name}.txt") for name in names}
        runs = sorted(path.name for path in (root / ".dvc" / "cache" / "runs").rglob("*"))
        left.append((bench.read("dvc.lock"), bench.read(".gitignore"), outs, runs))
        cache.close()
    assert left[0] == left[1]


def test_entries_stand_in_dvc_lock_in_file_order_whoever_ends_first(
    bench: Bench, words: Words
) -> None:
    slow = lambda name: f"sleep {3 if name == 'a' else 0}; echo > {name}.txt"  # noqa: E731
    bench.write(dvc__yaml=pipeline(INDEPENDENT, slow), in__txt="1")
    bench.run(jobs=4)
    finished = [event.stage for event in words(events.StageFinished)]  # type: ignore[attr-defined]
    assert finished[-1] == "a"
    lock = bench.read("dvc.lock")
    assert [line[2] for line in lock.splitlines() if line[:2] == "  " and line[2] != " "] == [
        *"abcd"
    ]


def test_what_did_not_change_starts_no_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(dvc__yaml=pipeline(DIAMOND, rest(0)), in__txt="1")
    bench.run(jobs=4)
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", noted)
    outcome = bench.run(jobs=4)
    assert {one.action for one in outcome.stages} == {"skipped"}
    assert started == []


def test_one_job_means_the_calling_thread(bench: Bench) -> None:
    """Where the notebook's or the terminal's interrupt arrives; a thread would cost besides."""
    seen = set()

    def tell(event: events.Event) -> None:
        seen.add(threading.current_thread())

    bench.write(dvc__yaml=pipeline(DIAMOND, rest(0)), in__txt="1")
    bench.run()
    bench.events = []
    assert seen == set()
    from nbexp.pipeline import execute
    from nbexp.pipeline.context import Context, How

    graph = bench.graph
    context = Context(
        bench.root, bench.cache, bench.guard, bench.ignores, dict(os.environ), bench.root / ".dvc"
    )
    execute.execute(graph.stages, graph, bench.inspector, context, tell, How(force=True))
    assert seen == {threading.main_thread()}


# --- Failures -----------------------------------------------------------------------------------


def failing(*bad: str) -> Callable[[str], str]:
    return lambda name: f"sleep 0.1; {'exit 3' if name in bad else f'echo > {name}.txt'}"


def states(words: Words) -> dict[str, str]:
    """What was told of each stage in the end."""
    found = {}
    for kind, word in (
        (events.StageFinished, "done"),
        (events.StageStopped, "failed"),
        (events.StageNotRun, "not run"),
    ):
        found.update({event.stage: word for event in words(kind)})  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("jobs", [1, 3])
def test_after_a_failure_nothing_starts_and_what_runs_is_let_finish(
    bench: Bench, words: Words, jobs: int
) -> None:
    slow = lambda name: "exit 3" if name == "a" else f"sleep 0.4; echo > {name}.txt"  # noqa: E731
    bench.write(dvc__yaml=pipeline({"a": [], "b": [], "c": ["b"]}, slow), in__txt="1")
    with pytest.raises(StageFailed) as caught:
        bench.run(jobs=jobs)
    assert caught.value.message == "Stage `a` stopped, `exit 3`: exit code 3."
    beside = "done" if jobs > 1 else "not run"
    assert states(words) == {"a": "failed", "b": beside, "c": "not run"}
    if jobs > 1:
        assert "  b:\n" in bench.read("dvc.lock")
        (notice,) = words(events.Notice)
        assert notice.message == "Stage `a` failed; what runs is let finish: `b`."  # type: ignore[attr-defined]


@pytest.mark.parametrize("jobs", [1, 3])
def test_keep_going_runs_all_that_does_not_need_what_failed(
    bench: Bench, words: Words, jobs: int
) -> None:
    bench.write(dvc__yaml=pipeline(DIAMOND, failing("b")), in__txt="1")
    with pytest.raises(StageFailed) as caught:
        bench.run(jobs=jobs, on_failure="keep-going")
    assert caught.value.message == (
        "Stage `b` stopped, `sleep 0.1; exit 3`: exit code 3. Not run because of it: `d`."
    )
    assert states(words) == {"a": "done", "b": "failed", "c": "done", "d": "not run", "x": "done"}
    (stopped,) = words(events.StageStopped)
    assert stopped == events.StageStopped(
        "b", "Stage `b` stopped, `sleep 0.1; exit 3`: exit code 3.", ("d",), goes_on=True
    )
    assert words(events.StageNotRun) == [events.StageNotRun("d", "b")]
    assert bench.read(".gitignore").splitlines() == ["/a.txt", "/c.txt", "/x.txt"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_of_several_that_fail_all_are_told(bench: Bench, words: Words, jobs: int) -> None:
    bench.write(dvc__yaml=pipeline(DIAMOND, failing("b", "x")), in__txt="1")
    with pytest.raises(StageFailed) as caught:
        bench.run(jobs=jobs, on_failure="keep-going")
    assert caught.value.message.startswith("2 stages failed. Stage `")
    for name in "bx":
        assert f"Stage `{name}` stopped, `sleep 0.1; exit 3`: exit code 3." in caught.value.message
    assert caught.value.message.endswith("Not run because of it: `d`.")
    assert states(words) == {"a": "done", "b": "failed", "c": "done", "d": "not run", "x": "failed"}


@pytest.mark.parametrize("jobs", [1, 3])
def test_ignored_errors_stop_nothing(bench: Bench, words: Words, jobs: int) -> None:
    bench.write(dvc__yaml=pipeline(DIAMOND, failing("x")), in__txt="1")
    outcome = bench.run(jobs=jobs, on_failure="ignore")
    assert [(one.stage.name, one.action) for one in outcome.stages] == [
        ("a", "ran"), ("b", "ran"), ("c", "ran"), ("d", "ran"), ("x", "failed"),
    ]  # fmt: skip
    assert "  x:\n" not in bench.read("dvc.lock")
    assert "/x.txt" not in bench.read(".gitignore")


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_stage_without_its_output_is_a_failure_like_any(
    bench: Bench, words: Words, jobs: int
) -> None:
    silent = lambda name: "'true'" if name == "b" else f"echo > {name}.txt"  # noqa: E731
    bench.write(dvc__yaml=pipeline(DIAMOND, silent), in__txt="1")
    with pytest.raises(StageFailed) as caught:
        bench.run(jobs=jobs, on_failure="keep-going")
    assert "Stage `b` ended without writing its output `b.txt`." in caught.value.message
    assert states(words)["c"] == states(words)["x"] == "done"


def test_what_a_consumer_of_events_raises_ends_all(bench: Bench) -> None:
    class Enough(Exception):
        pass

    class Teller(list[events.Event]):
        def append(self, event: events.Event) -> None:
            super().append(event)
            if isinstance(event, events.OutputWritten):
                raise Enough

    bench.write(dvc__yaml=pipeline(INDEPENDENT, lambda n: f"echo {n}; exec sleep 30"), in__txt="1")
    bench.events = Teller()
    clock = time.monotonic()
    with pytest.raises(Enough):
        bench.run(jobs=4)
    assert time.monotonic() - clock < 10


@pytest.mark.parametrize("wakes", [True, False])
def test_an_interrupt_ends_every_stage(bench: Bench, wakes: bool) -> None:
    bench.write(
        dvc__yaml=pipeline(INDEPENDENT, lambda _: "echo $$ >> .dvc/pids; exec sleep 30"),
        in__txt="1",
    )
    pids = bench.root / ".dvc" / "pids"

    def interrupt() -> None:
        while not pids.exists() or len(pids.read_text().split()) < 4:
            time.sleep(0.02)
        if wakes:
            os.kill(os.getpid(), signal.SIGINT)
        else:  # as if it had come just before the main thread went to sleep
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    before = {*threading.enumerate()}
    other = threading.Thread(target=interrupt, daemon=True)
    other.start()
    clock = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        bench.run(jobs=4)
    assert time.monotonic() - clock < 25
    other.join()
    assert [pid for pid in pids.read_text().split() if Path(f"/proc/{pid}").exists()] == []
    assert {*threading.enumerate()} <= before


# --- Output and events of several -----------------------------------------------------------------


def test_each_stage_has_its_own_events_and_log(bench: Bench, words: Words) -> None:
    line = '{\\"kind\\": \\"metric\\", \\"step\\": 1, \\"values\\": {\\"of\\": \\"%s\\"}}'
    bench.write(
        dvc__yaml=pipeline(
            {"a": [], "b": []},
            lambda n: (
                f"\"sleep 0.1; echo '{line % n}' >> $NBEXP_EVENTS; echo I am {n}; "
                f'sleep 0.3; echo > {n}.txt"'
            ),
        ),
        in__txt="1",
    )
    bench.run(jobs=2)
    metrics = {(event.stage, event.values["of"]) for event in words(events.MetricLogged)}  # type: ignore[attr-defined]
    assert metrics == {("a", "a"), ("b", "b")}
    for name in "ab":
        assert bench.read(f".dvc/run/{name}.log") == f"I am {name}\n"


def test_stages_of_one_name_in_two_folders_have_two_logs(bench: Bench) -> None:
    text = "stages:\n  a:\n    cmd: pwd\n"
    bench.write(one___dvc__yaml=text, two___dvc__yaml=text)
    bench.run(jobs=2)
    for folder in ("one", "two"):
        assert bench.read(f".dvc/run/{folder}_a.log") == f"{bench.root}/{folder}\n"


# --- Resources ----------------------------------------------------------------------------------

GPU = """\
stages:
  a: {cmd: "%s", deps: [in.txt], outs: [a.txt], meta: {nbexp: {resources: {gpu: 1}}}}
  b: {cmd: "%s", deps: [in.txt], outs: [b.txt], meta: {nbexp: {resources: {gpu: 1}}}}
"""


def test_stages_that_need_the_same_thing_take_turns(bench: Bench) -> None:
    bench.write(dvc__yaml=GPU % (rest(0.1)("a"), rest(0.1)("b")), in__txt="1")
    bench.run(jobs=2, totals={"gpu": 1})
    assert told(bench) == ["+a", "-a", "+b", "-b"]
    bench.write(dvc__yaml=GPU % (rest(2)("a"), rest(2)("b")))
    bench.run(jobs=2, totals={"gpu": 2})
    assert told(bench)[4:6] in (["+a", "+b"], ["+b", "+a"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_stage_that_needs_more_than_there_is_is_refused(bench: Bench, jobs: int) -> None:
    bench.write(dvc__yaml=GPU.replace("gpu: 1", "gpu: 2", 1) % ("x", "y"), in__txt="1")
    with pytest.raises(ProjectFileError) as caught:
        bench.run(jobs=jobs, totals={"gpu": 1})
    assert str(caught.value) == (
        "dvc.yaml, line 2: stage `a` needs gpu: 2, which is more than there is.\n"
        "Hint: lower it, or raise `gpu` below `[resources]` in nbexp.toml."
    )
    assert bench.events == []


def test_how_much_there_is_has_to_be_known(bench: Bench) -> None:
    bench.write(dvc__yaml=GPU % (rest(0)("a"), rest(0)("b")), in__txt="1")
    with pytest.raises(ProjectFileError) as caught:
        bench.run(jobs=2)
    assert caught.value.hint == (
        'write "gpu = 1" below "[resources]" in nbexp.toml, or run without -j.'
    )
    assert bench.run(jobs=1).stages[0].action == "ran"


# --- Single flight --------------------------------------------------------------------------------


def key_of(bench: Bench, name: str) -> str:
    from nbexp.formats import run_cache
    from nbexp.pipeline import outputs

    check = bench.check(name)
    return run_cache.key(outputs._with_outs(check.stage, check.now).entry())


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_runs_a_stage_that_another_runs_takes_its_result(
    bench: Bench, words: Words, jobs: int
) -> None:
    """The other, here a thread, holds the lock, has its result in the run cache, then lets go."""
    bench.write(dvc__yaml=pipeline({"a": [], "b": []}, rest(0)), in__txt="1")
    bench.run("a")
    (bench.root / "a.txt").unlink()
    (bench.root / "dvc.lock").unlink()
    runs = bench.root / ".dvc" / "cache" / "runs"
    runs.rename(runs.with_name("away"))
    flight = Flight(bench.root / ".dvc" / "locks", key_of(bench, "a"))
    assert flight.is_free()

    def end() -> None:
        while not words(events.Notice):
            time.sleep(0.01)
        time.sleep(0.1)
        while jobs == 2 and not words(events.StageFinished):
            time.sleep(0.01)
        if runs.exists():  # of stage `b`, which did not wait
            for found in runs.iterdir():
                found.rename(runs.with_name("away") / found.name)
            runs.rmdir()
        runs.with_name("away").rename(runs)
        flight.release()

    other = threading.Thread(target=end)
    other.start()
    outcome = bench.run(flights=True, jobs=jobs)
    other.join()
    assert [(one.stage.name, one.action) for one in outcome.stages] == [
        ("a", "restored"), ("b", "ran"),
    ]  # fmt: skip
    (notice,) = words(events.Notice)
    assert notice.message == f"Waiting for stage `a`, which process {os.getpid()} runs."  # type: ignore[attr-defined]
    assert [*(bench.root / ".dvc" / "locks").iterdir()] == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_waited_for_nothing_runs_the_stage(bench: Bench, words: Words, jobs: int) -> None:
    bench.write(dvc__yaml=pipeline({"a": [], "b": []}, rest(0)), in__txt="1")
    flight = Flight(bench.root / ".dvc" / "locks", key_of(bench, "a"))
    assert flight.is_free()
    threading.Timer(0.3, flight.release).start()
    assert [one.action for one in bench.run(flights=True, jobs=jobs).stages] == ["ran", "ran"]


def test_equal_stages_of_one_run_run_once(bench: Bench) -> None:
    text = "stages:\n  x:\n    cmd: echo >> ../ran; sleep 0.2; echo > o.txt\n    deps: [in.txt]\n    outs: [o.txt]\n"
    bench.write(one___dvc__yaml=text, two___dvc__yaml=text, one___in__txt="1", two___in__txt="1")
    outcome = bench.run(flights=True, jobs=2)
    assert sorted(one.action for one in outcome.stages) == ["ran", "restored"]
    assert bench.read("ran") == "\n"
    assert bench.read("two/o.txt") == bench.read("one/o.txt") == "\n"


def test_nobody_waits_after_a_failure(bench: Bench, words: Words) -> None:
    bench.write(dvc__yaml=pipeline({"a": [], "b": []}, failing("b")), in__txt="1")
    flight = Flight(bench.root / ".dvc" / "locks", key_of(bench, "a"))
    assert flight.is_free()
    with pytest.raises(StageFailed):
        bench.run(flights=True, jobs=2)
    assert states(words) == {"a": "not run", "b": "failed"}
    flight.release()
    # The thread that waited has the lock for a moment, and nobody is left with it.
    again = Flight(bench.root / ".dvc" / "locks", key_of(bench, "a"))
    again.wait()
    again.release()


def test_forced_stages_and_those_without_run_cache_wait_for_nobody(bench: Bench) -> None:
    bench.write(dvc__yaml=pipeline({"a": [], "b": []}, rest(0)), in__txt="1")
    flight = Flight(bench.root / ".dvc" / "locks", key_of(bench, "a"))
    assert flight.is_free()
    assert bench.actions(flights=True, force=True) == ["a ran", "b ran"]
    bench.write(dvc__lock="")
    assert bench.actions(flights=True, use_run_cache=False) == ["a ran", "b ran"]
    flight.release()


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_of_all_kinds_are_of_their_stage(bench: Bench, words: Words, jobs: int) -> None:
    """An output that Git tracks is no failed command, and counts as a failed stage all the same."""
    bench.ignores.in_git = {"a.txt"}
    bench.write(dvc__yaml=pipeline(INDEPENDENT, rest(0)), in__txt="1")
    with pytest.raises(NbexpError) as caught:
        bench.run(jobs=jobs, on_failure="keep-going")
    assert "the output `a.txt` of stage `a` is tracked by Git." in str(caught.value)
    assert states(words) == {"a": "failed", "b": "done", "c": "done", "d": "done"}
