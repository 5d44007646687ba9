"""Proof: an experiment is run again from scratch, and every output is compared with the record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nbexp
from nbexp import events, render
from nbexp.errors import NotFound, StoreError, UsageError
from nbexp.experiments import notes
from nbexp.jupyter import display

if TYPE_CHECKING:
    from nbexp import Project

VERIFY = Path(".dvc", "tmp", "nbexp", "verify")


def everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """All of the user's files, of the cache and of Git's state: content and time of last change."""
    found = {}
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [
            name
            for name in folders
            if (here / name).as_posix() not in (".dvc/tmp", ".git/objects", ".git/refs/notes")
        ]
        for name in names:
            path = Path(folder, name)
            info = path.lstat()
            data = b"" if path.is_symlink() else path.read_bytes()
            found[(here / name).as_posix()] = (info.st_mtime_ns, info.st_mode, data)
    return found


@pytest.fixture
def low(project: Project, git: Callable[..., Any]) -> Project:
    """A project with the experiment `low`, its raw data tracked by a `.dvc` file."""
    git("rm", "--quiet", "--cached", "data/raw.csv", cwd=project.root)
    project.data.add("data/raw.csv")
    git("add", "--all", cwd=project.root)
    git("commit", "--quiet", "--message=data", cwd=project.root)
    project.run({"train.lr": 0.03}, name="low")
    return project


def change_stage(project: Project, git: Callable[..., Any], line: str) -> None:
    """Add a line to the script of `train`, and commit that."""
    script = project.root / "train.sh"
    script.write_text(f"{script.read_text()}{line}\n")
    git("commit", "--quiet", "--all", "--message=script", cwd=project.root)


class TestADeterministicExperiment:
    def test_all_outputs_are_identical(self, low: Project) -> None:
        result = low.verify("low")
        assert result.verdict == "identical"
        assert [(stage.name, stage.state) for stage in result.stages] == [
            ("prepare", "ran"), ("train", "ran"),
        ]  # fmt: skip
        assert {one.path: one.verdict for stage in result.stages for one in stage.outputs} == {
            "prepared": "identical", "model.txt": "identical", "metrics.json": "identical",
            "plots/acc.csv": "identical",
        }  # fmt: skip
        lines = render.text(result).splitlines()
        assert lines[0].startswith("low comes out again: all 4 outputs are identical   (in ")
        assert lines[1:] == [
            "prepare          identical", "  prepared       identical", "train            identical",
            "  model.txt      identical", "  metrics.json   identical", "  plots/acc.csv  identical",
        ]  # fmt: skip
        assert result.exit_code == 0

    def test_nothing_of_the_users_changes_and_nothing_is_left(self, low: Project) -> None:
        (low.root / "params.yaml").write_text("edited: true\n")
        low.git.status()
        before = everything(low.root)
        assert low.verify("low").is_reproduced
        assert everything(low.root) == before
        assert [*(low.root / VERIFY).iterdir()] == []

    def test_stages_really_run_with_a_cold_cache(self, low: Project, tmp_path: Path) -> None:
        seen: list[events.Event] = []
        low.verify("low", emit=seen.append)
        started = [event.stage for event in seen if isinstance(event, events.StageStarted)]
        assert started == ["prepare", "train"]
        assert not any(isinstance(event, events.StageRestored) for event in seen)
        assert any(isinstance(e, events.OutputWritten) and b"epoch 3" in e.data for e in seen)

    def test_a_branch_and_a_commit_are_verified_as_well(
        self, low: Project, git: Callable[..., Any]
    ) -> None:
        low.apply("low")
        git("add", "--all", cwd=low.root)
        git("commit", "--quiet", "--message=low", cwd=low.root)
        assert low.verify("main").verdict == "identical"
        assert low.verify(low.git.head() or "").verdict == "identical"

    def test_stages_that_the_experiment_has_not_run_are_left_out(self, project: Project) -> None:
        project.run({"train.lr": 0.03}, targets=["prepare"], name="half")
        assert [stage.name for stage in project.verify("half").stages] == ["prepare"]

    def test_a_project_in_a_sub_directory_and_several_stages_at_once(
        self, pipeline_project: Callable[..., Path], opened: Callable[..., Project]
    ) -> None:
        top = pipeline_project("sub", subdir="deep/er", stages=4)
        project = opened(top / "deep" / "er")
        project.run({"train.lr": 0.03}, name="low")
        result = project.verify("low", jobs=2)
        assert result.verdict == "identical"
        assert {stage.name for stage in result.stages} == {
            "prepare",
            "train",
            "report-1",
            "report-2",
        }

    def test_in_a_linked_work_tree_and_a_shallow_clone(
        self,
        project: Project,
        git: Callable[..., Any],
        opened: Callable[..., Project],
        tmp_path: Path,
    ) -> None:
        (project.root / "README.md").write_text("# More\n")
        git("commit", "--quiet", "--all", "--message=more", cwd=project.root)
        git("worktree", "add", "--quiet", tmp_path / "tree", "-b", "tree", cwd=project.root)
        linked = opened(tmp_path / "tree")
        linked.run({"train.lr": 0.03}, name="linked")
        assert linked.verify("linked").verdict == "identical"
        git(
            "clone",
            "--quiet",
            "--depth=1",
            project.root.as_uri(),
            tmp_path / "shallow",
            cwd=tmp_path,
        )
        shallow = opened(tmp_path / "shallow")
        shallow.run({"train.lr": 0.04}, name="shallow")
        assert shallow.verify("shallow").verdict == "identical"

    @pytest.mark.parametrize("kind", ["symlink", "hardlink"])
    def test_where_the_workspace_has_links_into_the_cache(self, kind: str, low: Project) -> None:
        low.config.set("cache.type", kind, level="local")
        low.close()
        project = nbexp.open(low.root)
        project.run({"train.lr": 0.05}, name="linked")
        project.git.status()
        before = everything(project.root)
        assert project.verify("linked").verdict == "identical"
        assert everything(project.root) == before
        project.close()

    def test_a_persistent_output_begins_from_nothing(
        self, low: Project, git: Callable[..., Any]
    ) -> None:
        text = (low.root / "dvc.yaml").read_text()
        (low.root / "dvc.yaml").write_text(
            text
            + "  keep:\n    cmd: echo more >> kept.txt\n    deps:\n    - model.txt\n    outs:\n"
            "    - kept.txt:\n        persist: true\n        cache: false\n"
        )
        git("commit", "--quiet", "--all", "--message=keep", cwd=low.root)
        low.run({"train.lr": 0.05}, name="first")
        assert low.verify("first").verdict == "identical"
        low.run({"train.lr": 0.06}, name="second")
        result = low.verify("second")
        assert result.first is not None
        assert (result.first[0].name, result.first[1].detail) == ("keep", "line 2 is missing")

    def test_a_frozen_stage_is_taken_as_it_is(self, low: Project, git: Callable[..., Any]) -> None:
        text = (low.root / "dvc.yaml").read_text()
        (low.root / "dvc.yaml").write_text(
            text.replace("  prepare:\n", "  prepare:\n    frozen: true\n")
        )
        git("commit", "--quiet", "--all", "--message=frozen", cwd=low.root)
        low.apply("low", force=True)
        git("checkout", "--quiet", "dvc.yaml", cwd=low.root)
        low.run({"train.lr": 0.05}, name="frozen")
        result = low.verify("frozen")
        assert result.problem == ""
        assert result.verdict == "identical"
        assert [(stage.name, stage.state) for stage in result.stages] == [
            ("prepare", "kept"), ("train", "ran"),
        ]  # fmt: skip

    def test_sources_come_from_the_remote_where_the_cache_lacks_them(
        self, low: Project, tmp_path: Path
    ) -> None:
        low.remote.add("store", str(tmp_path / "store"), default=True, level="local")
        low.data.push()
        shutil.rmtree(low.root / ".dvc" / "cache")
        assert low.verify("low").verdict == "identical"
        assert not (low.root / ".dvc" / "cache").exists()
        shutil.rmtree(tmp_path / "store")
        with pytest.raises(StoreError, match=r"has data/raw\.csv, which no stage makes"):
            low.verify("low")

    def test_the_certificate_is_in_the_note(self, low: Project, git: Callable[..., Any]) -> None:
        rev = low["low"].rev
        low.verify("low", rtol=0.001)
        said = notes.read(low.git, [rev])[rev]["verified"]
        assert isinstance(said, dict)
        assert said["verdict"] == "identical"
        assert (said["rtol"], said["atol"], said["outputs"]) == (0.001, 1e-8, 4)
        shown = json.loads(git("notes", "--ref=nbexp", "show", rev, cwd=low.root))
        assert shown["verified"] == said


class TestAnotherResult:
    def test_the_first_stage_that_differs_is_named_with_its_row(
        self, low: Project, git: Callable[..., Any], nbexp_cli: Any, tmp_path: Path
    ) -> None:
        counter = tmp_path / "count"
        change_stage(
            low, git, f'echo x >> {counter}; n=$(wc -l < {counter}); echo "9,0.$n" >> plots/acc.csv'
        )
        low.run({"train.lr": 0.05}, name="odd")
        ran = nbexp_cli("verify", "odd", "--json", cwd=low.root, code=1)
        found = json.loads(ran.stdout)
        assert found["verdict"] == "different"
        assert found["first"] == {
            "stage": "train", "path": "plots/acc.csv", "verdict": "different",
            "detail": "row 4, column acc: 0.1 -> 0.2",
        }  # fmt: skip
        text = nbexp_cli("verify", "odd", "-q", cwd=low.root, code=1)
        assert text.stdout == ""
        text = nbexp_cli("verify", "odd", cwd=low.root, code=1).stdout
        assert "odd does not come out again" in text
        assert "it begins in stage train, plots/acc.csv: row 4, column acc: 0.1 -> 0.4" in text

    def test_numbers_within_the_tolerance_are_close(
        self, low: Project, git: Callable[..., Any], tmp_path: Path
    ) -> None:
        counter = tmp_path / "count"
        line = f"echo x >> {counter}; n=$(wc -l < {counter}); "
        line += 'printf \'{"acc": 0.900000%d}\\n\' "$n" > metrics.json'
        change_stage(low, git, line)
        low.run({"train.lr": 0.05}, name="near")
        result = low.verify("near")
        assert result.verdict == "close"
        assert result.exit_code == 0
        train = result.stages[1]
        assert [(one.path, one.verdict, one.detail) for one in train.outputs if one.detail] == [
            ("metrics.json", "close", "numbers differ by at most 1e-07"),
        ]  # fmt: skip
        assert low.verify("near", rtol=0.0, atol=0.0).verdict == "different"

    def test_what_differs_in_a_directory_is_named_by_file(
        self, low: Project, git: Callable[..., Any], tmp_path: Path
    ) -> None:
        script = low.root / "prepare.sh"
        counter = tmp_path / "count"
        script.write_text(
            f"{script.read_text()}echo x >> {counter}; cp {counter} prepared/parts/count.txt\n"
        )
        git("commit", "--quiet", "--all", "--message=script", cwd=low.root)
        low.run({"train.lr": 0.05}, name="odd")
        result = low.verify("odd")
        assert result.first is not None
        stage, output = result.first
        assert (stage.name, output.path) == ("prepare", "prepared")
        assert output.detail == "parts/count.txt: line 2 is new"

    def test_a_cell_shows_the_verdict_as_a_table_escaped(
        self, low: Project, git: Callable[..., Any], tmp_path: Path
    ) -> None:
        counter = tmp_path / "count"
        change_stage(
            low,
            git,
            f"echo '<b>' >> {counter}; cat {counter} > metrics.json; echo 1 > model.txt; cp {counter} model.txt",
        )
        low.run({"train.lr": 0.05}, name="odd")
        shown = str(display.bundle(low.verify("odd"))[0]["text/html"])
        assert "✗ odd does not come out again" in shown
        assert "<b>\n" not in shown
        assert "model.txt" in shown


class TestANotebook:
    @pytest.fixture
    def book(self, tmp_path: Path, nbexp_cli: Any) -> Callable[..., Path]:
        """Makes a project of a notebook with these cells, recorded as the experiment `one`."""

        def make(*sources: str) -> Path:
            root = tmp_path / "book"
            root.mkdir()
            cells = [
                {
                    "cell_type": "code", "execution_count": None, "id": f"c{at}", "outputs": [],
                    "metadata": {"tags": ["parameters"] if at == 0 else []}, "source": source,
                }
                for at, source in enumerate(sources)
            ]  # fmt: skip
            kernel = {
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
            }
            found = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
            (root / "train.ipynb").write_text(json.dumps(found))
            nbexp_cli("init", "train.ipynb", cwd=root)
            nbexp_cli("run", "-q", "-n", "one", cwd=root)
            return root

        return make

    WRITE = "import json\nwith open('metrics.json', 'w') as f:\n    json.dump({'acc': acc}, f)"

    def test_a_seeded_one_comes_out_identical(self, book: Any, nbexp_cli: Any) -> None:
        root = book(
            "lr = 0.1",
            "import random\nrandom.seed(1)",
            "acc = random.random()\nprint(acc)",
            self.WRITE,
        )
        ran = nbexp_cli("verify", "one", "--json", cwd=root)
        found = json.loads(ran.stdout)
        assert found["verdict"] == "identical"
        assert {one["path"] for one in found["stages"][0]["outputs"]} == {
            "runs/train.ipynb", "metrics.json",
        }  # fmt: skip

    def test_an_unseeded_generator_is_found_by_its_stage_and_cell(
        self, book: Any, nbexp_cli: Any
    ) -> None:
        root = book(
            "lr = 0.1",
            "import random\nprint('begin')",
            "acc = random.random()\nprint(acc)",
            self.WRITE,
        )
        ran = nbexp_cli("verify", "one", "--json", cwd=root, code=1)
        first = json.loads(ran.stdout)["first"]
        assert (first["stage"], first["path"], first["cell"]) == ("train", "runs/train.ipynb", 3)
        assert first["detail"].startswith("cell 3: 0.")
        text = nbexp_cli("verify", "one", cwd=root, code=1).stdout
        assert "it begins in stage train, runs/train.ipynb: cell 3: 0." in text
        assert "likely because cell 3 calls `random.random` with no seed" in text

    def test_a_generator_in_a_cell_that_prints_nothing_is_found_as_well(
        self, book: Any, nbexp_cli: Any
    ) -> None:
        root = book("lr = 0.1", "import random\nacc = random.random()", self.WRITE)
        found = json.loads(nbexp_cli("verify", "one", "--json", cwd=root, code=1).stdout)
        assert found["first"]["path"] == "metrics.json"
        assert found["first"]["detail"].startswith("acc: 0.")
        assert found["stages"][0]["suspect"] == "cell 2 calls `random.random` with no seed"


class TestWhatCannotBeRun:
    def test_a_dep_that_is_in_no_commit_is_named(
        self, low: Project, git: Callable[..., Any], nbexp_cli: Any
    ) -> None:
        (low.root / ".gitignore").write_text(f"{(low.root / '.gitignore').read_text()}lookup.txt\n")
        (low.root / "lookup.txt").write_text("1\n")
        change_stage(low, git, "cat lookup.txt >> model.txt")
        low.run({"train.lr": 0.05}, name="odd")
        ran = nbexp_cli("verify", "odd", "--json", cwd=low.root, code=1)
        found = json.loads(ran.stdout)
        assert found["verdict"] == "failed"
        assert found["missing"] == ["lookup.txt"]
        assert [(s["name"], s["state"]) for s in found["stages"]] == [
            ("prepare", "ran"), ("train", "failed"),
        ]  # fmt: skip
        assert "exit code" in found["problem"]
        text = nbexp_cli("verify", "odd", cwd=low.root, code=1).stdout
        assert "odd cannot be run again" in text
        assert (
            "lookup.txt is in your workspace and in no commit. "
            "Hint: `git add lookup.txt`, or `nbexp data add lookup.txt`"
        ) in text
        assert [*(low.root / VERIFY).iterdir()] == []

    def test_a_declared_dep_that_is_in_no_commit_is_named(
        self, project: Project, git: Callable[..., Any]
    ) -> None:
        project.run({"train.lr": 0.05}, name="odd")
        # As of somebody who had the file ignored: the same commit without it.
        env = {"GIT_INDEX_FILE": str(project.root.parent / "index")}
        git("read-tree", project["odd"].rev, cwd=project.root, env=env)
        git("rm", "--quiet", "--cached", "data/raw.csv", cwd=project.root, env=env)
        tree = git("write-tree", cwd=project.root, env=env)
        rev = git("commit-tree", tree, "-p", "HEAD", "-m", "without", cwd=project.root)
        result = project.verify(rev)
        assert result.verdict == "failed"
        assert result.problem == "Dep `data/raw.csv` of stage `prepare` does not exist."
        assert result.missing == ("data/raw.csv",)
        assert [stage.state for stage in result.stages] == ["not run", "not run"]

    @pytest.mark.parametrize("value", ["-1", "nan", "inf", "x"])
    def test_wrong_tolerances_are_refused(self, value: str, low: Project, nbexp_cli: Any) -> None:
        told = nbexp_cli("verify", "low", f"--rtol={value}", cwd=low.root, code=2).stderr
        assert f"`{value}` is no number from 0 up" in told

    def test_a_commit_without_a_run_is_told(self, project: Project) -> None:
        with pytest.raises(
            NotFound, match="No stage ran in `main`, so there is nothing to run again"
        ):
            project.verify("main")

    def test_an_interrupt_leaves_nothing(
        self, low: Project, git: Callable[..., Any], nbexp_cli: Any, tmp_path: Path
    ) -> None:
        mark = tmp_path / "second"
        change_stage(low, git, f"test ! -e {mark} || sleep 60")
        low.run({"train.lr": 0.05}, name="slow")
        mark.touch()
        low.git.status()
        before = everything(low.root)
        child = nbexp_cli.start("verify", "slow", cwd=low.root)
        folder = low.root / VERIFY
        deadline = time.monotonic() + 60
        while not [*folder.glob("*/project/plots/acc.csv")]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(child.pid, signal.SIGINT)
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 130, errors
        assert "`verify slow` was interrupted. Nothing of it is left" in errors
        assert [*folder.iterdir()] == []
        assert everything(low.root) == before
        assert (
            notes.read(low.git, [low["slow"].rev]).get(low["slow"].rev, {}).get("verified") is None
        )

    def test_what_a_killed_one_left_is_ended_and_removed_by_the_next(
        self, low: Project, git: Callable[..., Any], nbexp_cli: Any, tmp_path: Path
    ) -> None:
        mark, pid = tmp_path / "second", tmp_path / "pid"
        change_stage(low, git, f"test ! -e {mark} || {{ echo $$ > {pid}; sleep 60; }}")
        low.run({"train.lr": 0.05}, name="slow")
        mark.touch()
        before = everything(low.root)
        child = nbexp_cli.start("verify", "slow", cwd=low.root)
        deadline = time.monotonic() + 60
        while not pid.exists() or not pid.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.kill()
        child.wait()
        [left] = (low.root / VERIFY).iterdir()
        assert low.verify("low").verdict == "identical"
        assert not left.exists()
        deadline = time.monotonic() + 60
        while Path("/proc", pid.read_text().strip(), "cwd").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert everything(low.root) == before

    def test_somebody_elses_code_is_told_and_asked_about_once(
        self, low: Project, git: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        git("config", "user.email", "eve@example.org", cwd=low.root)
        git("config", "user.name", "Eve", cwd=low.root)
        project = nbexp.open(low.root)
        seen: list[events.Event] = []
        project.verify("low", emit=seen.append)
        told = [event.message for event in seen if isinstance(event, events.Notice)]
        assert "`low` is by Ada <ada@example.org>: this runs their code." in told
        asked: list[str] = []
        project.confirm = lambda question: bool(asked.append(question))
        with pytest.raises(UsageError, match="was not run, as you said"):
            project.verify("low")
        project.confirm = lambda question: asked.append(question) is None
        project.verify("low")
        project.verify("low")
        assert asked == ["Run the code of Ada <ada@example.org>?"] * 2
        project.close()
