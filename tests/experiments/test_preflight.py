"""What an isolated run will miss is told before it runs, and what the hint says mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import NbexpError, NotFound
from nbexp.events import Event, Notice, RunStarted

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]

SCRIPT = "import sys\nsys.path.insert(0, '.')\n"


def told(project: Project, **options: object) -> tuple[list[tuple[str, str | None]], bool]:
    """What a run beside says before anything runs, and whether it came to its end."""
    notices: list[tuple[str, str | None]] = []
    has_started = False

    def listen(event: Event) -> None:
        nonlocal has_started
        has_started = has_started or isinstance(event, RunStarted)
        if isinstance(event, Notice) and not has_started:
            notices.append((event.message, event.hint))

    try:
        project.run(temp=True, new=True, emit=listen, **options)  # type: ignore[arg-type]
    except NbexpError:
        return notices, False
    return notices, True


def pipeline(root: Path, cmd: str, *deps: str) -> None:
    listed = ", ".join(f'"{dep}"' for dep in deps)
    (root / "dvc.yaml").write_text(
        f"stages:\n  train:\n    cmd: {cmd}\n    deps: [{listed}]\n    params: [seed]\n"
        "    outs: [{out.txt: {cache: false}}]\n"
    )


def commit(git: Git, root: Path, *paths: str) -> None:
    git("add", "--", "dvc.yaml", *paths, cwd=root)
    git("commit", "--quiet", "--message=more", cwd=root)


def test_a_module_that_a_script_imports(project: Project, git: Git) -> None:
    root = project.root
    (root / "src").mkdir()
    (root / "src" / "new.py").write_text("x = 1\n")
    (root / "train.py").write_text(
        SCRIPT + "from src import new\nopen('out.txt', 'w').write('x')\n"
    )
    pipeline(root, "python train.py", "train.py")
    commit(git, root, "train.py")
    notices, is_done = told(project)
    assert notices == [
        (
            "src/new.py (untracked, imported by train.py) will not be in the run's folder.",
            "`git add src/new.py`, or `-C src/new.py`",
        )
    ]
    assert not is_done
    assert told(project, copy_paths=["src/new.py"]) == ([], True)
    git("add", "src/new.py", cwd=root)
    assert told(project) == ([], True)


def test_a_module_that_a_notebook_imports(project: Project, git: Git) -> None:
    root = project.root
    (root / "src").mkdir()
    (root / "src" / "new.py").write_text("x = 1\n")
    cell = {
        "cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": [],
        "source": "from src.new import x\nopen('out.txt', 'w').write(str(x))",
    }  # fmt: skip
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (root / "train.ipynb").write_text(json.dumps(book))
    (root / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: nbexp notebook train.ipynb runs/train.ipynb\n"
        "    deps: [train.ipynb]\n    outs: [runs/train.ipynb]\n"
    )
    commit(git, root, "train.ipynb")
    notices, is_done = told(project)
    assert notices == [
        (
            "src/new.py (untracked, imported by train.ipynb) will not be in the run's folder.",
            "`git add src/new.py`, or `-C src/new.py`",
        )
    ]
    assert not is_done
    git("add", "src/new.py", cwd=root)
    assert told(project) == ([], True)


def test_a_dep_that_was_never_added(project: Project, git: Git) -> None:
    root = project.root
    (root / "in put.txt").write_text("x\n")
    pipeline(root, "cat 'in put.txt' > out.txt", "in put.txt")
    commit(git, root)
    notices, is_done = told(project)
    assert notices == [
        (
            "in put.txt (untracked, a dep of train) will not be in the run's folder.",
            "`git add 'in put.txt'`, or `-C 'in put.txt'`",
        )
    ]
    assert not is_done
    assert told(project, copy_paths=["in put.txt"]) == ([], True)


def test_a_file_in_a_folder_that_a_stage_reads(project: Project, git: Git) -> None:
    root = project.root
    (root / "texts").mkdir()
    (root / "texts" / "a.txt").write_text("a\n")
    pipeline(root, "cat texts/* > out.txt", "texts")
    commit(git, root, "texts")
    (root / "texts" / "b.txt").write_text("b\n")
    notices, is_done = told(project)
    assert notices == [
        (
            "texts/b.txt (untracked, a dep of train) will not be in the run's folder.",
            "`git add texts/b.txt`, or `-C texts/b.txt`",
        )
    ]
    assert is_done


def test_an_ignored_file_that_code_reads(project: Project, git: Git) -> None:
    root = project.root
    (root / ".gitignore").write_text("*.env\nkey.json\n")
    (root / ".env").write_text("TOKEN=1\n")
    (root / "key.json").write_text("{}")
    (root / "train.py").write_text(
        "# dotenv.load_dotenv() finds `.env`, where that package is installed\n"
        "import json\njson.load(open('key.json'))\nopen('out.txt', 'w').write('x')\n"
    )
    pipeline(root, "python train.py", "train.py")
    commit(git, root, "train.py", ".gitignore")
    notices, is_done = told(project)
    assert notices == [
        (
            ".env (ignored by Git, read by train.py) and key.json (ignored by Git, read by train.py) will "  # noqa: ISC004
            "not be in the run's folder.",
            "`-C .env -C key.json` copies them there.",
        )
    ]
    assert not is_done
    assert told(project, copy_paths=[".env", "key.json"]) == ([], True)


def test_a_script_that_only_the_command_names(project: Project, git: Git) -> None:
    root = project.root
    (root / "run.sh").write_text("echo x > out.txt\n")
    pipeline(root, "sh run.sh")
    commit(git, root)
    notices, is_done = told(project)
    assert notices == [
        (
            "run.sh (untracked, named by train) will not be in the run's folder.",
            "`git add run.sh`, or `-C run.sh`",
        )
    ]
    assert not is_done
    git("add", "run.sh", cwd=root)
    assert told(project) == ([], True)


def test_data_that_the_cache_does_not_have(project: Project, git: Git) -> None:
    root = project.root
    (root / "big.csv").write_text("1\n")
    project.data.add("big.csv")
    pipeline(root, "cat big.csv > out.txt", "big.csv")
    commit(git, root, "big.csv.dvc", ".gitignore")
    assert told(project) == ([], True)
    for path in (root / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file():
            path.unlink()
    project.close()
    notices, is_done = told(project)
    assert notices == [
        (
            "big.csv (not in the cache, a dep of train) will not be in the run's folder.",
            "`--pull` fetches it from the remote; `nbexp data add big.csv` keeps what is in the workspace.",
        )
    ]
    assert not is_done
    project.data.add("big.csv")
    assert told(project) == ([], True)


def test_data_that_was_edited_since_it_was_added(project: Project, git: Git) -> None:
    root = project.root
    (root / "big.csv").write_text("1\n")
    project.data.add("big.csv")
    pipeline(root, "cat big.csv > out.txt", "big.csv")
    commit(git, root, "big.csv.dvc", ".gitignore")
    (root / "big.csv").unlink()
    (root / "big.csv").write_text("2\n")
    notices, is_done = told(project)
    assert notices == [
        (
            "big.csv (edited since it was added, a dep of train) will be in the run's folder as it was added.",
            "`nbexp data add big.csv` keeps the edit.",
        )
    ]
    assert is_done
    project.data.add("big.csv")
    assert told(project) == ([], True)


def test_what_is_there_is_not_told(project: Project, git: Git) -> None:
    """Outputs, logs that code writes, caches of Python, what other stages make, files nobody names."""
    root = project.root
    (root / ".gitignore").write_text("train.log\n__pycache__\n")
    (root / "train.py").write_text(
        "import helper\nopen('train.log', 'a').write('x')\nopen('out.txt', 'w').write('x')\n"
    )
    (root / "helper.py").write_text("x = 1\n")
    pipeline(root, "python train.py", "train.py")
    commit(git, root, "train.py", "helper.py", ".gitignore")
    (root / "train.log").write_text("old\n")
    (root / "out.txt").write_text("old\n")
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "helper.pyc").write_bytes(b"x")
    (root / "notes.txt").write_text("nobody reads this\n")
    assert told(project) == ([], True)


def test_many_are_one_notice(project: Project, git: Git) -> None:
    root = project.root
    names = [f"in-{number}.txt" for number in range(8)]
    for name in names:
        (root / name).write_text("x\n")
    pipeline(root, "cat in-* > out.txt", *names)
    commit(git, root)
    ((message, hint),), is_done = told(project)
    assert message.endswith(
        "in-4.txt (untracked, a dep of train) and 3 more will not be in the run's folder."
    )
    assert hint is not None
    assert hint.startswith(f"`git add {' '.join(names)}`, or `-C in-0.txt ")
    assert not is_done


def test_paths_are_as_seen_from_the_users_directory(
    pipeline_project: Callable[..., Path], opened: Callable[..., Project], git: Git
) -> None:
    top = pipeline_project(subdir="deep")
    (top / "deep" / "run.sh").write_text("echo x > out.txt\n")
    pipeline(top / "deep", "sh run.sh")
    commit_in = top / "deep"
    git("add", "dvc.yaml", cwd=commit_in)
    git("commit", "--quiet", "--message=more", cwd=commit_in)
    project = opened(commit_in)
    notices, is_done = told(project)
    assert [message for message, _ in notices] == [
        "run.sh (untracked, named by train) will not be in the run's folder."
    ]
    assert not is_done
    assert told(project, copy_paths=["run.sh"]) == ([], True)


def test_code_of_another_version_is_not_asked_what_it_imports(project: Project, git: Git) -> None:
    root = project.root
    (root / "train.py").write_text("open('out.txt', 'w').write('x')\n")
    pipeline(root, "python train.py", "train.py")
    commit(git, root, "train.py")
    git("tag", "v1", cwd=root)
    (root / "added.py").write_text("x = 1\n")
    (root / "new.py").write_text("x = 1\n")
    (root / "train.py").write_text("import new, added\nopen('out.txt', 'w').write('x')\n")
    commit(git, root, "train.py", "added.py")
    assert told(project, baseline="v1") == ([], True)
    assert [message for message, _ in told(project)[0]] == [
        "new.py (untracked, imported by train.py) will not be in the run's folder."
    ]


def test_a_pipeline_or_a_params_file_that_was_never_added(project: Project, git: Git) -> None:
    root = project.root
    git("rm", "--quiet", "--cached", "dvc.yaml", cwd=root)
    git("commit", "--quiet", "--message=without", cwd=root)
    with pytest.raises(NotFound) as raised:
        project.run(temp=True)
    assert str(raised.value).splitlines() == [
        "dvc.yaml is in your files and in no commit, so a run beside them does not have it. Nothing was run.",
        "Hint: `git add dvc.yaml`",
    ]
    git("add", "dvc.yaml", cwd=root)
    assert told(project)[1]
    (root / "more.json").write_text('{"depth": 1}')
    with pytest.raises(NotFound, match=r"more\.json is in your files and in no commit"):
        project.run(["more.json:depth=2"], temp=True)
    git("add", "more.json", cwd=root)
    assert (
        project.run(["more.json:depth=2"], new=True, temp=True).read("more.json") == b'{"depth": 2}'
    )
    (root / "sub").mkdir()
    (root / "sub" / "dvc.yaml").write_text("stages: {x: {cmd: echo}}\n")
    assert told(project)[0] == [
        (
            "sub/dvc.yaml (untracked, it says what stages there are) will not be in the run's folder.",
            "`git add sub/dvc.yaml`, or `-C sub/dvc.yaml`",
        )
    ]


def test_params_that_are_composed_for_the_run_are_not_missed(project: Project, git: Git) -> None:
    """The file that Hydra's composition writes is often ignored, or was never added."""
    root = project.root
    (root / "conf").mkdir()
    (root / "conf" / "config.yaml").write_text(
        "seed: 3\ntrain: {lr: 0.1, epochs: 3}\nprepare: {rows: 20}\n"
    )
    (root / ".dvc" / "config").write_text("[hydra]\n    enabled = True\n")
    git("rm", "--quiet", "--cached", "params.yaml", cwd=root)
    git("add", "conf", ".dvc/config", cwd=root)
    git("commit", "--quiet", "--message=composed", cwd=root)
    project.close()
    made = project.run({"train.lr": 0.03}, temp=True)
    assert (made.params["seed"], made.params["train.lr"]) == (3, 0.03)
    assert told(project) == ([], True)
