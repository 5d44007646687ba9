"""bench   a folder with dvc.yaml, a cache and no Git: `bench.check("train")`, `bench.run("train")`"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nbexp import events
from nbexp.pipeline import execute
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.context import Context, How
from nbexp.pipeline.execute import Outcome
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Check, Disk, Inspector
from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache


@dataclass
class Guard:
    """Does what is asked and writes it down; putting things back is tested with the experiments."""

    root: Path
    told: list[str] = field(default_factory=list)

    def write(self, path: str, data: bytes) -> None:
        self.told.append(f"write {path}")
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def remember(self, path: str) -> None:
        self.told.append(f"remember {path}")

    def set_aside(self, path: str) -> None:
        self.told.append(f"set aside {path}")
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def carry_over(self, path: str) -> None:
        """No ignore rule hides anything here."""

    @contextmanager
    def declared(self, reads: Sequence[str], writes: Sequence[str]) -> Iterator[None]:
        self.told.append("busy")
        yield
        self.told.append("done")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        yield


@dataclass
class Ignores:
    """What Git ignores and holds here."""

    paths: set[str] = field(default_factory=set)
    in_git: set[str] = field(default_factory=set)

    def ignored(self, paths: Sequence[str]) -> set[str]:
        return self.paths & set(paths)

    def tracked(self, paths: Sequence[str]) -> set[str]:
        return self.in_git & set(paths)


class NoMeanings:
    """No commit knows any notebook."""

    def notebook(self, path: str, md5: str) -> bytes | None:
        return None


@dataclass
class Bench:
    """One folder, looked at and run by the pipeline alone."""

    root: Path
    cache: Cache
    guard: Guard
    ignores: Ignores
    meanings: object = field(default_factory=NoMeanings)
    events: list[events.Event] = field(default_factory=list)

    def write(self, **files: str) -> None:
        """Files by path, in which `__` is a dot and `___` a slash: keyword arguments have neither."""
        for name, text in files.items():
            path = self.root / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    @property
    def graph(self) -> Graph:
        return graphs.load(self.root)

    @property
    def inspector(self) -> Inspector:
        return Inspector(self.root, self.cache, Disk(self.root, {}), self.meanings)  # type: ignore[arg-type]

    def stages(self, *names: str) -> tuple[Stage, ...]:
        graph = self.graph
        return graph.order(graph.targets(names, ".") if names else graph.stages)

    def check(self, name: str, *, force: bool = False) -> Check:
        return self.inspector.check(self.stages(name)[-1], force=force)

    def reasons(self, name: str) -> list[str]:
        """Why the stage would run, in words."""
        return [str(reason) for reason in self.check(name).reasons]

    def run(
        self,
        *names: str,
        force: bool = False,
        use_run_cache: bool = True,
        here: str = ".",
        flights: bool = False,
        **how: object,
    ) -> Outcome:
        """Bring the stages and what they need up to date; events are kept from here on."""
        self.events.clear()
        self.guard.told.clear()
        run_dir = self.root / ".dvc" / "run"
        run_dir.mkdir(parents=True, exist_ok=True)
        context = Context(
            self.root,
            self.cache,
            self.guard,
            self.ignores,
            dict(os.environ),
            run_dir,
            here,
            use_run_cache,
            self.root / ".dvc" / "locks" if flights else None,
        )
        graph = self.graph
        return execute.execute(
            graph.order(graph.targets(names, ".") if names else graph.stages),
            graph,
            self.inspector,
            context,
            self.events.append,
            How(force=force, **{"checks_out": True, **how}),  # type: ignore[arg-type]
        )

    def actions(self, *names: str, **options: bool) -> list[str]:
        """Run, and what became of each stage: "train ran"."""
        outcome = self.run(*names, **options)  # type: ignore[arg-type]
        return [f"{result.stage.name} {result.action}" for result in outcome.stages]

    def output(self) -> str:
        """What the stages of the last run wrote."""
        written = [event.data for event in self.events if isinstance(event, events.OutputWritten)]
        return b"".join(written).decode()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "project"
    root.mkdir()
    cache = Cache(
        root / ".dvc" / "cache", link_types=("copy",), state=root / ".dvc" / "tmp" / "state.db"
    )
    yield Bench(root, cache, Guard(root), Ignores())
    cache.close()


@pytest.fixture
def words(bench: Bench) -> Callable[[type[events.Event]], list[events.Event]]:
    """The events of one kind that the last run told."""
    return lambda kind: [event for event in bench.events if isinstance(event, kind)]
