from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nbexp.events import (
    CellFinished,
    CellStarted,
    CheckpointMade,
    Event,
    MetricLogged,
    OutputWritten,
)
from nbexp.frozen import replace
from nbexp.pipeline import process
from nbexp.pipeline.checkpoint import Made, Requests
from nbexp.pipeline.kinds import Job


@dataclass
class Heard:
    """A consumer that keeps the events, and calls `then` once at the first output holding `word`."""

    word: bytes = b""
    then: Callable[[], None] | None = None
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.then is not None and isinstance(event, OutputWritten) and self.word in event.data:
            call, self.then = self.then, None
            call()

    @property
    def output(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, OutputWritten))


class Slow(Heard):
    """Takes longer over each piece than an ended command is listened to."""

    def __call__(self, event: Event) -> None:
        time.sleep(0.2)
        super().__call__(event)


def make_job(folder: Path, **env: str) -> Job:
    run_dir = folder / "run"
    return Job(
        "train", "", folder, folder, {**os.environ, **env}, folder / "logs" / "train.log", run_dir
    )


def run(folder: Path, script: str, heard: Heard | None = None, **env: str) -> int:
    return process.run_process(
        ["/bin/sh", "-c", script], job=make_job(folder, **env), emit=heard or Heard()
    )


def python(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in {b"Z", b"X"}


def pids(folder: Path, count: int) -> list[int]:
    """The process ids that a script wrote into files `*.pid`, once there are that many."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [path.read_text().strip() for path in folder.glob("*.pid")]
        if len(found) == count and all(found):
            return [int(text) for text in found]
        time.sleep(0.005)
    raise AssertionError(f"{count} process ids were expected in {folder}")


def log_of(folder: Path) -> bytes:
    return (folder / "logs" / "train.log").read_bytes()


# ---- output


def test_output_is_heard_and_logged_as_it_was_written(tmp_path: Path) -> None:
    heard = Heard()
    assert (
        run(tmp_path, r"echo out; echo err >&2; printf 'caf\303\251 \377 no newline'", heard) == 0
    )
    assert heard.output == b"out\nerr\ncaf\xc3\xa9 \xff no newline"
    assert log_of(tmp_path) == heard.output
    assert (tmp_path / "logs" / "train.log").stat().st_mode & 0o777 == 0o600


def test_the_next_command_writes_behind_the_log_of_the_last(tmp_path: Path) -> None:
    run(tmp_path, "echo one")
    run(tmp_path, "echo two")
    assert log_of(tmp_path) == b"one\ntwo\n"


def test_output_is_heard_while_the_command_runs(tmp_path: Path) -> None:
    times: list[float] = []
    heard = Heard(b"first", lambda: times.append(time.monotonic()))
    source = "import time; print('first'); time.sleep(3); print('last')"
    process.run_process(python(source), job=make_job(tmp_path), emit=heard)
    assert time.monotonic() - times[0] > 1


def test_all_of_it_is_heard_by_who_is_slow(tmp_path: Path) -> None:
    heard = Heard(b"0", lambda: time.sleep(1))
    script = "head -c 900000 /dev/zero | tr '\\0' 0; printf end"
    process.run_process(["/bin/sh", "-c", script], job=make_job(tmp_path), emit=heard)
    assert heard.output == b"0" * 900_000 + b"end"
    slow = Slow()
    process.run_process(["/bin/sh", "-c", script], job=make_job(tmp_path), emit=slow)
    assert slow.output == heard.output


@pytest.mark.parametrize(
    ("written", "logged"),
    [
        (
            r"'\r 10%%'; sleep 0.02; printf '\r 50%%'; sleep 0.02; printf '\r100%%\nend\n'",
            b"100%\nend\n",
        ),
        (r"'start\r 10%%\r100%%'", b"100%"),
        (r"'one\r\ntwo\r\n'", b"one\r\ntwo\r\n"),
        (r"'bar\r'; sleep 0.02; printf '\nnext\n'", b"bar\r\nnext\n"),
        (r"'held'; sleep 3; printf '\rbar\r100%%\n'", b"held\n100%\n"),
    ],
)
def test_of_a_bar_the_log_keeps_the_last_state(tmp_path: Path, written: str, logged: bytes) -> None:
    run(tmp_path, f"printf {written}")
    assert log_of(tmp_path) == logged


def test_a_hundred_thousand_lines_are_not_slow(tmp_path: Path) -> None:
    source = "for n in range(100_000): print(n)"
    bare, taken, said = [], [], b""
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-u", "-c", source], stdout=subprocess.PIPE, check=True)
        between = time.monotonic()
        heard = Heard()
        process.run_process(python(source), job=make_job(tmp_path), emit=heard)
        bare.append(between - started)
        taken.append(time.monotonic() - between)
        assert heard.output.endswith(b"\n99999\n")
        assert len(heard.events) < 2_000
        said += heard.output
    assert log_of(tmp_path) == said
    assert min(taken) < 2 * min(bare) + 0.5


def test_a_command_costs_little_more_than_its_process(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    bare, taken = [], []
    for _ in range(20):
        started = time.monotonic()
        subprocess.run(["/bin/true"], stdout=subprocess.PIPE, check=True)
        between = time.monotonic()
        process.run_process(["/bin/true"], job=job, emit=Heard())
        bare.append(between - started)
        taken.append(time.monotonic() - between)
    # The quickest of each, side by side: other processes on the machine only ever add.
    assert min(taken) < 3 * min(bare) + 0.003


def test_a_background_process_does_not_delay_the_end(tmp_path: Path) -> None:
    started = time.monotonic()
    assert run(tmp_path, "sleep 60 & echo $! > a.pid; echo started") == 0
    assert time.monotonic() - started < 30
    (left,) = pids(tmp_path, 1)
    assert is_running(left)
    os.kill(left, signal.SIGKILL)


def test_the_command_reads_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, 'test -z "$(cat)"') == 0


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_the_exit_code_is_the_commands(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, script) == code


def test_a_program_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        process.run_process(["/no/such/program"], job=make_job(tmp_path), emit=Heard())


# ---- the environment and events


def test_the_command_knows_where_to_tell_and_who_it_is(tmp_path: Path) -> None:
    heard = Heard()
    script = 'echo "$PYTHONUNBUFFERED $NBEXP_EVENTS $NBEXP_RUN_DIR"; echo "$NBEXP_ITEM"'
    run(tmp_path, script, heard, NBEXP_ITEM="run-1:2")
    first, second = heard.output.decode().splitlines()
    assert first == f"1 {tmp_path}/run/events.jsonl {tmp_path}/run"
    assert second.startswith("run-1:2.")


def test_a_choice_about_buffering_is_the_users(tmp_path: Path) -> None:
    heard = Heard()
    run(tmp_path, 'echo "[$PYTHONUNBUFFERED]"', heard, PYTHONUNBUFFERED="")
    assert heard.output == b"[]\n"


def test_lines_of_the_events_file_become_events(tmp_path: Path) -> None:
    lines = [
        {"kind": "cell_started", "cell": 1, "total": 2, "source": "x = 1"},
        {"kind": "metric", "step": 3, "values": {"acc": 0.5, "note": "nan"}},
        {"kind": "cell_finished", "cell": 1, "total": 2, "seconds": 1.5},
    ]
    (tmp_path / "lines").write_text("".join(json.dumps(line) + "\n" for line in lines))
    heard = Heard()
    run(tmp_path, 'cat lines >> "$NBEXP_EVENTS"', heard)
    assert heard.events == [
        CellStarted("train", 1, 2, "x = 1"),
        MetricLogged("train", 3, {"acc": 0.5, "note": "nan"}),
        CellFinished("train", 1, 2, 1.5),
    ]


def test_events_come_while_the_command_runs_and_lines_in_pieces_are_whole(tmp_path: Path) -> None:
    heard = Heard()
    script = (
        """printf '{"kind": "metric", "step": 1, ' >> "$NBEXP_EVENTS"; sleep 0.2; """
        """printf '"values": {"a": 1}}\\n' >> "$NBEXP_EVENTS"; sleep 0.3; echo end"""
    )
    run(tmp_path, script, heard)
    assert heard.events == [MetricLogged("train", 1, {"a": 1}), OutputWritten("train", b"end\n")]


def test_nonsense_in_the_events_file_is_passed_over(tmp_path: Path) -> None:
    nonsense = [
        "",
        "no json",
        "[]",
        "1",
        "{}",
        '{"kind": "metric"}',
        '{"kind": "cell_started", "cell": "x"}',
    ]
    nonsense += ['{"kind": "other"}', '{"kind": "metric", "values": 3}', "[" * 100_000]
    good = '{"kind": "metric", "step": null, "values": {"a": 1}}'
    (tmp_path / "lines").write_text("\n".join([*nonsense, good]) + "\n")
    heard = Heard()
    run(tmp_path, 'cat lines >> "$NBEXP_EVENTS"', heard)
    assert heard.events == [MetricLogged("train", None, {"a": 1})]


def test_events_of_the_command_before_are_not_told_again(tmp_path: Path) -> None:
    line = """echo '{"kind": "metric", "step": 1, "values": {"a": 1}}' >> "$NBEXP_EVENTS" """
    run(tmp_path, line)
    heard = Heard()
    run(tmp_path, "true", heard)
    assert heard.events == []


# ---- the end


def interrupt_soon() -> None:
    """What the user's Ctrl-C does, shortly after the word that the command is set up."""
    threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()


def interrupted(folder: Path, script: str, count: int) -> tuple[list[int], float]:
    """Interrupt the script once it says `ready`; its processes that ran, and the seconds that took."""
    marks: list[float] = []
    found: list[int] = []

    def go() -> None:
        found.extend(pids(folder, count))
        marks.append(time.monotonic())
        interrupt_soon()

    with pytest.raises(KeyboardInterrupt):
        run(folder, script, Heard(b"ready", go))
    return found, time.monotonic() - marks[0] - 0.05


def test_an_interrupt_lets_the_command_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "grace_s", 30.0)
    source = (
        "import time, os\nopen('a.pid', 'w').write(str(os.getpid()))\n"
        "try:\n    print('ready')\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('tidy')\n    open('tidied', 'w')\n"
    )
    (tmp_path / "s.py").write_text(source)
    found, seconds = interrupted(tmp_path, f"exec {sys.executable} s.py", 1)
    assert (tmp_path / "tidied").exists()
    assert log_of(tmp_path) == b"ready\ntidy\n"
    assert not any(map(is_running, found))
    assert seconds < 20, "it is not waited for longer than it takes"


_STUBBORN = """
trap '' INT TERM
(trap '' INT TERM; exec setsid sh -c 'trap "" INT TERM HUP; echo $$ > setsid.pid; while :; do sleep 0.1; done') &
nohup sh -c 'echo $$ > nohup.pid; while :; do sleep 0.1; done' > /dev/null 2>&1 &
(setsid sh -c 'echo $$ > daemon.pid; exec sleep 60' > /dev/null 2>&1 &)
env -i setsid sh -c 'echo $$ > bare.pid; exec sleep 60' &
echo $$ > leader.pid
while [ ! -s setsid.pid ] || [ ! -s nohup.pid ] || [ ! -s daemon.pid ] || [ ! -s bare.pid ]; do sleep 0.01; done
echo ready
while :; do sleep 0.1; done
"""


def test_an_interrupt_ends_daemons_and_those_who_ignore_signals_within_two_seconds(
    tmp_path: Path,
) -> None:
    found, seconds = interrupted(tmp_path, _STUBBORN, 5)
    assert [pid for pid in found if is_running(pid)] == []
    # 1.9 s on an idle machine: SIGINT, 1 s, SIGTERM, 0.8 s, SIGKILL. A busy one is let off the rest.
    assert seconds < 4


def test_a_daemon_goes_with_a_command_that_ends_by_itself_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "grace_s", 30.0)
    script = "(setsid sh -c 'echo $$ > a.pid; exec sleep 60' &); echo $$ > b.pid; "
    script += "while [ ! -s a.pid ]; do sleep 0.01; done; echo ready; exec sleep 60"
    found, seconds = interrupted(tmp_path, script, 2)
    assert not any(map(is_running, found))
    assert seconds < 20


def test_a_second_interrupt_hurries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "grace_s", 60.0)

    def twice() -> None:
        # Two that come while the main thread is off are one.
        for seconds in (0.05, 1, 3, 6):
            threading.Timer(seconds, interrupt_if_waiting).start()

    waits = True

    def interrupt_if_waiting() -> None:
        if waits:
            os.kill(os.getpid(), signal.SIGINT)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "trap '' INT TERM; echo $$ > a.pid; echo ready; while :; do sleep 0.1; done",
            Heard(b"ready", twice))  # fmt: skip
    waits = False
    assert time.monotonic() - started < 30
    assert not is_running(pids(tmp_path, 1)[0])


def test_an_error_of_the_consumer_stops_the_command(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("drawing")

    with pytest.raises(RuntimeError, match="drawing"):
        run(tmp_path, "echo $$ > a.pid; echo ready; exec sleep 60", Heard(b"ready", fail))
    assert not is_running(pids(tmp_path, 1)[0])


def test_another_thread_is_stopped_by_its_event(tmp_path: Path) -> None:
    stop, ended = threading.Event(), []

    def work() -> None:
        try:
            job, script = make_job(tmp_path), "echo $$ > a.pid; echo ready; exec sleep 60"
            process.run_process(
                ["/bin/sh", "-c", script], job=job, emit=Heard(b"ready", stop.set), stop=stop
            )
        except KeyboardInterrupt:
            ended.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert ended == ["stopped"]
    assert not is_running(pids(tmp_path, 1)[0])


def test_what_a_killed_run_left_is_found_by_its_mark(tmp_path: Path) -> None:
    env = {**os.environ, "NBEXP_ITEM": "run-77"}
    script = "(setsid sh -c 'echo $$ > a.pid; exec sleep 60' &); exec sleep 60"
    other = subprocess.Popen(["sleep", "60"], env=env | {"NBEXP_ITEM": "run-777"})
    left = subprocess.Popen(
        ["/bin/sh", "-c", script], env=env | {"NBEXP_ITEM": "run-77:1.abc"}, cwd=tmp_path
    )
    (daemon,) = pids(tmp_path, 1)
    for pid in (left.pid, daemon):  # a shell between two of its children is one more
        while not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
            time.sleep(0.01)
    try:
        assert process.kill_marked("run-77") == 2
        left.wait(60)
        assert not is_running(daemon)
        assert other.poll() is None
        assert process.kill_marked("run-77") == 0
    finally:
        other.kill()
        other.wait()


def test_who_becomes_another_program_in_that_moment_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = {**os.environ, "NBEXP_ITEM": "run-79"}
    left = subprocess.Popen(["sleep", "60"], env=env, start_new_session=True)
    while not Path(f"/proc/{left.pid}/cmdline").read_bytes().startswith(b"sleep"):
        time.sleep(0.01)
    looks = iter(["an empty environment, as the kernel shows it then"])
    opened = os.open
    empty = os.open(os.devnull, os.O_RDONLY)

    def looked(path: str, *more: int) -> int:
        if path == f"/proc/{left.pid}/environ" and next(looks, None):
            return empty
        return opened(path, *more)

    monkeypatch.setattr(os, "open", looked)
    assert process.kill_marked("run-79") == 1
    assert left.wait(60) == -signal.SIGKILL


def test_what_has_no_marker_is_not_asked_for_more_and_a_long_environment_is_read_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    whole = process._process
    monkeypatch.setattr(
        process, "_process", lambda pid, **more: asked.append(pid) or whole(pid, **more)
    )
    assert process.kill_marked("nobody-has-this") == 0
    assert asked == []
    env = {**os.environ, "A": "a" * 100_000, "NBEXP_ITEM": "run-78", "Z": "z" * 70_000}
    left = subprocess.Popen(["sleep", "60"], env=env, start_new_session=True)
    while not Path(f"/proc/{left.pid}/environ").read_bytes():
        time.sleep(0.01)  # the kernel is not yet done with starting it
    assert process.kill_marked("run-7") == 0
    assert process.kill_marked("run-78") == 1
    assert left.wait(60) == -signal.SIGKILL
    assert left.pid in asked


def test_a_command_within_a_command_is_not_taken_for_its_runner(tmp_path: Path) -> None:
    source = (
        "import os, sys; from nbexp.pipeline import process\n"
        "print(process.kill_marked(os.environ['NBEXP_ITEM'].split('.')[0]), 'killed, still here')\n"
    )
    heard = Heard()
    job = make_job(tmp_path, NBEXP_ITEM="outer")
    assert process.run_process(python(source), job=job, emit=heard) == 0
    assert heard.output == b"0 killed, still here\n"


def test_a_noted_process_is_ended_with_its_group_and_no_other_of_its_number(tmp_path: Path) -> None:
    noted = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60"], start_new_session=True)
    spared = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        process.record(tmp_path, noted.pid)
        process.record(tmp_path, spared.pid)
        lines = [
            json.loads(line) for line in (tmp_path / "processes.jsonl").read_text().splitlines()
        ]
        assert [line["pid"] for line in lines] == [noted.pid, spared.pid]
        assert lines[0]["group"] == noted.pid
        # As if the number had been given to another process since.
        lines[1]["start"] += "1"
        text = "".join(json.dumps(line) + "\n" for line in lines) + '{"pid": 1, "gr'
        (tmp_path / "processes.jsonl").write_text(text)
        assert process.kill_recorded(tmp_path) == 1
        assert noted.wait(10) == -signal.SIGKILL
        deadline = time.monotonic() + 60
        while any(found.group == noted.pid for found in process._processes()):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert spared.poll() is None
        assert process.kill_recorded(tmp_path / "absent") == 0
    finally:
        spared.kill()
        spared.wait()


def test_a_checkpoint_comes_behind_what_was_written_and_logged_before_it(tmp_path: Path) -> None:
    """Who asks for one waits: what it had written by then was there first, whoever reads when."""
    source = (
        "from nbexp import live\n"
        "for step in range(1, 151):\n"
        "    live.log(step, acc=step / 1000)\n"
        "    print('before', step, flush=True)\n"
        "    live.checkpoint()\n"
    )
    heard = Heard()
    steps = iter(range(1, 1000))
    job = make_job(tmp_path)
    requests = Requests(job.run_dir, None, "train", lambda: Made(next(steps), "0" * 40, "x"), heard)
    with requests:
        code = process.run_process(
            python(source), job=replace(job, checkpoints=requests), emit=heard
        )
    assert (code, heard.output.count(b"\n")) == (0, 150), heard.output
    output, logged, made = b"", [], []
    for event in heard.events:
        if isinstance(event, OutputWritten):
            output += event.data
        elif isinstance(event, MetricLogged):
            logged.append(event.step)
        elif isinstance(event, CheckpointMade):
            made.append((event.step, output.count(b"\n"), len(logged)))
    assert made == [(step, step, step) for step in range(1, 151)]
