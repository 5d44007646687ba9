"""The workflows of the documentation: their shell steps, run as a runner of GitHub or GitLab runs them.

`cml` and `gh` are stand-ins that write down how they were called and what they were given; all else is real.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "report-in-a-pull-request.md"
# What GitHub fills in before a step's shell starts.
EXPRESSIONS = {"github.event.number": "7", "github.token": "t", "secrets.GITHUB_TOKEN": "t"}


@dataclass(frozen=True)
class Step:
    """A piece of shell, with its own environment; `always`: also after a step that failed."""

    script: str
    env: Mapping[str, str]
    always: bool


@dataclass(frozen=True)
class Job:
    """What a job came to: its exit code, and each call of the stand-ins with the text it was given."""

    code: int
    calls: list[tuple[str, str]]
    folder: Path


def workflow(name: str) -> Any:
    """A YAML block of the page, by the file it is written to."""
    found = re.search(
        rf"```{{code-block}} yaml\n:caption: {re.escape(name)}\n\n(.*?)```",
        PAGE.read_text(),
        re.DOTALL,
    )
    assert found is not None, name
    return yaml.safe_load(found[1])


def github(name: str) -> Iterator[Step]:
    for step in workflow(name)["jobs"]["report"]["steps"]:
        if "run" in step:
            env = {key: filled(str(text)) for key, text in step.get("env", {}).items()}
            yield Step(step["run"], env, step.get("if") == "always()")


def gitlab(name: str) -> Iterator[Step]:
    job = workflow(name)["report"]
    yield Step("\n".join(job["script"]), {}, False)
    yield Step("\n".join(job["after_script"]), {}, True)


def filled(text: str) -> str:
    return re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda match: EXPRESSIONS[match[1]], text)


WORKFLOWS = {
    ".github/workflows/report.yml": (github, {"GITHUB_BASE_REF": "main"}),
    ".github/workflows/report-gh.yml": (github, {"GITHUB_BASE_REF": "main"}),
    ".gitlab-ci.yml": (gitlab, {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}),
}


@pytest.fixture
def request_of(
    pipeline_project: Callable[..., Path],
    git: Callable[..., str],
    nbexp_cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, float], Job]:
    """`request_of(workflow, lr)`: a branch that changes a param, and the job of its pull request."""
    author = pipeline_project("author")
    origin, storage = tmp_path / "origin.git", tmp_path / "storage"
    (author / "requirements.txt").write_text("pyyaml\n")
    nbexp_cli("remote", "add", "-d", "storage", str(storage), cwd=author)
    nbexp_cli("repro", cwd=author)
    git("add", "--all", cwd=author)
    git("commit", "--quiet", "--message=results", cwd=author)
    nbexp_cli("data", "push", "--run-cache", cwd=author)
    git("clone", "--quiet", "--bare", str(author), str(origin))
    git("remote", "add", "origin", str(origin), cwd=author)

    def request(name: str, lr: float) -> Job:
        git("switch", "--quiet", "--create", "better", cwd=author)
        params = (author / "params.yaml").read_text()
        assert "lr: 0.1 " in params
        (author / "params.yaml").write_text(params.replace("lr: 0.1 ", f"lr: {lr} "))
        git("commit", "--quiet", "--all", "--message=another rate", cwd=author)
        git("push", "--quiet", "origin", "better", cwd=author)
        folder, programs, log = tmp_path / "job", tmp_path / "programs", tmp_path / "log"
        git("clone", "--quiet", str(origin), str(folder))
        git("checkout", "--quiet", "--detach", "origin/better", cwd=folder)
        programs.mkdir()
        log.mkdir()
        for program in ("cml", "gh"):
            stand_in = programs / program
            stand_in.write_text(
                "#!/bin/sh\n"
                f'number=$(ls "{log}" | wc -l)\n'
                f'echo "{program} $*" >"{log}/$number"\n'
                f'for last; do :; done\ncat "$last" >>"{log}/$number"\n'
            )
            stand_in.chmod(0o755)
        read, env = WORKFLOWS[name]
        env = {**os.environ, **env, "PIP_NO_INDEX": "1"}
        env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
        code = 0
        for step in read(name):
            if code == 0 or step.always:
                ran = subprocess.run(
                    ["bash", "-e", "-o", "pipefail", "-c", step.script],
                    cwd=folder, env={**env, **step.env}, capture_output=True, text=True, check=False,
                )  # fmt: skip
                print(step.script, ran.stdout, ran.stderr, sep="\n")
                code = code or ran.returncode
        calls = [path.read_text().split("\n", 1) for path in sorted(log.iterdir())]
        return Job(code, [(call, text) for call, text in calls], folder)

    return request


COMMENTS = {
    ".github/workflows/report.yml": "cml comment create report.md",
    ".github/workflows/report-gh.yml": (
        "gh pr comment 7 --edit-last --create-if-none --body-file report.md"
    ),
    ".gitlab-ci.yml": "cml comment create report.md",
}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_pull_request_gets_a_comment_that_says_what_became_better(
    name: str, request_of: Callable[[str, float], Job]
) -> None:
    job = request_of(name, 0.03)
    assert job.code == 0
    ((call, text),) = job.calls
    assert call == COMMENTS[name]
    assert "- ✅ acc is 0.9333, at least 0.9" in text
    assert "| <code>acc</code> ↑ | 0.8633 | 🟢 <b>0.9333</b> (+0.07 better) |" in text
    links = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert links == ([] if "gh" in call.split()[0] else ["report_files/acc.png"])
    assert all((job.folder / link).is_file() for link in links)
    assert (
        not (job.folder / "report.html").exists()
        or "+0.07 better" in (job.folder / "report.html").read_text()
    )


@pytest.mark.parametrize("name", WORKFLOWS)
def test_under_the_bar_the_job_fails_and_the_comment_says_why(
    name: str, request_of: Callable[[str, float], Job]
) -> None:
    job = request_of(name, 0.3)
    assert job.code == 1
    ((call, text),) = job.calls
    assert call == COMMENTS[name]
    assert "- ❌ acc is 0.6633, under the bar of 0.9" in text
