"""The bytes and names of `formats/` beside those that real DVC makes of the same project."""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
from pathlib import Path

import pytest

from nbexp.errors import ProjectFileError
from nbexp.formats import (
    config,
    directory,
    dvc_lock,
    dvc_yaml,
    ignore,
    ref_names,
    run_cache,
    values,
)
from nbexp.formats.directory import Item
from nbexp.formats.dvc_lock import LockedPath, LockedStage, LockFile
from nbexp.formats.dvc_yaml import StageSpec, adding

PIPELINE = r"""
stages:
  text:
    cmd: cp data/a.txt text.out && echo "it's done"
    deps: [data, ./script.sh]
    params: [train, train.layers, seed, big, odd]
    outs: [text.out]
  lines:
    cmd: |
      echo one > lines.out
      echo two >> lines.out
    deps: [script.sh]
    outs: [lines.out]
  many:
    cmd:
    - mkdir -p made/sub
    - cp data/a.txt made/sub/b
    - 'echo "a: b # c" > made/a'
    - echo '{}' > m.json
    deps: [data/a.txt]
    params:
    - other.json:
    - params.yaml: [words]
    - more.toml: [x.y]
    outs: [made/]
    metrics: [{m.json: {cache: false}}]
  run:
    cmd: ./script.sh
    deps: [script.sh, made, text.out]
    outs: [tool]
    plots:
    - curve.csv: {x: step, cache: false}
  below:
    wdir: sub
    cmd: 'cp ../text.out "weird #name [1].txt" && cp ../text.out "é!.txt"'
    deps: [../text.out]
    params: [lr]
    outs: ["weird #name [1].txt", é!.txt]
  long:
    cmd: echo --first-option 0.0001 --second-option some/long/path/to/a/file.parquet --third 'x' "y" > long.out
    deps: [lines.out]
    outs: [long.out]
  alone:
    cmd: echo 1 > alone.out
    outs: [alone.out]
"""
PARAMS = """
train: {lr: 1e-3, layers: [64, 32], on: yes, shared: &s {q: 1}, again: *s, none: ~, empty: {}, no_items: []}
seed: 0o17
big: 100000000000000000000
words: [a, 'true', "null", '1', "it's", "a: b", " x ", "tab\\t", '', "é", '2020-01-01', 1e5, 1e-5, .inf, -.inf, 1.0, 007]
odd:
  text: >
    a long text that goes on and on and on and on, well over the margin of eighty columns, so it is folded
  block: |
    two
    lines
  quoted: "a: long text that goes on and on and on and on, well over the margin of eighty columns, folded"
  both: "it's: long text that goes on and on and on and on, well over the margin of eighty columns, folded"
  'a key: with it': [[1, 2], [], [{a: b}, {}]]
  numbers: {10: ten, 9: nine, 1.5: x}
"""


_made: list[Path] = []


@pytest.fixture
def project(repo: Path, dvc, tmp_path_factory) -> Path:
    """A project that DVC made and ran, with everything that is odd in one file or another."""
    if not _made:
        made = tmp_path_factory.mktemp("made") / "project"
        _made.append(Path(shutil.copytree(run_project(repo, dvc), made, symlinks=True)))
    shutil.rmtree(repo)
    return Path(shutil.copytree(_made[0], repo, symlinks=True))


def run_project(repo: Path, dvc) -> Path:
    dvc("init", "--quiet", cwd=repo)
    files = {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "other.json": '{"b": {"x": 1.50, "y": [1, null]}, "a": "text"}',
        "more.toml": "[x]\ny = [1, 2.5, 'z']\n",
        "sub/params.yaml": "lr: 0.10\n",
        "script.sh": "#!/bin/sh\ncp made/a tool\nchmod +x tool\nprintf 'step,acc\\n0,1\\n' > curve.csv\n",
        "data/a.txt": "a\r\nb\r\n",
        "data/é.txt": "x",
        "data/sub/z": "z",
        "data/empty": "",
        "data/A": "A",
        ".dvcignore": "*.tmp\n",
        "data/left.tmp": "out",
    }
    for path, text in files.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_bytes(text.encode())
    (repo / "script.sh").chmod(0o755)
    (repo / "data" / "link").symlink_to("a.txt")
    dvc("repro", "--quiet", cwd=repo)
    return repo


def locked_path(project: Path, spelled: str, path: str) -> LockedPath:
    """What DVC would note down about a file or directory, found by independent means."""
    place = project / path
    if place.is_file():
        data = place.read_bytes()
        isexec = bool(place.stat().st_mode & 0o100)
        return LockedPath(spelled, md5(data), len(data), isexec=isexec)
    items, size = tree(project, path)
    return LockedPath(spelled, directory.digest(items), size, len(items))


def tree(project: Path, path: str) -> tuple[list[Item], int]:
    """The files of a directory as its directory object lists them, and their size."""
    skip = ignore.DvcIgnore.on_disk(project).below(path)
    items, size = [], 0
    for folder, _, names in os.walk(project / path, followlinks=True):
        for name in names:
            data = Path(folder, name).read_bytes()
            relpath = Path(folder, name).relative_to(project / path).as_posix()
            if not skip(relpath, False):
                items.append(Item(relpath, md5(data)))
                size += len(data)
    return items, size


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def locked_stage(project: Path, stage: StageSpec) -> LockedStage:
    """The entry of a stage that has just run, found by independent means."""
    cwd = stage.wdir or "."
    params = {}
    for param in sorted(stage.params, key=lambda param: (param.path != "params.yaml", param.path)):
        tree = values.parse((project / cwd / param.path).read_bytes(), param.path)
        keys = param.keys or list(tree)
        params[param.path] = {key: values.lookup(tree, key) for key in sorted(keys)}
    deps = [locked_path(project, path, posixpath.join(cwd, path)) for path in sorted(stage.deps)]
    outs = sorted(stage.outs, key=lambda out: out.path)
    return LockedStage(
        stage.cmd,
        tuple(deps),
        params,
        tuple(locked_path(project, out.path, posixpath.join(cwd, out.path)) for out in outs),
    )


def stages_of(project: Path) -> list[StageSpec]:
    return list(dvc_yaml.parse((project / "dvc.yaml").read_bytes(), "dvc.yaml").stages)


def test_dvc_lock_is_the_same_byte_for_byte(project):
    theirs = (project / "dvc.lock").read_bytes()
    assert theirs.count(b"&id00") >= 2
    read = dvc_lock.parse(theirs, "dvc.lock")
    specs = {stage.name: stage for stage in stages_of(project)}
    ours = LockFile({})
    for name in read.stages:
        ours = ours.with_stage(name, locked_stage(project, specs[name]))
    assert ours.dump().decode() == theirs.decode()
    assert read.dump() == theirs
    assert set(read.stages) == set(specs)


def test_dvc_is_content_with_a_lock_of_ours(project, dvc):
    ours = LockFile({})
    for stage in stages_of(project):
        ours = ours.with_stage(stage.name, locked_stage(project, stage))
    (project / "dvc.lock").write_bytes(ours.dump())
    assert dvc("status", cwd=project).stdout == "Data and pipelines are up to date.\n"
    assert "didn't change, skipping" in dvc("repro", cwd=project).stdout
    assert (project / "dvc.lock").read_bytes() == ours.dump()


def test_a_lock_with_comments_is_written_as_dvc_writes_it(project, dvc):
    path = project / "dvc.lock"
    edited = path.read_bytes().replace(b"  text:\n", b"  # the first one\n  text:   # here\n")
    edited = edited.replace(b"schema: '2.0'", b'schema: "2.0"')
    path.write_bytes(edited)
    (project / "alone.out").unlink()
    lock = dvc_lock.parse(edited, "dvc.lock")
    alone = next(stage for stage in stages_of(project) if stage.name == "alone")
    dvc("repro", "--quiet", "--force", "--single-item", "alone", cwd=project)
    assert lock.with_stage("alone", locked_stage(project, alone)).dump() == path.read_bytes()
    assert b"text:   # here" in path.read_bytes()


def test_a_directory_object_is_the_same_byte_for_byte(project):
    lock = dvc_lock.parse((project / "dvc.lock").read_bytes(), "dvc.lock")
    (made,) = (out for out in lock.stages["many"].outs if out.path == "made/")
    theirs = cached(project, made.md5).read_bytes()
    assert directory.dump(tree(project, "made")[0]) == theirs
    assert [item.relpath for item in directory.parse(theirs)] == ["a", "sub/b"]


def test_a_directory_of_odd_files_has_the_hash_that_dvc_gives_it(project, dvc):
    shutil.copytree(project / "data", project / "added", symlinks=True)
    (project / "added" / "run.sh").write_text("#!/bin/sh\n")
    (project / "added" / "run.sh").chmod(0o755)
    (project / "added" / "nothing" / "inside").mkdir(parents=True)
    items, size = tree(project, "added")
    dvc("add", "--quiet", "added", cwd=project)
    noted = values.parse((project / "added.dvc").read_bytes(), "added.dvc")["outs"][0]
    assert noted["md5"] == directory.digest(items)
    assert (noted["size"], noted["nfiles"]) == (size, len(items)) == (size, 7)
    theirs = cached(project, noted["md5"]).read_bytes()
    assert theirs == directory.dump(items)
    assert [item.relpath for item in directory.parse(theirs)] == [
        "A", "a.txt", "empty", "link", "run.sh", "sub/z", "é.txt",
    ]  # fmt: skip


def cached(project: Path, oid: str) -> Path:
    return project / ".dvc" / "cache" / "files" / "md5" / oid[:2] / oid[2:]


def test_the_run_cache_has_the_same_names_and_contents(project):
    files = [path for path in (project / ".dvc/cache/runs").rglob("*") if path.is_file()]
    kept = {}
    for path in files:
        data = path.read_bytes()
        stage = dvc_lock.parse_entry(data)
        assert stage is not None
        key, value = run_cache.key(stage.entry()), run_cache.value(stage.entry())
        assert path.parts[-3:] == (key[:2], key, value)
        kept[key] = data
    ours = {}
    for spec in stages_of(project):
        stage = locked_stage(project, spec)
        if stage.deps or stage.params:
            ours[run_cache.key(stage.entry())] = dvc_lock.dump_entry(stage)
    assert ours == kept
    assert len(ours) == 6


def test_gitignore_files_are_the_same(project):
    expected: dict[str, bytes | None] = {}
    for name in dvc_lock.parse((project / "dvc.lock").read_bytes(), "dvc.lock").stages:
        (spec,) = (stage for stage in stages_of(project) if stage.name == name)
        for out in spec.outs:
            if out.cache:
                path = posixpath.normpath(posixpath.join(spec.wdir or ".", out.path))
                folder, base = posixpath.split(path)
                file = posixpath.join(folder, ".gitignore")
                expected[file] = ignore.add_line(expected.get(file), base) or expected.get(file)
    for file, data in expected.items():
        theirs = (project / file).read_bytes()
        assert sorted(theirs.splitlines()) == sorted((data or b"").splitlines())
    assert b"/weird \\#name \\[1\\].txt\n" in (project / "sub/.gitignore").read_bytes()


def test_a_line_is_added_to_a_gitignore_as_dvc_adds_it(repo, dvc):
    dvc("init", "--quiet", cwd=repo)
    before = b"*.tmp\r\n# mine"
    names = ["plain.txt", "a b", "#x", "!y", "star*", "q?", "br[1]", "back\\slash", "é", "~t"]
    for number, name in enumerate(names):
        folder = repo / str(number)
        folder.mkdir()
        (folder / ".gitignore").write_bytes(before)
        (folder / name).write_text("x")
    dvc("add", "--quiet", *(f"{n}/{name}" for n, name in enumerate(names)), cwd=repo)
    for number, name in enumerate(names):
        theirs = (repo / str(number) / ".gitignore").read_bytes()
        assert ignore.add_line(before, name) == theirs
        assert ignore.add_line(theirs, name) is None


def test_a_new_project_has_the_files_of_dvc_init(repo, dvc):
    dvc("init", "--quiet", cwd=repo)
    for path, data in config.new_project().items():
        assert (repo / path).read_bytes() == data
    tracked = {path for path in config.new_project() if path != "README.md"}
    found = {
        path.relative_to(repo).as_posix()
        for path in [*(repo / ".dvc").iterdir(), *repo.iterdir()]
        if path.is_file() and path.name != "README.md"
    }
    assert found == tracked


def test_stages_are_added_as_dvc_adds_them(repo, dvc):
    dvc("init", "--quiet", cwd=repo)
    (repo / "sub").mkdir()
    long = "python train.py --first-option 0.0001 --second-option some/long/path/to/a/file.parquet --third x"
    # fmt: off
    steps = [
        (
            ("-n", "train", "-d", "train.py", "-d", "data", "-p", "train,seed", "-p", "other.json:b,a",
             "-p", "whole.toml:", "-o", "model.bin", "-M", "metrics.json", "--plots", "curve.csv",
             "-O", "log", "--outs-persist", "kept", long),
            {"cmd": long, "deps": ["train.py", "data"],
             "params": ["train", "seed", {"other.json": ["b", "a"]}, {"whole.toml": None}],
             "outs": [{"kept": {"persist": True}}, {"log": {"cache": False}}, "model.bin"],
             "metrics": [{"metrics.json": {"cache": False}}], "plots": ["curve.csv"]},
        ),
        (
            ("-n", "two", "-w", "sub", "--always-changed", "--desc", "what: it does", "-d", "in",
             "echo 'a: b' # c"),
            {"cmd": "echo 'a: b' # c", "wdir": "sub", "always_changed": True, "desc": "what: it does",
             "deps": ["in"]},
        ),
        (("-n", "three", "-o", "é b", "true"), {"cmd": "true", "outs": ["é b"]}),
    ]
    # fmt: on
    ours = None
    for arguments, definition in steps:
        dvc("stage", "add", "--quiet", *arguments, cwd=repo)
        ours = adding.add_stage(ours, arguments[1], definition)
        assert ours.decode() == (repo / "dvc.yaml").read_text()


# What DVC takes, or refuses, and whether nbexp does.
FILES = {
    "stages:\n  a:\n    cmd: x\n    outs: [{a: {cache: false}, b: {push: false}}]\n": True,
    "stages: {a.b: {cmd: x}}\n": True,
    "stages: {a: {cmd: x, outs: [b: ]}}\n": False,
    "stages: {a: {cmd: x, deps: }}\n": False,
    "stages: {a: {cmd: x, dep: []}}\n": False,
    "stages: {a: {cmd: x, outs: [a: {cache: 'no'}]}}\n": False,
    "stages: {a: {cmd: x, params: [{p.yaml: lr}]}}\n": False,
    "stages: {a: {cmd: x, params: [{p.yaml: }, q, {r.yaml: []}]}}\n": True,
    "stages: {a: {cmd: x, plots: [{c: {x: a, header: false}}]}}\n": True,
    "stages: {a: {cmd: x}, a: {cmd: y}}\n": False,
    "stages: {1: {cmd: x}}\n": False,
    "stages: []\n": False,
    "plots: [a.csv: , {T: {x: {a: b}, y: {a: [b, c]}}}]\nstages: {a: {cmd: x}}\n": True,
    "plots: [{a: {header: true}}]\n": False,
    "metrics: {a: b}\n": False,
    "artifacts: {m: {type: x}}\n": False,
    "": True,
}


@pytest.mark.parametrize("text", FILES)
def test_dvc_and_nbexp_agree_on_what_a_dvc_yaml_can_be(repo, dvc, text):
    shutil.rmtree(repo / ".dvc", ignore_errors=True)
    for path, data in config.new_project().items():
        (repo / path).parent.mkdir(exist_ok=True)
        (repo / path).write_bytes(data)
    (repo / "dvc.yaml").write_text(text)
    assert (dvc("stage", "list", cwd=repo, code=None).returncode == 0) is FILES[text]
    if FILES[text]:
        dvc_yaml.parse(text.encode(), "dvc.yaml")
    else:
        with pytest.raises(ProjectFileError):
            dvc_yaml.parse(text.encode(), "dvc.yaml")


def test_an_experiments_ref_is_read(project, dvc, git):
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message=all", cwd=project)
    dvc("exp", "save", "--quiet", "-n", "low-lr", cwd=project)
    head = git("rev-parse", "HEAD", cwd=project)
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps/", cwd=project).splitlines()
    found = [ref_names.parse(ref) for ref in refs]
    assert ref_names.ExpRef(head, "low-lr") in found
    assert all(
        ref.startswith("refs/exps/exec/") for ref, exp in zip(refs, found, strict=True) if not exp
    )
    assert ref_names.ExpRef(head, "low-lr").ref in refs


def test_a_config_that_dvc_wrote_is_read(repo, dvc, home, tmp_path):
    dvc("init", "--quiet", cwd=repo)
    for arguments in (
        ("remote", "add", "-d", "store", "s3://bucket/path"),
        ("remote", "modify", "store", "endpointurl", "http://localhost:9000/?a=b,c#d"),
        ("remote", "modify", "--local", "store", "secret_access_key", 'it\'s, 100% "secret" # x'),
        ("remote", "add", "near", "../away"),
        ("remote", "add", "Here", "~/data"),
        ("cache", "dir", "../shared cache"),
        ("config", "cache.type", "hardlink,copy"),
        ("config", "cache.shared", "group"),
        ("config", "core.autostage", "true"),
        ("config", "--global", "exp.git_remote", "upstream"),
        ("config", "--local", "exp.auto_push", "true"),
    ):
        dvc(*arguments, cwd=repo)
    found = config.read(repo / ".dvc")
    assert found.remote == "store"
    assert found.remotes == {
        "store": {
            "url": "s3://bucket/path",
            "endpointurl": "http://localhost:9000/?a=b,c#d",
            "secret_access_key": 'it\'s, 100% "secret" # x',
        },
        "near": {"url": str(tmp_path / "away")},
        "here": {"url": str(home / "data")},
    }
    assert str(found.cache_dir) == dvc("cache", "dir", cwd=repo).stdout.strip()
    assert found.cache_dir == tmp_path / "shared cache"
    assert found.cache_types == ("hardlink", "copy")
    assert found.shared_cache
    assert found.is_on("core", "autostage")
    assert found.exp_git_remote == "upstream"
    assert found.exp_auto_push


@pytest.mark.parametrize(
    "text",
    ["[core]\nremot = x\n", "[nbexp]\nhints = false\n", "[core]\nautostage = yes\n", "x\n",
     "[cache]\ntype = magic\n", "[core]\n[core]\n"],
)  # fmt: skip
def test_dvc_and_nbexp_refuse_the_same_configs(repo, dvc, text):
    dvc("init", "--quiet", cwd=repo)
    (repo / ".dvc/config").write_text(text)
    assert "config" in dvc("status", cwd=repo, code=251).stderr
    with pytest.raises(ProjectFileError, match=r"^\.dvc/config, line \d: "):
        config.read(repo / ".dvc")


def test_the_same_files_are_left_alone(repo, dvc):
    dvc("init", "--quiet", cwd=repo)
    rules = {
        ".dvcignore": "# c\n*.tmp\n!keep.tmp\nbuild/\n/top.txt\ndoc/*.txt\na/**/z\n  spaced  \n[ab].x\n\\#h\n",
        "sub/.dvcignore": "!*.tmp\n/only.txt\nbuild\n",
        "sub/deep/.dvcignore": "*.csv\n!/sub.csv\n",
    }
    names = [
        "a.tmp", "keep.tmp", "build", "top.txt", "doc/x.txt", "doc/y/x.txt", "a/z", "a/b/c/z", "spaced", "a.x",
        "c.x", "#h", "plain", "sub/a.tmp", "sub/only.txt", "sub/deep/only.txt", "sub/build", "sub/top.txt",
        "sub/deep/a.csv", "sub/deep/sub.csv", "sub/deep/x/sub.csv", "sub/b.csv", "folder/build/x.txt",
        "inner/file",
    ]  # fmt: skip
    for path, text in rules.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)
    for name in names:
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text("x")
    (repo / "inner" / ".dvc").mkdir()
    theirs = dvc("check-ignore", *names, cwd=repo, code=None).stdout.splitlines()
    ours = ignore.DvcIgnore.on_disk(repo)
    assert [name for name in names if ours.matches(name)] == theirs
    assert len(theirs) > 10
