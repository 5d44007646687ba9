"""Every field of dvc.yaml changes what comes of it, in nbexp as in DVC.

Each field has a stage of its own that uses it, in one project; in another the same stage does without. Both are run twice by
real DVC, the second time with other data and params, and the first by nbexp. What DVC left of a stage has to differ
between the two projects, and be what nbexp left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbexp.formats import dvc_lock

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, Ran

# Each field with the keys of a stage that uses it, and of the stage that does without. `N` is the stage's name.
FIELDS: dict[str, tuple[str, str]] = {
    "cmd-list": ("cmd: ['x=1; echo $x > N.txt', 'echo \"$x\" >> N.txt']", "cmd: 'x=1; echo $x > N.txt; echo \"$x\" >> N.txt'"),
    "cmd-lines": ('cmd: "x=1\\necho \\"$x\\" > N.txt\\n"', "cmd: 'x=1; echo \"$x\" > N.txt'"),
    "wdir": ("cmd: basename $PWD > N.txt, wdir: work, outs: [N.txt]", "cmd: basename $PWD > N.txt, outs: [N.txt]"),
    "deps": ("cmd: cat raw.txt > N.txt, deps: [raw.txt], outs: [N.txt]", "cmd: cat raw.txt > N.txt, outs: [N.txt]"),
    "params-key": ("cmd: cat params.yaml > N.txt, params: [a], outs: [N.txt]", "cmd: cat params.yaml > N.txt, outs: [N.txt]"),
    "params-tree": ("cmd: cat params.yaml > N.txt, params: [tree], outs: [N.txt]", "cmd: cat params.yaml > N.txt, params: [tree.deep], outs: [N.txt]"),
    "params-file": ("cmd: cat o.json > N.txt, params: [{o.json: [k]}], outs: [N.txt]", "cmd: cat o.json > N.txt, outs: [N.txt]"),
    "params-whole": ("cmd: cat o.json > N.txt, params: [{o.json: null}], outs: [N.txt]", "cmd: cat o.json > N.txt, params: [{o.json: [same]}], outs: [N.txt]"),
    "outs": ("cmd: echo x > N.txt, deps: [raw.txt], outs: [N.txt]", "cmd: echo x > N.txt, deps: [raw.txt]"),
    "outs-cache": ("cmd: echo x > N.txt, outs: [{N.txt: {cache: false}}]", "cmd: echo x > N.txt, outs: [N.txt]"),
    "outs-persist": ("cmd: echo x >> N.txt, deps: [raw.txt], outs: [{N.txt: {persist: true}}]", "cmd: echo x >> N.txt, deps: [raw.txt], outs: [N.txt]"),
    "metrics": ("cmd: 'echo a: 1 > N.yaml', metrics: [N.yaml]", "cmd: 'echo a: 1 > N.yaml', outs: [N.yaml]"),
    "metrics-cache": ("cmd: 'echo a: 1 > N.yaml', metrics: [{N.yaml: {cache: false}}]", "cmd: 'echo a: 1 > N.yaml', metrics: [N.yaml]"),
    "plots": ("cmd: echo x > N.csv, plots: [N.csv]", "cmd: echo x > N.csv, outs: [N.csv]"),
    "plots-cache": ("cmd: echo x > N.csv, plots: [{N.csv: {cache: false, x: a, y: b}}]", "cmd: echo x > N.csv, plots: [{N.csv: {x: a, y: b}}]"),
    "frozen": ("cmd: cat raw.txt > N.txt, deps: [raw.txt], outs: [N.txt], frozen: false", "cmd: cat raw.txt > N.txt, deps: [raw.txt], outs: [N.txt]"),
    "always_changed": ("cmd: echo x > N.txt, outs: [N.txt], always_changed: true", "cmd: echo x > N.txt, outs: [N.txt]"),
    "vars": ("vars: [{own: 1}], cmd: 'echo ${own} > N.txt', outs: [N.txt]", "cmd: 'echo 2 > N.txt', outs: [N.txt]"),
    "vars-file": ("vars: ['o.json:file'], cmd: 'echo ${file} > N.txt', outs: [N.txt]", "cmd: 'echo 2 > N.txt', outs: [N.txt]"),
    "template": ("cmd: 'echo ${a} > N.txt', outs: [N.txt]", "cmd: 'echo 1 > N.txt', outs: [N.txt]"),
    "foreach": ("foreach: [1, 2], do: {cmd: 'echo ${item} > N${item}.txt', outs: ['N${item}.txt']}", "cmd: 'echo 1 > N1.txt', outs: [N1.txt]"),
    "matrix": ("matrix: {i: [1, 2]}, cmd: 'echo ${item.i} > N${item.i}.txt', outs: ['N${item.i}.txt']", "cmd: 'echo 1 > N1.txt', outs: [N1.txt]"),
    "unpacked": ("cmd: 'echo ${tree} > N.txt', outs: [N.txt]", "cmd: 'echo ${tree.deep} > N.txt', outs: [N.txt]"),
}  # fmt: skip
# What the top of a file declares, with where it shows.
TOP = {
    "params": "params: [top.yaml]\n",
    "metrics": "metrics: [m.json]\n",
    "vars": "vars: [{topmost: 1}]\n",
}


def pipeline(which: int) -> str:
    top = "".join(TOP.values()) if which == 0 else ""
    uses = "  top: {cmd: 'echo ${topmost} > top.txt', outs: [top.txt]}\n" if which == 0 else ""
    stages = "".join(
        f"  {name}: {{{keys[which].replace('N', name)}}}\n" for name, keys in FIELDS.items()
    )
    return f"{top}stages:\n{uses}{stages}"


FILES = {
    "raw.txt": "raw\n",
    "params.yaml": "a: 1\ntree:\n  deep: 2\n  more: 3\n",
    "o.json": '{"k": 1, "same": 2, "file": 3}',
    "work/o.json": '{"file": 3}',
    "top.yaml": "t: 1\n",
    "m.json": '{"acc": 0.5}',
}


def left(root: Path, look: Look, by: str) -> dict[str, Any]:
    """What two runs, the second with other data and params, leave of each stage, and of the top of the file."""
    said: list[str] = []
    program = (
        (lambda *words: look.dvc("exp", *words, cwd=root))
        if by == "dvc"
        else (lambda *words: look.nbexp(*words, cwd=root))
    )
    said.append(program("run", "-n", "one").stdout)
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("frozen: false", "frozen: true"))
    (root / "raw.txt").write_text("other\n")
    (root / "params.yaml").write_text("a: 9\ntree:\n  deep: 2\n  more: 8\n")
    (root / "o.json").write_text('{"k": 9, "same": 2, "file": 3}')
    said.append(program("run", "-n", "two").stdout)
    lock = dvc_lock.parse((root / "dvc.lock").read_bytes(), "dvc.lock")
    ignored = (
        (root / ".gitignore").read_text().splitlines() if (root / ".gitignore").exists() else []
    )
    recorded = look.git(
        "ls-tree", "-r", "--name-only", look.experiments(root).popitem()[1], cwd=root
    ).split()
    table = look.table(root, by)[0]["data"]
    found: dict[str, Any] = {}
    for name in FIELDS:
        entries = {
            key: str(entry) for key, entry in lock.stages.items() if key.partition("@")[0] == name
        }
        found[name] = {
            "lock": entries,
            "files": {
                path.relative_to(root).as_posix(): path.read_text()
                for path in sorted(root.rglob("*.*"))
                if path.is_file() and path.name.startswith(name) and ".dvc" not in path.parts
            },
            "ignored": [line for line in ignored if line.startswith(f"/{name}")],
            "recorded": [path for path in recorded if path.startswith(name)],
            "ran": [text.count(f"Running stage '{name}") for text in said],
            "shown": [
                path for path in (*table["metrics"], *table["outs"]) if path.startswith(name)
            ],
        }
    for part in ("params", "metrics"):
        found[f"top {part}"] = {
            path: table[part][path] for path in ("top.yaml", "m.json") if path in table[part]
        }
    found["top vars"] = (root / "top.txt").read_text() if (root / "top.txt").exists() else ""
    return found


def test_every_field_changes_what_comes_of_it_as_in_dvc(
    project: MakeProject, look: Look, tmp_path: Path, git: Callable[..., Ran]
) -> None:
    base = project({**FILES, "dvc.yaml": pipeline(0)})
    sides: dict[str, Path] = {}
    for name in ("dvc", "nbexp", "without"):
        # In a folder of its own, all of the same name: one stage writes its name.
        sides[name] = Path(shutil.copytree(base, tmp_path / name / "project", symlinks=True))
    (sides["without"] / "dvc.yaml").write_text(pipeline(1))
    git("commit", "--quiet", "--all", "--message=without", cwd=sides["without"])
    theirs = left(sides["dvc"], look, "dvc")
    without = left(sides["without"], look, "dvc")
    ours = left(sides["nbexp"], look, "nbexp")
    assert {name for name in theirs if theirs[name] == without[name]} == set()
    assert json.loads(json.dumps(ours)) == json.loads(json.dumps(theirs))
