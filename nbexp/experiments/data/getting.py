"""`get`: a file or directory of any revision of any repository, from Git, the cache or a remote; nothing is run.

A repository on this disk is read where it is, its cache as well. Of one elsewhere the one commit is fetched that is
asked for, without its history, into a folder that is removed again.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import GitError, NotFound, StoreError, UsageError, nearest
from nbexp.events import Emit, ignore
from nbexp.experiments import place
from nbexp.experiments.data import Site
from nbexp.experiments.data.used import Used, used
from nbexp.formats import config as configs
from nbexp.formats import dvc_yaml
from nbexp.formats.config import Config, Value
from nbexp.formats.dvc_file import SUFFIX
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline.graph import DVC_YAML, is_inside
from nbexp.results import Result
from nbexp.store import remotes, transfer
from nbexp.store.cache import Cache

_RELATIVE_TO_SCP = r"[^/:@\s]+@[^/:\s]+:.+"  # git@host:group/project.git


@frozen
class Got(Result):
    """What was got of which revision, and where it is now; `url` is set where only that was asked for."""

    path: str
    rev: str
    out: str
    files: int
    size_bytes: int
    url: str | None = None

    def __repr__(self) -> str:
        return f"<Got {self.path} of {self.rev[:7]}>"

    def __str__(self) -> str:
        if self.url is not None:
            return f"{self.url}\n"
        count = "1 file" if self.files == 1 else f"{self.files:,} files"
        return f"{self.out}: {count}, {self.size_bytes:,} bytes, of {self.rev[:7]}\n"

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "path": self.path,
            "rev": self.rev,
            "out": self.out,
            "files": self.files,
            "size": self.size_bytes,
        }
        return found if self.url is None else {"url": self.url}


@frozen
class Wish:
    """What is to be got, and how; as the options of `dvc get`."""

    path: str
    rev: str | None = None
    out: str | None = None
    remote: str | None = None
    force: bool = False
    jobs: int | None = None
    show_url: bool = False
    config: str | None = None
    remote_config: Mapping[str, str] = {}


class _Found:
    """One file of what was asked for: a blob of Git, or an object of the cache."""

    def __init__(self, size: int | None, *, oid: str = "", mode: str = "", md5: str = "") -> None:
        self.size, self.oid, self.mode, self.md5 = size, oid, mode, md5


def is_repository(word: str, here: Path) -> bool:
    """Whether a word is the URL or path of a repository, and no name of a revision."""
    return (
        "://" in word
        or re.fullmatch(_RELATIVE_TO_SCP, word) is not None
        or os.path.isabs(word)
        or word.startswith(("./", "../", "~"))
        or word in (".", "..")
        or (here / word).is_dir()
    )


def get(site: Site | None, repo: str | None, wish: Wish, here: Path, emit: Emit = ignore) -> Got:
    """Bring what is wished from a repository, None being the project's own, and put it at `out`.

    Raises
    ------
    NotFound
        No such repository, revision, path or artifact.
    UsageError
        Something is at `out` already, and `force` is off.
    StoreError
        Neither cache nor remote has the data. Nothing was written.
    """
    with _opened(site, repo, wish, here) as (source, rev, config):
        path, outs = _resolved(source, rev, wish.path, emit)
        if wish.show_url:
            return Got(path, rev, "", 0, 0, url=_url(config(), outs, path, wish))
        target = _target(path, wish, here)
        files = _files(source, rev, path, outs, config, wish, emit)
        size = _write(source, files, target)
        return Got(path, rev, os.path.relpath(target, here), len(files), size)


# Whose it is --------------------------------------------------------------------------------------


@contextmanager
def _opened(
    site: Site | None, repo: str | None, wish: Wish, here: Path
) -> Iterator[tuple[Site, str, Callable[[], Config]]]:
    """The repository, the revision's commit, and what gives the configuration of its remotes."""
    if repo is None:
        if site is None:
            raise NotFound(
                f"{here} is in no project.", "`nbexp get REPOSITORY PATH` gets from one elsewhere."
            )
        rev = site.rev_of(wish.rev or "HEAD")
        yield site, rev, lambda: _with(site.config(), wish, here)
        return
    with tempfile.TemporaryDirectory(prefix="nbexp-get-") as scratch:
        folder = Path(scratch)
        local = Path(os.path.expanduser(repo.removeprefix("file://")))
        git = (
            Git.find(here / local) if "://" not in str(local) and (here / local).is_dir() else None
        )
        if git is not None:
            root = _root_of(git, here / local)
            rev = _named(git, wish.rev or "HEAD", repo)
            folder_of_config = root / ".dvc"
        else:
            git, rev = _fetched(repo, wish.rev, folder / "repository", here)
            root = git.root
            folder_of_config = (here / local / ".dvc") if (here / local).is_dir() else root / ".dvc"
        prefix = place.prefix(git, root)
        top = f"{prefix}/" if prefix else ""
        committed = git.read(f"{rev}:{top}.dvc/config") or b""
        found = configs.read(folder_of_config, home=place.home(), committed=committed)
        is_here = root.joinpath(".dvc").is_dir()
        own = Cache(
            found.cache_dir if is_here else folder / "cache",
            link_types=("reflink", "copy"),
            state=folder / "state.db",
        )
        try:
            yield (
                Site(git, own, root, ".", prefix, lambda name: _named(git, name, repo)),
                rev,
                lambda: _with(found, wish, here),
            )
        finally:
            own.close()
            git.close()


def _root_of(git: Git, folder: Path) -> Path:
    """The project's root around a folder of a repository; its top where there is none."""
    folder = folder.resolve()
    for one in (folder, *folder.parents):
        if (one / ".dvc").is_dir() or one == git.root.resolve():
            return one
    return git.root


def _named(git: Git, name: str, repo: str) -> str:
    found = git.resolve(name)
    if found is None:
        tips = {ref.rpartition("/")[2]: rev for ref, rev in git.refs("refs/exps/").items()}
        found = tips.get(name)
    if found is None:
        raise NotFound(f"{remotes.without_secrets(repo)} has no revision `{name}`.")
    return found


def _fetched(repo: str, rev: str | None, folder: Path, here: Path) -> tuple[Git, str]:
    """A new repository with the one commit of another that is asked for."""
    git = Git.init(folder)
    address = repo if "://" in repo or re.fullmatch(_RELATIVE_TO_SCP, repo) else str(here / repo)
    shown = remotes.without_secrets(repo)
    names = [rev or "HEAD"]
    try:
        if rev is not None and not re.fullmatch(r"[0-9a-f]{40}", rev):
            listed = git.run("ls-remote", "--", address).decode().splitlines()
            refs = {ref: oid for oid, _, ref in (line.partition("\t") for line in listed)}
            names = [
                ref
                for ref in refs
                if ref in (rev, f"refs/heads/{rev}", f"refs/tags/{rev}")
                or (ref.startswith("refs/exps/") and ref.rpartition("/")[2] == rev)
            ] or [oid for oid in refs.values() if len(rev) >= 4 and oid.startswith(rev)]
            if not names:
                near = nearest(rev, [ref.rpartition("/")[2] for ref in refs])
                raise NotFound(
                    f"{shown} has no revision `{rev}`.", f"did you mean `{near}`?" if near else None
                )
        git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", address, names[0])
    except GitError as error:
        said = remotes.without_secrets(error.message)
        raise NotFound(
            f"{shown} cannot be fetched: {said}", "check the address, and whether you may read it."
        ) from None
    found = git.resolve("FETCH_HEAD")
    if found is None:
        raise NotFound(f"{shown} has no revision `{names[0]}`.")
    return git, found


def _with(config: Config, wish: Wish, here: Path) -> Config:
    """The configuration with what the options add: a file, and settings of the remote."""
    known: dict[str, dict[str, Value]] = {n: {**found} for n, found in config.remotes.items()}
    values: dict[str, dict[str, Value]] = {n: {**found} for n, found in config.values.items()}
    if wish.config is not None:
        path = here / wish.config
        try:
            more = configs.read(
                path.parent / ".no-dvc", home=place.home(), committed=path.read_bytes()
            )
        except OSError as error:
            raise NotFound(f"{wish.config} cannot be read: {error.strerror}.") from None
        for one, more_settings in more.remotes.items():
            known.setdefault(one, {}).update(more_settings)
        for section, found in more.values.items():
            values.setdefault(section, {}).update(found)
    if wish.remote_config:
        name = wish.remote or values.get("core", {}).get("remote")
        if not isinstance(name, str):
            raise UsageError(
                "`--remote-config` is for a remote, and there is no default one.",
                "`--remote NAME` names it.",
            )
        known.setdefault(name, {}).update(wish.remote_config)
    return Config(config.dvc_dir, values, known)


# What it is ---------------------------------------------------------------------------------------


def _resolved(site: Site, rev: str, path: str, emit: Emit) -> tuple[str, list[Used]]:
    """The path that is meant, artifacts looked up, and the outputs of the revision."""
    plain = path.rstrip("/") or "."
    top = f"{site.prefix}/" if site.prefix else ""
    outs = used(site, revs=[rev], workspace=False, emit=emit)
    # As one would type it here, else as the project has it.
    for wanted in dict.fromkeys(
        (posixpath.normpath(posixpath.join(site.here, plain)), posixpath.normpath(plain))
    ):
        if wanted == "." or site.git.info(f"{rev}:{top}{wanted}") is not None:
            return wanted, outs
        if any(is_inside(wanted, one.path) or is_inside(one.path, wanted) for one in outs):
            return wanted, outs
    artifact = _artifact(site, rev, path)
    if artifact is not None:
        return artifact, outs
    raise _unknown(rev, path, outs)


def _artifact(site: Site, rev: str, name: str) -> str | None:
    """The path of an artifact: `NAME`, or `sub/dvc.yaml:NAME`, or `sub:NAME`."""
    file, colon, last = name.rpartition(":")
    if colon and posixpath.basename(file) != DVC_YAML:
        file = posixpath.join(file, DVC_YAML)
    file = posixpath.normpath(posixpath.join(site.here, file or DVC_YAML))
    for folder in dict.fromkeys((file, DVC_YAML)):
        read = place.files_of(site.git, site.prefix, rev)
        data = read(folder)
        if data is None:
            continue
        found = dvc_yaml.parse(data, folder, read).artifacts.get(last)
        path = found.get("path") if found is not None else None
        if isinstance(path, str):
            return posixpath.normpath(posixpath.join(posixpath.dirname(folder), path))
    return None


def _unknown(rev: str, path: str, outs: Sequence[Used]) -> NotFound:
    known = [one.path for one in outs]
    near = nearest(path, known)
    hint = f"did you mean `{near}`?" if near else None
    if hint is None and known:
        hint = f"its data: {', '.join(sorted(known)[:5])}."
    return NotFound(f"{rev[:7]} has no `{path}`, as a file, as data or as an artifact.", hint)


def _files(
    site: Site,
    rev: str,
    path: str,
    outs: Sequence[Used],
    config: Callable[[], Config],
    wish: Wish,
    emit: Emit,
) -> dict[str, _Found]:
    """Every file at the path or below it, by its path there (empty: the path itself), all of them at hand."""
    top = f"{site.prefix}/" if site.prefix else ""
    found: dict[str, _Found] = {}
    tree = site.git.tree(rev, prefix="" if path == "." and not top else f"{top}{path}".rstrip("./"))
    for name, entry in tree.items():
        inner = name.removeprefix(top)
        # Of a directory DVC brings what is in it, and not the files that say where that comes from.
        is_record = inner.endswith(SUFFIX) or posixpath.basename(inner) == DVC_YAML
        if is_inside(inner, path) and entry.mode != "160000" and (inner == path or not is_record):
            found[_below(inner, path)] = _Found(None, oid=entry.oid, mode=entry.mode)
    mine = [one for one in outs if is_inside(path, one.path) or is_inside(one.path, path)]
    parts = {
        one.md5: [posixpath.relpath(path, one.path)]
        for one in mine
        if one.path != path and is_inside(path, one.path)
    }
    _bring(site, mine, parts, config, wish, emit)
    for one in mine:
        if not one.md5.endswith(".dir"):
            found[_below(one.path, path)] = _Found(one.locked.size, md5=one.md5)
            if one.locked.isexec:
                found[_below(one.path, path)].mode = "100755"
            continue
        for item in site.cache.items(one.md5):
            inner = posixpath.join(one.path, item.relpath)
            if is_inside(inner, path):
                found[_below(inner, path)] = _Found(None, md5=item.md5)
    if not found:
        raise _unknown(rev, wish.path, outs)
    return found


def _bring(
    site: Site,
    mine: Sequence[Used],
    parts: Mapping[str, Sequence[str]],
    config: Callable[[], Config],
    wish: Wish,
    emit: Emit,
) -> None:
    """Have the objects in the cache."""
    lacking = [
        one
        for one in mine
        if not (site.cache.has(one.md5) if one.md5 not in parts else _has_part(site, one, parts))
    ]
    groups: dict[str | None, list[str]] = {}
    for one in lacking:
        groups.setdefault(wish.remote or one.out.remote, []).append(one.md5)
    for name, md5s in groups.items():
        remote = remotes.open(config(), name)
        done = transfer.fetch(md5s, remote, site.cache, parts=parts, jobs=wish.jobs, emit=emit)
        remote.close()
        gone = [one.path for one in lacking if one.md5 in {*done.missing, *done.failed}]
        if done.missing or done.failed:
            why = next(iter(done.failed.values()), "it is not there")
            raise StoreError(
                f"{remote.url} cannot give {gone[0] if gone else wish.path}: {why}. "
                "Nothing was written.",
                "who has the data can `nbexp data push` it.",
            )


def _has_part(site: Site, one: Used, parts: Mapping[str, Sequence[str]]) -> bool:
    if not site.cache.has_object(one.md5):
        return False
    return all(
        site.cache.has(item.md5)
        for item in site.cache.items(one.md5)
        if any(is_inside(item.relpath, part) for part in parts[one.md5])
    )


def _below(path: str, folder: str) -> str:
    return "" if path == folder else posixpath.relpath(path, folder)


def _url(config: Config, outs: Sequence[Used], path: str, wish: Wish) -> str:
    for one in outs:
        if one.path == path:
            remote = remotes.open(config, wish.remote or one.out.remote)
            return f"{remote.url.rstrip('/')}/files/md5/{one.md5[:2]}/{one.md5[2:]}"
    raise UsageError(f"`{path}` is no data of its own, so no storage has it under one URL.")


# Where it goes ------------------------------------------------------------------------------------


def _target(path: str, wish: Wish, here: Path) -> Path:
    name = posixpath.basename(path) if path != "." else "repository"
    target = here / (wish.out or name)
    if wish.out is not None and target.is_dir():
        target /= name
    if os.path.lexists(target) and not wish.force:
        raise UsageError(
            f"{os.path.relpath(target, here)} is there already. Nothing was written.",
            "`-o PATH` puts it elsewhere, `--force` replaces what is there.",
        )
    return target


def _write(site: Site, files: Mapping[str, _Found], target: Path) -> int:
    """Make the file or directory beside its place, then move it there; its size."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = filesystem.temporary(target.parent)
    oids = [one.oid for one in files.values() if one.oid]
    blobs = dict(zip(oids, site.git.read_many(oids), strict=True))
    size = 0
    try:
        for inner, one in files.items():
            place_of = fresh / inner if inner else fresh
            place_of.parent.mkdir(parents=True, exist_ok=True)
            if one.md5:
                filesystem.link(site.cache.path(one.md5), place_of, ["reflink", "copy"])
            elif one.mode == "120000":
                os.symlink(os.fsdecode(blobs[one.oid] or b""), place_of)
                continue
            else:
                place_of.write_bytes(blobs[one.oid] or b"")
            if one.mode == "100755":
                place_of.chmod(place_of.stat().st_mode | 0o111)
            size += place_of.stat().st_size
        if os.path.lexists(target):
            filesystem.remove(target)
        os.replace(fresh, target)
    finally:
        filesystem.remove(fresh)
    return size
