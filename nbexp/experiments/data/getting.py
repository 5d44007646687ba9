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

from nbexp.errors import GitError, NotFound, UsageError
from nbexp.events import Emit, ignore
from nbexp.experiments import elsewhere, place
from nbexp.experiments.data import Site
from nbexp.experiments.data.located import Contents
from nbexp.experiments.data.used import Used
from nbexp.formats import config as configs
from nbexp.formats.config import Config, Value
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.results import Result
from nbexp.store import remotes
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


def asked(source: str, repo: str | None, rev: str | None, here: Path) -> tuple[str | None, str]:
    """Repository, None being the project's own, and revision, where `source` may be either of them."""
    if repo is None and is_repository(source, here):
        return source, rev or "HEAD"
    return repo, source


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
    with opened(site, repo, wish, here) as (source, rev, config):
        contents = Contents(source, rev, config, remote=wish.remote, jobs=wish.jobs, emit=emit)
        path = contents.resolved(wish.path)
        if wish.show_url:
            return Got(path, rev, "", 0, 0, url=_url(config(), contents.outs, path, wish))
        target = _target(path, wish, here)
        # Of a directory DVC brings what is in it, and not the files that say where that comes from.
        located = contents.locate(path, records=False)
        contents.bring(located)
        size = contents.write(located, target)
        return Got(path, rev, os.path.relpath(target, here), len(located.files), size)


# Whose it is --------------------------------------------------------------------------------------


@contextmanager
def opened(
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
        git = None
        if "://" not in str(local) and (here / local).is_dir():
            git = Git.bare(here / local) or Git.find(here / local)
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
    try:
        name = rev or "HEAD"
        if rev is not None and not re.fullmatch(r"[0-9a-f]{40}", rev):
            name = elsewhere.meant(elsewhere.listed(git, address), rev, repo)
        git.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", address, name)
    except GitError as error:
        raise elsewhere.unreachable(repo, error) from None
    found = git.resolve("FETCH_HEAD")
    if found is None:
        raise NotFound(f"{remotes.without_secrets(repo)} has no revision `{name}`.")
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
