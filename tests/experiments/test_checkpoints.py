"""Checkpoints: an experiment grows while it runs, keeps its steps whatever ends it, and goes on from any of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]
Git = Callable[..., str]


@pytest.fixture
def root(training_project: Callable[..., Path]) -> Path:
    return training_project()


def chain(root: Path, name: str, git: Git) -> list[str]:
    """The commits of an experiment from the first on the present commit to its tip."""
    ref = git("for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}", cwd=root)
    return git("rev-list", "--reverse", f"HEAD..{ref}", cwd=root).split()


def shown(root: Path, rev: str, git: Git) -> str:
    return git("show", f"{rev}:metrics.json", cwd=root)


def test_each_checkpoint_is_the_next_commit_and_the_result_the_last(root, nbexp_cli, git):
    ran = nbexp_cli("run", "-n", "long", cwd=root)
    commits = chain(root, "long", git)
    assert [shown(root, rev, git) for rev in commits] == [
        '{"acc": 0.5, "epoch": 1}',
        '{"acc": 0.75, "epoch": 2}',
        '{"acc": 0.8333, "epoch": 3}',
        '{"acc": 0.875, "epoch": 4}',
        '{"acc": 0.875, "epoch": 4}',
    ]
    assert "epoch 4 is step 4" in ran.stdout + ran.stderr
    parents = git("log", "--format=%P", "-5", commits[-1], cwd=root).split()
    assert parents[::-1] == [git("rev-parse", "HEAD", cwd=root), *commits[:-1]]
    assert "report" in git("show", f"{commits[-1]}:dvc.lock", cwd=root)
    assert "report" not in git("show", f"{commits[2]}:dvc.lock", cwd=root)
    git("fsck", "--strict", cwd=root)
