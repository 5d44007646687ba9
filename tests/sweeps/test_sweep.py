from __future__ import annotations
from pathlib import Path
from collections.abc import Callable
from typing import Any
import nbexp


def test_smoke(pipeline_project: Callable[..., Path], nbexp_cli: Any, git: Any) -> None:
    project = pipeline_project()
    ran = nbexp_cli("sweep", "-S", "train.lr=0.1,0.03", "-S", "seed=0,1", "-j", "2", "--maximize", "acc", cwd=project, code=None, timeout_s=40)
    print(ran.stdout, ran.stderr)
    ran = nbexp_cli("sweep", "-S", "train.lr=0.1,0.03", "-S", "seed=0,1", "-j", "2", "--maximize", "acc", cwd=project, code=None, timeout_s=40)
    print(ran.stdout, ran.stderr)
    ran = nbexp_cli("sweep", cwd=project, code=None, timeout_s=40)
    print(ran.stdout, ran.stderr)
    ran = nbexp_cli("sweep", "--optuna", "maximize acc", "-S", "train.lr=interval(0.001,0.2)", "--trials", "8", "-j", "2", cwd=project, code=None, timeout_s=40)
    print(ran.stdout, ran.stderr)
    ran = nbexp_cli("show", cwd=project, code=None, timeout_s=40)
    print(ran.stdout, ran.stderr)
    assert 0
