"""The data of experiments to and from data remotes, and which of them lack some.

Which remote: as DVC the one that `.dvc/config` of the experiment's commit names (formats.md 0, fact 7), and where that
names none the one of today, of which DVC would say nothing and leave the data behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import ProjectFileError
from nbexp.events import Emit, Notice
from nbexp.experiments import place
from nbexp.formats import config as configs
from nbexp.formats.config import Config
from nbexp.frozen import frozen, replace

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.experiments.data.used import Used
    from nbexp.store.transfer import Transfer


@frozen
class Wanted:
    """Whether data moves at all (`cache`), to or from which data remote (None: each commit's own), and how."""

    cache: bool = True
    remote: str | None = None
    jobs: int | None = None
    run_cache: bool = False


class Missing(dict[str, list[str]]):
    """Experiments that lack data, each with the paths."""


def store(
    site: Site, chains: Mapping[str, Sequence[str]], asked: Wanted, emit: Emit
) -> tuple[Transfer | None, Missing]:
    """Store the data of experiments; those of which something is in neither cache nor remote, with what."""
    from nbexp.experiments.data import sharing

    total: Transfer | None = None
    lost: dict[str, str] = {}
    for config, every in _needs(site, chains, asked, emit):
        needed = _reachable(config, sharing.to_push(every), asked.remote, emit, "pushed")
        kept = [one for one in every if one in needed or not one.out.push]
        name = asked.remote or config.remote
        done = sharing.store(
            site,
            config,
            kept,
            name,
            emit,
            jobs=asked.jobs,
            run_cache=asked.run_cache and name is not None,
        )
        total = done if total is None else sharing.added(total, done)
        if done.missing or done.failed:
            labels = sharing.labelled(site, needed)
            lost.update({md5: labels.get(md5, md5) for md5 in (*done.missing, *done.failed)})
    return total, _whose(site, chains, lost)


def bring(
    site: Site, chains: Mapping[str, Sequence[str]], asked: Wanted, emit: Emit
) -> tuple[Transfer | None, Missing]:
    """Fetch the data of experiments into the cache; those that lack something, with what."""
    from nbexp.experiments.data import sharing

    total: Transfer | None = None
    lost: dict[str, str] = {}
    for config, every in _needs(site, chains, asked, emit):
        needed = _reachable(config, every, asked.remote, emit, "pulled")
        name = asked.remote or config.remote
        done = sharing.bring(
            site,
            config,
            needed,
            name,
            emit,
            jobs=asked.jobs,
            run_cache=asked.run_cache and name is not None,
        )
        total = done if total is None else sharing.added(total, done)
        if done.missing or done.failed:
            # What no push ever stores cannot be missed.
            labels = sharing.labelled(site, sharing.to_push(needed))
            gone = [md5 for md5 in (*done.missing, *done.failed) if md5 in labels]
            lost.update({md5: labels[md5] for md5 in gone})
    return total, _whose(site, chains, lost)


def _needs(
    site: Site, chains: Mapping[str, Sequence[str]], asked: Wanted, emit: Emit
) -> Iterator[tuple[Config, list[Used]]]:
    """What the commits need, by the configuration that says where it is."""
    from nbexp.experiments.data.used import used

    if not asked.cache or not chains:
        return
    revs = list(dict.fromkeys(rev for revs in chains.values() for rev in revs))
    top = f"{site.prefix}/" if site.prefix else ""
    infos = site.git.info_many([f"{rev}:{top}.dvc/config" for rev in revs])
    groups: dict[str, list[str]] = {}
    for rev, info in zip(revs, infos, strict=True):
        groups.setdefault(info[0] if info else "", []).append(rev)
    for oid, group in groups.items():
        config = config_of(site, site.git.read(oid) if oid else None, emit)
        if asked.remote is not None and asked.remote not in config.remotes:
            from nbexp.store import remotes

            remotes.settings_of(config, asked.remote)  # says which there are
        yield config, used(site, revs=group, workspace=False, emit=emit)


def config_of(site: Site, committed: bytes | None, emit: Emit) -> Config:
    """The configuration of a commit, with the remotes of today's where the commit has none of that name.

    A password that is kept here for a remote is not sent to where somebody's commit says the remote is.
    """
    today = site.config()
    if committed is None:
        return today
    dvc, home = site.root / ".dvc", place.home()
    try:
        theirs = configs.read(dvc, home=home, committed=committed)
        own = configs.read(dvc, home=home, committed=b"")
    except ProjectFileError as error:
        emit(Notice(f"A commit's configuration is left out: {error.message}"))
        return today
    found = dict(today.remotes)
    for name, settings in theirs.remotes.items():
        if "url" not in settings:
            continue
        is_known = today.remotes.get(name, {}).get("url") == settings["url"]
        ours = own.remotes.get(name, {})
        found[name] = settings if is_known else {k: v for k, v in settings.items() if k not in ours}
    default = theirs.remote or today.remote
    core = {key: value for key, value in today.values.get("core", {}).items() if key != "remote"}
    if default is not None:
        core["remote"] = default
    return replace(theirs, values={**today.values, "core": core}, remotes=found)


def _reachable(
    config: Config, needed: Sequence[Used], asked: str | None, emit: Emit, word: str
) -> list[Used]:
    """What has a remote to go to or come from; that there is none for the rest is told."""
    if asked is not None or config.remote is not None:
        return list(needed)
    homeless = [one for one in needed if one.out.remote is None]
    if homeless:
        known = sorted(config.remotes)
        if known:
            hint = f"`nbexp remote default {known[0]}` makes one the default; `-r {known[0]}` is for this time."
        else:
            hint = "`nbexp remote add -d store /path/or/url` adds one; then the same command again."
        emit(Notice(f"Only Git's part is {word}: there is no default remote for data.", hint))
    return [one for one in needed if one.out.remote is not None]


def _whose(site: Site, chains: Mapping[str, Sequence[str]], lost: Mapping[str, str]) -> Missing:
    """The experiments that need one of the objects, each with what it is called."""
    from nbexp.experiments.data.needed import hashes_of

    found = Missing()
    if not lost:
        return found
    top = f"{site.prefix}/" if site.prefix else ""
    for ref, revs in chains.items():
        hashes = hashes_of(site.git, site.cache, revs, top, lambda _rev, _error: None)
        for md5 in [md5 for md5 in hashes if md5.endswith(".dir") and md5 not in lost]:
            if site.cache.has_object(md5):
                hashes.update(item.md5 for item in site.cache.items(md5))
        gone = sorted({lost[md5] for md5 in hashes if md5 in lost})
        if gone:
            found[ref] = gone
    return found
