"""Remotes as DVC has them: the same configuration, the same objects in the same places, either tool after the other."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DVC_PROGRAMS, Program

# Many command lines in one process of DVC: most of its time goes into starting.
_MANY = """
import contextlib, io, json, os, sys
from dvc.cli import main
found = []
for words in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(words)
    found.append([code, out.getvalue()])
    os.chdir(sys.argv[1])
sys.stdout.write(json.dumps(found))
"""

Said = tuple[int, str]


@pytest.fixture
def dvc_many() -> Iterator[Callable[..., list[Said]]]:
    """`dvc_many(root, ["remote list", …])`: exit code and output of each line."""
    program = Program((str(DVC_PROGRAMS / "python"),), (DVC_PROGRAMS,))

    def run(root: Path, lines: Sequence[str], env: Mapping[str, str | None] = {}) -> list[Said]:
        words = json.dumps([shlex.split(line) for line in lines])
        done = program("-c", _MANY, str(root), cwd=root, stdin=words, env=env)
        return [(code, out) for code, out in json.loads(done.stdout)]

    yield run
    program.stop_all()


class TestConfiguration:
    """`remote …`: after each line both tools leave the same bytes, and say the same where DVC says something."""

    @pytest.fixture
    def same(
        self,
        twins: Any,
        project: Any,
        dvc_many: Callable[..., list[Said]],
        tmp_path: Path,
    ) -> Callable[..., None]:
        """Runs lines in two copies of a project and compares all four files; the last line makes a difference."""
        pair = twins(project({"a.txt": "a"}))

        def env(side: Path) -> dict[str, str | None]:
            own = side.parent / "config"
            return {
                "DVC_GLOBAL_CONFIG_DIR": str(own / "global"),
                "DVC_SYSTEM_CONFIG_DIR": str(own / "system"),
            }

        def files(side: Path) -> dict[str, str]:
            own = side.parent / "config"
            places = {
                "project": side / ".dvc" / "config",
                "local": side / ".dvc" / "config.local",
                "global": own / "global" / "config",
                "system": own / "system" / "config",
            }
            # DVC writes an empty line into files that it had nothing to change in.
            return {k: (p.read_text() if p.exists() else "") or "\n" for k, p in places.items()}

        def run(*lines: str) -> None:
            said = dvc_many(pair.dvc_side, lines[:-1], env(pair.dvc_side))
            first = files(pair.dvc_side)
            said += dvc_many(pair.dvc_side, lines[-1:], env(pair.dvc_side))
            theirs = files(pair.dvc_side)
            for line, (code, out) in zip(lines, said, strict=True):
                done = pair.look.nbexp(
                    *shlex.split(line), cwd=pair.nbexp_side, env=env(pair.nbexp_side), code=None
                )
                assert (done.returncode == 0) == (code == 0), (line, done.stderr)
                if code == 0:
                    assert done.stdout == out, line
            assert files(pair.nbexp_side) == theirs
            assert first != theirs or said[-1][1], "the last line makes no difference to DVC"

        return run

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add Store ../out"],
            ["remote add -d Store ../out"],
            ["remote add one s3://bucket/path", "remote add --default two ssh://host/path"],
            ["remote add one ../a", "remote modify one jobs 4", "remote add -f one ../b"],
            ["remote add one ../a", "remote add one ../b", "remote add --force one ../c"],
            ["remote add --local one /tmp/x"],
            ["remote add --global one /tmp/x"],
            ["remote add --system one /tmp/x"],
            ["remote add --project -d one ~/x"],
            ["remote add 'with space' gs://bucket"],
        ],
        ids=lambda lines: lines[-1],
    )
    def test_add(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize("level", ["", "--local", "--global", "--system", "--project"])
    def test_list(self, same: Callable[..., None], level: str) -> None:
        same(
            "remote add -d one /tmp/x",
            "remote add --local two /tmp/y",
            "remote add --global three /tmp/z",
            "remote add --system four /tmp/u",
            "remote default --local two",
            f"remote list {level}",
        )

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add one s3://b/p", "remote modify one region eu-west-1"],
            ["remote add one s3://b/p", "remote modify ONE region eu-west-1"],
            ["remote add one s3://b/p", "remote modify --local one secret_access_key x"],
            ["remote add one s3://b/p", "remote modify --local one url s3://b/q"],
            ["remote add --global one s3://b/p", "remote modify --global one jobs 3"],
            ["remote add --system one s3://b/p", "remote modify --system one jobs 3"],
            ["remote add --global one s3://b/p", "remote modify --project one jobs 3"],
            ["remote add one ssh://h/p", "remote modify one keyfile ../key"],
            ["remote add one /tmp/x", "remote modify one url ../other"],
            ["remote add one /tmp/x", "remote modify one jobs 0", "remote modify one jobs 2"],
            ["remote add one /tmp/x", "remote modify one nonsense 2", "remote modify one verify true"],
            ["remote modify none jobs 2", "remote add one /tmp/x"],
            ["remote add one s3://b/p", "remote modify one region eu", "remote modify one -u region"],
            ["remote add one s3://b/p", "remote modify --unset one region",
             "remote modify one jobs 2", "remote modify --unset one jobs"],
        ],
        ids=lambda lines: lines[-1],
    )  # fmt: skip
    def test_modify(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add -d one /tmp/x", "remote remove one"],
            ["remote add -d one /tmp/x", "remote add two /tmp/y", "remote remove TWO"],
            ["remote add one /tmp/x", "remote default --local one", "remote remove --project one"],
            ["remote add --local one /tmp/x", "remote remove one", "remote remove --local one"],
            ["remote add --global one /tmp/x", "remote default one", "remote remove --global one"],
            ["remote add --system one /tmp/x", "remote remove --system one"],
        ],
        ids=lambda lines: lines[-1],
    )
    def test_remove(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add one /tmp/x", "remote default one"],
            ["remote add one /tmp/x", "remote default nope", "remote default --project ONE"],
            ["remote add one /tmp/x", "remote default --local one"],
            ["remote add --system one /tmp/x", "remote default --system one"],
            ["remote add --global one /tmp/x", "remote default --global one"],
            ["remote add -d one /tmp/x", "remote default -u"],
            ["remote add one /tmp/x", "remote default --local one", "remote default --local --unset"],
            ["remote default", "remote add -d one /tmp/x", "remote default"],
        ],
        ids=lambda lines: lines[-1],
    )  # fmt: skip
    def test_default(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add -d one s3://b/p", "remote add two /tmp/x", "remote modify one region eu",
             "remote rename one three"],
            ["remote add one /tmp/x", "remote add two /tmp/y", "remote rename one two",
             "remote rename none four", "remote rename --project one three"],
            ["remote add one /tmp/x", "remote modify one type hardlink,copy", "remote rename one two"],
            ["remote add one /tmp/x", "remote default --local one", "remote rename one two"],
            ["remote add --local one /tmp/x", "remote rename --local one two"],
            ["remote add --global one /tmp/x", "remote default one", "remote rename --global one two"],
            ["remote add --system one /tmp/x", "remote rename --system one two"],
        ],
        ids=lambda lines: lines[-1],
    )  # fmt: skip
    def test_rename(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)
