"""The cache that nbexp writes and the one that DVC writes, and each restoring from the other's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.store.cache import Cache, Hash

LINKS = ["copy", "hardlink", "symlink", "reflink,copy"]


def make_data(project: Path) -> None:
    """What makes trouble: nested, empty, linked, executable, and names that JSON escapes."""
    data = project / "data"
    for relpath, text in {
        "a.txt": "a\n", "B": "b\n", "sub/z": "z\n", "sub/deep/er/x": "x\n", "sub-1": "1\n", "empty": "",
        "same as a": "a\n", "\u00e9 \u4e2d \U0001f600.txt": "e\n", 'quo"te\\': "q\n", "run.sh": "#!/bin/sh\n",
        "crlf": "a\r\nb\r\n",
    }.items():  # fmt: skip
        (data / relpath).parent.mkdir(parents=True, exist_ok=True)
        (data / relpath).write_text(text, encoding="utf-8", newline="")
    (data / "run.sh").chmod(0o755)
    (data / "link").symlink_to("a.txt")
    (data / "folder link").symlink_to("sub")
    (data / "nothing in it").mkdir()
    (project / "program").write_text("#!/bin/sh\necho\n", encoding="utf-8")
    (project / "program").chmod(0o755)
    (project / "model").write_bytes(bytes(range(256)) * 5000)
    (project / "hollow").write_bytes(b"")


PATHS = ("data", "program", "model", "hollow")


def listing(folder: Path) -> dict[str, tuple[str, int, bytes]]:
    """Every file by path: what it is, its mode, and its bytes or where it points to."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            target = Path(os.readlink(path))
            place = os.path.relpath(target, folder) if target.is_absolute() else str(target)
            found[path.relative_to(folder).as_posix()] = ("link", 0, place.encode())
        elif path.is_file():
            kind = "shared" if status.st_nlink > 1 else "own"
            mode = stat.S_IMODE(status.st_mode)
            found[path.relative_to(folder).as_posix()] = (kind, mode, path.read_bytes())
    return found


def objects(project: Path) -> dict[str, tuple[int, bytes]]:
    return {
        name: (mode, data) for name, (_, mode, data) in listing(project / ".dvc" / "cache").items()
    }


def workspace(project: Path) -> dict[str, tuple[str, int, bytes]]:
    every = listing(project)
    return {name: every[name] for name in every if name.split("/")[0] in PATHS}


def cache_of(project: Path, links: str) -> Cache:
    return Cache(
        project / ".dvc" / "cache",
        link_types=links.split(","),
        state=project / ".dvc" / "tmp" / "nbexp" / "state.db",
    )


@pytest.mark.parametrize("links", LINKS)
def test_both_tools_store_and_restore_the_same(repo, tmp_path, dvc, links: str) -> None:
    theirs = repo
    ours = tmp_path / "ours"
    dvc("init", "--quiet", cwd=theirs)
    dvc("config", "cache.type", links, cwd=theirs)
    make_data(theirs)
    make_data(ours)
    dvc("add", "--quiet", *PATHS, cwd=theirs)
    cache = cache_of(ours, links)
    hashes = {name: cache.add(ours / name) for name in PATHS}
    # A program may be run through its link, and so its object has that mode too.
    if links in ("hardlink", "symlink"):
        assert workspace(ours)["program"] == workspace(theirs)["program"]
    assert objects(ours) == objects(theirs)

    for name in PATHS:
        pointer = (theirs / f"{name}.dvc").read_text(encoding="utf-8")
        found = hashes[name]
        assert f"- md5: {found.md5}\n  size: {found.size}\n" in pointer
        assert (f"\n  nfiles: {found.nfiles}\n" in pointer) == found.is_dir
        assert ("\n  isexec: true\n" in pointer) == found.isexec

    # Into an empty workspace, then over one that was edited.
    for project in (theirs, ours):
        for name in PATHS:
            filesystem.remove(project / name)
    for _ in range(2):
        dvc("checkout", "--quiet", "--force", cwd=theirs)
        for name in PATHS:
            assert cache.checkout(hashes[name], ours / name) is True
        assert workspace(ours) == workspace(theirs)
        assert [cache.checkout(hashes[name], ours / name) for name in PATHS] == [False] * len(PATHS)
        for project in (theirs, ours):
            edit(project)
    # What nbexp stored satisfies DVC, and what DVC stored nbexp.
    for name in PATHS:
        filesystem.remove(theirs / name)
    filesystem.remove(theirs / ".dvc" / "cache")
    theirs_cache = cache_of(theirs, links)
    for name in PATHS:
        assert not theirs_cache.has(hashes[name])
    for name in PATHS:
        cache.checkout(hashes[name], ours / name)
        theirs_cache.add(ours / name)
    dvc("checkout", "--quiet", cwd=theirs)
    assert {name: theirs_cache.hash(theirs / name) for name in PATHS} == hashes
    # Comes last: it verifies the program's object for its odd mode, and takes the right to run it away.
    assert dvc("status", cwd=theirs).stdout == "Data and pipelines are up to date.\n"


def edit(project: Path) -> None:
    """What a user does between two checkouts; files that are links are replaced, not written through."""
    for relpath in ("data/a.txt", "data/sub/z", "model"):
        filesystem.remove(project / relpath)
        (project / relpath).write_text("edited", encoding="utf-8")
    filesystem.remove(project / "data" / "sub" / "deep")
    filesystem.remove(project / "hollow")
    (project / "data" / "extra").mkdir()
    (project / "data" / "extra" / "x").write_text("x", encoding="utf-8")
    filesystem.remove(project / "program")


def test_dvc_finds_out_about_an_object_that_nbexp_found_damaged(repo, dvc) -> None:
    """Until nbexp looked at it, its mode made DVC believe in it."""
    dvc("init", "--quiet", cwd=repo)
    (repo / "x").write_bytes(b"content")
    dvc("add", "--quiet", "x", cwd=repo)
    cache = cache_of(repo, "copy")
    wanted = Hash("9a0364b9e99bb480dd25e1f0284c8555", 7)
    path = cache.path(wanted.md5)
    path.chmod(0o644)
    path.write_bytes(b"conten")
    path.chmod(0o444)
    assert dvc("status", cwd=repo).stdout == "Data and pipelines are up to date.\n"
    (repo / "out").write_bytes(b"")
    with pytest.raises(StoreError, match="is damaged: 6 bytes, 7 were stored"):
        cache.checkout(wanted, repo / "out")
    assert "not in cache" in dvc("status", cwd=repo).stdout
