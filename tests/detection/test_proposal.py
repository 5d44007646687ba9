"""Which files are stages, and which are not, with the reason."""

from __future__ import annotations

from pathlib import Path

from nbexp import events
from nbexp.pipeline import detection
from nbexp.pipeline.detection import Proposal

WRITES = "open('{}', 'w').write('1')\n"


def propose(folder: Path, **files: str) -> Proposal:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_py", ".py").replace("_sh", ".sh")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return detection.propose(folder, events.ignore)


def test_what_is_no_stage_says_why(tmp_path):
    found = propose(
        tmp_path,
        a_py=WRITES.format("a"),
        b_py="open('a').read()\nopen('b', 'w')\n",
        all_py="import subprocess\nsubprocess.run(['python', 'a.py'])\nsubprocess.run(['python', 'b.py'])\n",
        app_py="import flask\napp = flask.Flask('x')\nopen('log.txt', 'w')\n",
        look_py="print(open('b').read())\n",
        words_py="import sys\nopen(sys.argv[1], 'w').write('1')\n",
        tests__test_a_py=WRITES.format("t"),
        setup_py=WRITES.format("s"),
        library_py="def f():\n    open('never', 'w')\n",
    )
    assert [stage.name for stage in found.stages] == ["a", "b"]
    assert dict(found.left_out) == {
        "all.py": "it runs a.py, b.py: stages of their own",
        "app.py": "it imports flask: a program that waits for its users is no stage",
        "look.py": "it writes no file of the project",
        "words.py": (
            "it needs words behind its name; a line in Makefile, run.sh or README.md would tell them"
        ),
    }


def test_a_line_in_the_readme_tells_the_words(tmp_path):
    (tmp_path / "README.md").write_text("Run it:\n\n```bash\n$ python words.py out.txt 3\n```\n")
    found = propose(tmp_path, words_py="import sys\nopen(sys.argv[1], 'w').write(sys.argv[2])\n")
    assert [stage.cmd for stage in found.stages] == ["python words.py out.txt 3"]
    assert [entry.name for entry in found.stages[0].outs] == ["out.txt"]


def test_a_file_that_two_write_has_one_stage(tmp_path):
    found = propose(
        tmp_path, one_py=WRITES.format("x"), two_py=WRITES.format("x") + WRITES.format("y")
    )
    assert {stage.name: [e.path for e in stage.outs] for stage in found.stages} == {
        "one": ["x"],
        "two": ["y"],
    }
    assert found.notes == ("two.py writes x as well as one.py; an output has one stage.",)


def test_stages_of_dvc_yaml_are_left_alone(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages:\n  a:\n    cmd: python a.py\n    outs:\n    - a\n")
    found = propose(tmp_path, a_py=WRITES.format("a"), b_py=WRITES.format("b"))
    assert [stage.name for stage in found.stages] == ["b"]
    assert found.left_out == (("a.py", "a stage of dvc.yaml runs it"),)


def test_equal_names_get_their_folders(tmp_path):
    found = propose(tmp_path, x__train_py=WRITES.format("a"), y__train_py=WRITES.format("b"))
    assert [stage.name for stage in found.stages] == ["x-train", "y-train"]


def test_an_output_that_git_tracks_stays_there(tmp_path, git):
    git("init", "--quiet", cwd=tmp_path)
    (tmp_path / "a").write_text("1")
    git("add", "a", cwd=tmp_path)
    found = propose(tmp_path, a_py=WRITES.format("a"))
    assert found.stages[0].definition()["outs"] == [{"a": {"cache": False}}]


def test_logs_and_caches_are_no_outputs(tmp_path):
    code = "".join(
        WRITES.format(p) for p in ("run.log", "logs/x.txt", "mlruns/0/m", "a.csv", "__pycache__/q")
    )
    found = propose(tmp_path, a_py=code)
    assert [entry.path for entry in found.stages[0].outs] == ["a.csv"]


def test_a_project_of_nothing_has_nothing(tmp_path):
    assert propose(tmp_path).stages == ()
