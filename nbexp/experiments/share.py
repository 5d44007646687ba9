"""Experiments to a Git remote and back, with the data they point to.

    push    what the remote lacks: data first, then every ref in one `git push`, then notes
    pull    every ref in one `git fetch`, set aside until its data is here, then named in one transaction

So an experiment that can be seen is one that is whole. Killed anywhere, the same command moves the rest. How many
Git processes there are does not depend on how many experiments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nbexp.errors import (
    GitError,
    Interrupted,
    NbexpError,
    StoreError,
    UsageError,
    nearest,
)
from nbexp.events import Emit, Notice, Phase
from nbexp.experiments import alike, chains, git_remotes, naming, notes, shared_data, trash
from nbexp.experiments.selection import Revisions
from nbexp.experiments.shared_data import Missing, Wanted
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names
from nbexp.frozen import frozen
from nbexp.git.remote import GitRemote, Move, names, without_secrets
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.git import Git
    from nbexp.store.transfer import Transfer

_LISTED = 5  # paths that a message names


@frozen
class Asked:
    """What is to be shared, and how; the words of `push` and `pull`.

    Attributes
    ----------
    words
        Experiments by name, pattern or commit. The first may be the Git remote.
    git_remote
        The Git remote, where no word is it.
    everything
        All there are: here for a push, on the remote for a pull.
    """

    words: tuple[str, ...] = ()
    git_remote: str | None = None
    revisions: Revisions = Revisions()
    everything: bool = False
    force: bool = False
    data: Wanted = Wanted()

    @classmethod
    def of(
        cls,
        words: tuple[str, ...],
        git_remote: str | None,
        revisions: Revisions | None,
        *,
        everything: bool,
        force: bool,
        cache: bool,
        remote: str | None,
        jobs: int | None,
        run_cache: bool,
    ) -> Asked:
        """The same from the arguments of `Project.push` and `Project.pull`, whose words they are."""
        data = Wanted(cache, remote, jobs, run_cache)
        return cls(words, git_remote, revisions or Revisions(), everything, force, data)


@frozen
class Pushed(Result):
    """What a push did.

    Attributes
    ----------
    remote
        The Git remote, as for people.
    names
        The experiments whose refs it set there.
    up_to_date
        Those that were there.
    files, size_bytes
        What it stored in the data remote.
    left
        How many experiments are here alone.
    colleague
        What somebody else types to have them, with nbexp and with DVC; empty where nothing was pushed.
    """

    remote: str
    names: tuple[str, ...]
    up_to_date: tuple[str, ...]
    files: int
    size_bytes: int
    left: int
    colleague: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "remote": self.remote,
            "pushed": list(self.names),
            "up_to_date": list(self.up_to_date),
            "files": self.files,
            "size": self.size_bytes,
            "not_pushed": self.left,
            "colleague": list(self.colleague),
        }


@frozen
class PulledExperiments(Result):
    """What a pull did; `files` and `size_bytes` are what it brought into the cache.

    `others` is how many experiments the remote has besides those that were asked for.
    """

    remote: str
    names: tuple[str, ...]
    up_to_date: tuple[str, ...]
    files: int
    size_bytes: int
    others: int

    def to_json(self) -> dict[str, object]:
        return {
            "remote": self.remote,
            "pulled": list(self.names),
            "up_to_date": list(self.up_to_date),
            "files": self.files,
            "size": self.size_bytes,
            "others": self.others,
        }


def push(site: Site, asked: Asked, emit: Emit) -> Pushed:
    """See `Project.push`."""
    git = site.git
    remote, words = git_remotes.find(site, asked.words, asked.git_remote)
    ours = git_remotes.local(git)
    wanted = _to_push(site, remote, asked, words, ours)
    damaged = naming.without_commit(git, wanted)
    wanted = {ref: rev for ref, rev in wanted.items() if ref not in damaged}
    emit(Phase(f"asking {remote.shown}"))
    theirs = git_remotes.experiments(remote)
    chains = {ref: chain(git, ref, rev) for ref, rev in wanted.items()}
    diverged = [
        ref
        for ref in wanted
        if ref in theirs and theirs[ref] not in chains[ref] and not asked.force
    ]
    ready = {ref: rev for ref, rev in wanted.items() if ref not in diverged}
    total, lacking = shared_data.store(site, {ref: chains[ref] for ref in ready}, asked.data, emit)
    crash_point("share.stored")
    moves = [
        Move(ref, rev, theirs.get(ref))
        for ref, rev in ready.items()
        if theirs.get(ref) != rev and ref not in lacking
    ]
    replaced = {
        move.ref: move.old for move in moves if move.old and move.old not in chains[move.ref]
    }
    git_remotes.keep(git, remote, replaced)
    if moves:
        emit(Phase(f"pushing {_refs(len(moves))} to {remote.shown}"))
    refused = remote.push(moves) if moves else {}
    crash_point("share.pushed")
    done = [move.ref for move in moves if move.ref not in refused]
    unsent = _send_notes(git, remote, [ready[ref] for ref in ready if ref not in refused])
    there = {**theirs, **{ref: ready[ref] for ref in done}}
    same = [ref for ref in ready if theirs.get(ref) == ready[ref]]
    result = Pushed(
        remote.shown,
        _names(done),
        _names(same),
        _count(total),
        total.size_bytes if total else 0,
        sum(there.get(ref) != rev for ref, rev in ours.items()),
        _for_colleagues(site, remote, _names([*done, *same])),
    )
    _raise_if_left(result, remote, diverged, refused, lacking, total)
    if damaged:
        name = ref_names.name_of(damaged[0])
        raise GitError(
            f"{naming.shown(damaged)} {_are(damaged)} not pushed: there is no commit behind "
            f"{'it' if len(damaged) == 1 else 'them'}."
            f"{_others_were([*result.names, *result.up_to_date], 'pushed')}",
            f"`nbexp remove {name}` takes the name away.",
        )
    if unsent is not None:
        raise unsent
    return result


@contextmanager
def stopping(verb: str) -> Iterator[None]:
    """Ctrl-C inside says what it leaves."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "Stopped. What has arrived stays, and no experiment shows that is not whole.",
            f"the same `nbexp {verb}` goes on from there.",
        ) from None


def automatically(site: Site, ref: str, git_remote: str, emit: Emit) -> None:
    """Push an experiment as soon as it is recorded, with the run cache as DVC does; what is in the way is told.

    Stopped by Ctrl-C, it stays recorded and is told as well.
    """
    name = ref_names.name_of(ref)
    asked = Asked((ref,), git_remote, data=Wanted(run_cache=True))
    try:
        done = push(site, asked, emit)
    except NbexpError as error:
        emit(
            Notice(
                f"{name} is recorded, and was not pushed by itself: {error.message}",
                f"`nbexp push {name}` tries again.",
            )
        )
    except KeyboardInterrupt:
        emit(Notice(f"{name} is recorded, and not pushed.", f"`nbexp push {name}` goes on."))
    else:
        emit(Notice(f"pushed {name} to {done.remote}, as `exp.auto_push` says."))


def pull(site: Site, asked: Asked, emit: Emit) -> PulledExperiments:
    """See `Project.pull`."""
    git = site.git
    remote, words = git_remotes.find(site, asked.words, asked.git_remote)
    emit(Phase(f"asking {remote.shown}"))
    theirs, has_notes = git_remotes.look(remote)
    wanted = _to_pull(site, remote, asked, words, theirs)
    ours = git_remotes.local(git)
    new = {ref: rev for ref, rev in wanted.items() if ours.get(ref) != rev}
    if new:
        emit(Phase(f"fetching {_refs(len(new))} from {remote.shown}"))
    brought = _fetch_refs(git, remote, new)
    crash_point("share.fetched")
    wanted |= brought
    chains = {ref: chain(git, ref, rev) for ref, rev in wanted.items()}
    diverged = [
        ref for ref in brought if ref in ours and ours[ref] not in chains[ref] and not asked.force
    ]
    ready = {ref: rev for ref, rev in wanted.items() if ref not in diverged}
    total, lacking = shared_data.bring(site, {ref: chains[ref] for ref in ready}, asked.data, emit)
    crash_point("share.brought")
    done = [ref for ref in brought if ref in ready]
    _name(git, {ref: brought[ref] for ref in done}, ours, chains)
    result = PulledExperiments(
        remote.shown,
        _names(done),
        _names([ref for ref in ready if ref not in brought]),
        _count(total),
        total.size_bytes if total else 0,
        len(theirs) - len(wanted),
    )
    if has_notes and ready:
        _told("pulled", lambda: notes.receive(git, remote.place, ready.values()))
    if diverged:
        raise GitError(
            f"{_plural(len(diverged), 'experiment')} of {remote.shown} {_are(diverged)} not pulled: another of "
            f"the same name is here: {naming.shown(diverged)}.{_others_were(done, 'pulled')}",
            f"`nbexp pull {_word(site, remote)}{naming.shown(diverged[:1])} --force` replaces it, the "
            "old one goes to the trash; `nbexp rename` keeps both.",
        )
    _raise_if_incomplete(remote, lacking, total)
    return result


# Which ----------------------------------------------------------------------------------------------


def _to_push(
    site: Site, remote: GitRemote, asked: Asked, words: Sequence[str], ours: Mapping[str, str]
) -> dict[str, str]:
    if asked.everything or asked.revisions.all_commits:
        # A remote that was mistyped is a word as well: all must not go to another one.
        naming.chosen(words, ours, site.git.head(), otherwise=_no_remote(site))
        return dict(ours)
    found: dict[str, str] = {}
    if words:
        known = names(site.git)
        near = nearest(words[0], known) if len(words) > 1 and words[0] not in ours else None
        rest = " ".join(words[1:])
        hint = f"did you mean the remote, `nbexp push {near} {rest}`?" if near else None
        found |= naming.chosen(words, ours, site.git.head(), otherwise=hint)
    if not asked.revisions.is_default or (not words and _names_a_remote(asked, words)):
        found |= asked.revisions.experiments(site.git, ours)
    elif not words:
        recorded = notes.read(site.git, ours.values())
        found |= {ref: rev for ref, rev in ours.items() if recorded.get(rev, {}).get("star")}
        found |= alike.newest(site, ours)
        if not found:
            raise _which(site, remote, ours)
    return found


def _no_remote(site: Site) -> str:
    """The hint where a word that names no remote stands before `--all`."""
    return f"there are these Git remotes: {', '.join(names(site.git))}."


def _names_a_remote(asked: Asked, words: Sequence[str]) -> bool:
    """Whether something was said, if only the remote: then the experiments of HEAD are meant, as by DVC."""
    return asked.git_remote is not None or len(words) < len(asked.words)


def _to_pull(
    site: Site, remote: GitRemote, asked: Asked, words: Sequence[str], theirs: Mapping[str, str]
) -> dict[str, str]:
    if asked.everything or asked.revisions.all_commits:
        known = _no_remote(site)
        naming.chosen(words, theirs, site.git.head(), where=remote.shown, otherwise=known)
        return dict(theirs)
    found: dict[str, str] = {}
    if words:
        here = {ref_names.name_of(ref) for ref in git_remotes.local(site.git)}
        only_here = next((word for word in words if word in here), None)
        hint = f"it is here alone: `nbexp push {only_here}` shares it." if only_here else None
        found |= naming.chosen(words, theirs, site.git.head(), where=remote.shown, otherwise=hint)
    if not words or not asked.revisions.is_default:
        found |= asked.revisions.experiments(site.git, theirs)
    return found


def _which(site: Site, remote: GitRemote, ours: Mapping[str, str]) -> UsageError:
    if not ours:
        return UsageError("There is no experiment to push yet.", "`nbexp run` makes one.")
    infos = site.git.info_many([f"{rev}^{{commit}}" for rev in ours.values()])
    sound = [ref for ref, info in zip(ours, infos, strict=True) if info is not None]
    times = dict(zip(sound, site.git.commits([ours[ref] for ref in sound]), strict=True))
    recent = sorted(sound, key=lambda ref: (-times[ref].time_s, ref))
    return UsageError(
        f"Which experiments? None is starred, and the workspace equals none of the {len(ours)} here: "
        f"{naming.shown(recent)}. Nothing was pushed.",
        f"`nbexp push {ref_names.name_of(recent[0]) if recent else 'NAME'}` pushes one, "
        f"`nbexp push {remote.shown}` those of the present commit, `nbexp push --all` all.",
    )


def chain(git: Git, ref: str, rev: str) -> list[str]:
    """The commits of an experiment from its tip down to its baseline, that left out: one, but for checkpoints."""
    parsed = ref_names.parse(ref)
    commits = chains.chain(git, parsed.baseline if parsed else "", rev)
    return [one.rev for one in reversed(commits)]


# Refs -----------------------------------------------------------------------------------------------


def _fetch_refs(git: Git, remote: GitRemote, wanted: Mapping[str, str]) -> dict[str, str]:
    """Fetch refs to where they wait, and what they turned out to hold."""
    waiting = {ref: git_remotes.INCOMING + ref.removeprefix(ref_names.PREFIX) for ref in wanted}
    remote.fetch(waiting)
    found = git.refs(git_remotes.INCOMING) if wanted else {}
    return {ref: found.get(waiting[ref], rev) for ref, rev in wanted.items()}


def _name(
    git: Git,
    refs: Mapping[str, str],
    before: Mapping[str, str],
    chains: Mapping[str, Sequence[str]],
) -> None:
    """Give fetched experiments their names, all or none, and take away where any of them waited."""
    changes: list[tuple[str, str | None, str | None]] = []
    known = git.refs(trash.PREFIX) if refs else {}
    for ref, rev in refs.items():
        old = before.get(ref)
        if old is not None and old not in chains[ref]:
            kept = trash.ref_of(ref, old)
            changes += [(kept, old, None)] if kept not in known else []
        changes.append((ref, rev, old))
    # What a killed pull left waiting goes as well.
    changes += [(ref, None, None) for ref in git.refs(git_remotes.INCOMING)]
    git.update_refs(changes)


def _send_notes(git: Git, remote: GitRemote, revs: Sequence[str]) -> GitError | None:
    """Bring what is recorded about experiments to the remote; why that was not possible."""
    recorded = [*notes.read(git, revs)]
    if not recorded:
        return None
    try:
        _told("pushed", lambda: notes.send(git, remote.place, recorded))
    except GitError as error:
        return error
    return None


def _told(word: str, move: Callable[[], object]) -> None:
    """Move notes; an error says that the experiments themselves have arrived."""
    try:
        move()
    except GitError as error:
        raise GitError(
            f"The experiments are {word}, what is recorded about them (tags, notes, command lines) is not: "
            f"{without_secrets(error.message)}",
            "the same command again brings it.",
        ) from error


# What it came to ------------------------------------------------------------------------------------


def _raise_if_left(
    result: Pushed,
    remote: GitRemote,
    diverged: Sequence[str],
    refused: Mapping[str, str],
    lacking: Missing,
    total: Transfer | None,
) -> None:
    """Whatever did not arrive is an error that says so, after all else has arrived."""
    rest = _others_were([*result.names, *result.up_to_date], "pushed")
    if refused:
        why = next(iter(refused.values()))
        raise GitError(
            f"{remote.shown} refused {naming.shown(refused)}: {why}.{rest}",
            f"their data is there; `nbexp push {remote.shown} "
            f"{ref_names.name_of(next(iter(refused)))}` tries again.",
        )
    if lacking:
        failed = total.failed if total else {}
        why = f": {_first(failed)}" if failed else ", which neither cache nor remote has"
        raise StoreError(
            f"{naming.shown(lacking)} {_are(lacking)} not pushed for want of {_paths(lacking)}{why}.{rest}",
            "the same push again moves what is missing."
            if failed
            else "`nbexp push --no-cache` pushes without data.",
        )
    if diverged:
        raise GitError(
            f"{naming.shown(diverged)} {_are(diverged)} not pushed: {remote.shown} has another "
            f"{'one' if len(diverged) == 1 else 'of each'} of that name on the same commit.{rest}",
            f"`nbexp push {remote.shown} {ref_names.name_of(diverged[0])} --force` replaces it there; "
            f"`nbexp rename {ref_names.name_of(diverged[0])} NEW` keeps both.",
        )


def _raise_if_incomplete(remote: GitRemote, lacking: Missing, total: Transfer | None) -> None:
    if not lacking:
        return
    failed = total.failed if total else {}
    why = _first(failed) if failed else "neither cache nor remote has it"
    raise StoreError(
        f"{naming.shown(lacking)} came from {remote.shown} without {_paths(lacking)}: {why}.",
        f"who has the data: `nbexp push {ref_names.name_of(next(iter(lacking)))}`, and pull again; "
        "`nbexp pull --no-cache` is for Git's part alone.",
    )


def _first(failed: Mapping[str, str]) -> str:
    """Why the first of them did not move, to be a part of a sentence."""
    return next(iter(failed.values())).rstrip(".")


def _for_colleagues(site: Site, remote: GitRemote, pushed: Sequence[str]) -> tuple[str, ...]:
    if not pushed:
        return ()
    what = " ".join(pushed)
    place = without_secrets(remote.url) if remote.place not in names(site.git) else remote.place
    return (f"%exp pull {_word(site, remote)}{what}", f"dvc exp pull {place} {what}")


def _word(site: Site, remote: GitRemote) -> str:
    """The remote as a word before experiments, and nothing where it is the one that is taken anyway."""
    return "" if remote.place == site.config().exp_git_remote else f"{remote.shown} "


def _names(refs: Iterable[str]) -> tuple[str, ...]:
    return tuple(ref_names.name_of(ref) for ref in refs)


def _count(total: Transfer | None) -> int:
    return total.moved if total else 0


def _refs(count: int) -> str:
    return _plural(count, "ref")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _are(some: Sequence[str] | Mapping[str, object]) -> str:
    return "is" if len(some) == 1 else "are"


def _others_were(done: Sequence[str], word: str) -> str:
    if not done:
        return ""
    return f" {'One other was' if len(done) == 1 else f'{len(done):,} others were'} {word}."


def _paths(lacking: Missing) -> str:
    paths = list(dict.fromkeys(path for paths in lacking.values() for path in paths))
    more = f" and {len(paths) - _LISTED:,} more" if len(paths) > _LISTED else ""
    return ", ".join(paths[:_LISTED]) + more
