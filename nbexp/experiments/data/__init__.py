"""Tracked data: what `project.data` offers. Each method is a few lines onto a file of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.events import Emit, Phase, ignore
from nbexp.experiments import place
from nbexp.experiments.workspace import InPlace
from nbexp.formats import config
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.context import Context
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Disk, Inspector
from nbexp.store.cache import Cache

if TYPE_CHECKING:
    from nbexp.experiments.data.adding import Added, Committed
    from nbexp.experiments.data.changes import DataDiff, DataStatus
    from nbexp.experiments.data.garbage import Garbage
    from nbexp.experiments.data.restoring import CheckedOut, Unprotected
    from nbexp.experiments.data.sharing import CloudStatus, Moved, Pulled

Paths = str | os.PathLike[str]


@frozen
class Site:
    """The project whose data it is; `here` is the user's directory relative to the root.

    `rev_of` gives the commit that a name means: an experiment, branch, tag or rev. `open_notebooks` gives those that
    must not be rewritten, by their path from the top of the work tree.
    """

    git: Git
    cache: Cache
    root: Path
    here: str
    prefix: str
    rev_of: Callable[[str], str]
    open_notebooks: Callable[[], Mapping[str, str]] = dict

    def graph(self) -> Graph:
        return graphs.load(self.root)

    def config(self) -> config.Config:
        return config.read(self.root / ".dvc", home=place.home())

    def narrating(self, text: str, emit: Emit) -> AbstractContextManager[None]:
        """While inside, `emit` is told how many files the cache has worked through."""
        return self.cache.narrating(lambda done, total: emit(Phase(text, done, total)))

    def workspace(self) -> InPlace:
        return InPlace(self.git, self.cache, self.root)

    def inspector(self) -> Inspector:
        meanings = place.GitMeanings(self.git, self.prefix, {})
        return Inspector(self.root, self.cache, Disk(self.root, {}), meanings)

    def context(self, workspace: InPlace, *, relink: bool = True) -> Context:
        """What stages need to be committed as they are; nothing is run."""
        return Context(
            root=self.root,
            cache=self.cache if relink else self.cache.copying,
            guard=workspace,
            ignores=place.GitIgnores(self.git, self.prefix),
            env={},
            run_dir=place.own_folder(self.root) / "runs" / workspace.uid,
            here=self.here,
        )


class TrackedData:
    """What one does with tracked data; get it as `project.data`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def add(
        self,
        *targets: Paths,
        out: Paths | None = None,
        glob: bool = False,
        commit: bool = True,
        force: bool = False,
        relink: bool = True,
        to_remote: bool = False,
        remote: str | None = None,
        jobs: int | None = None,
        notes: Mapping[str, object] | None = None,
        emit: Emit = ignore,
    ) -> Added:
        """Track files or directories: their bytes go into the cache, a `.dvc` file beside each says which.

        Killed half-way, the next command puts the workspace back; `undo` takes it back later.

        Parameters
        ----------
        targets
            Paths relative to the user's directory. A path inside a tracked directory updates that one.
        out
            Copy the one target there and track the copy.
        glob
            Targets may hold wildcards: `*`, `**`, `?`, `[…]`.
        commit
            False: only the `.dvc` files are written, `commit` stores the bytes later.
        force
            Replace what is at `out`.
        relink
            False: the files stay as they are even where `cache.type` asks for links.
        to_remote
            Send the data to `remote` (None: the default one) and not into the cache; `jobs` files at once. It
            need not be in the project, and what tracks it is written beside `out`, or here.
        notes
            `desc`, `type`, `labels` and `meta` for new `.dvc` files.

        Raises
        ------
        NotFound
            A target does not exist.
        UsageError
            A target is outside the project, tracked by Git, a pipeline's, or overlaps other data.
        StoreError
            It cannot be read or stored. Nothing was changed.
        """
        from nbexp.experiments.data import adding

        return adding.add(
            self._site,
            [os.fspath(target) for target in targets],
            emit,
            out=None if out is None else os.fspath(out),
            glob=glob,
            commit=commit,
            force=force,
            relink=relink,
            sent=adding.Sent(remote, jobs) if to_remote else None,
            notes=notes or {},
        )

    def checkout(
        self,
        *targets: Paths,
        with_deps: bool = False,
        recursive: bool = False,
        force: bool = False,
        relink: bool = False,
        allow_missing: bool = False,
        emit: Emit = ignore,
    ) -> CheckedOut:
        """Make tracked data and outputs what `.dvc` files and dvc.lock say, from the cache.

        Parameters
        ----------
        targets
            Outputs, paths in them, `.dvc` files or stages; none means all there are.
        force
            Overwrite edits that nothing holds; they go into an undo point first.
        relink
            Place unchanged files anew as well, by the link type of today.
        allow_missing
            What the cache lacks is no error.

        Raises
        ------
        StoreError
            Edits that nothing holds are in the way (nothing was changed), or the cache lacks data (all
            else was restored).
        """
        from nbexp.experiments.data import restoring

        return restoring.checkout(
            self._site,
            [os.fspath(target) for target in targets],
            emit,
            with_deps=with_deps,
            recursive=recursive,
            force=force,
            relink=relink,
            allow_missing=allow_missing,
        )

    def unprotect(self, *targets: Paths, emit: Emit = ignore) -> Unprotected:
        """Make linked files of data and outputs copies of their own, so that they may be edited in place."""
        from nbexp.experiments.data import restoring

        return restoring.unprotect(self._site, [os.fspath(target) for target in targets], emit)

    def commit(
        self,
        *targets: Paths,
        force: bool = False,
        with_deps: bool = False,
        recursive: bool = False,
        relink: bool = True,
        emit: Emit = ignore,
    ) -> Committed:
        """Store what tracked data and outputs hold now, and write it into `.dvc` files and dvc.lock.

        Parameters
        ----------
        force
            Also where something changed since it was last written there.

        Raises
        ------
        UsageError
            Something changed and `force` is off. Nothing was changed.
        """
        from nbexp.experiments.data import adding

        return adding.commit(
            self._site,
            [os.fspath(target) for target in targets],
            emit,
            force=force,
            with_deps=with_deps,
            recursive=recursive,
            relink=relink,
        )

    def status(
        self,
        *targets: Paths,
        granular: bool = False,
        untracked: bool = False,
        not_in_remote: bool = False,
        remote: str | None = None,
    ) -> DataStatus:
        """What changed between the last commit, the `.dvc` files and dvc.lock on disk, and the data itself.

        Parameters
        ----------
        granular
            Tell of the files inside directories as well.
        untracked
            Tell of files that neither Git nor DVC tracks.
        not_in_remote
            Ask `remote` (None: the default one), and tell of what it lacks.
        """
        from nbexp.experiments.data import changes

        return changes.status(
            self._site,
            [os.fspath(target) for target in targets],
            granular=granular,
            untracked=untracked,
            not_in_remote=not_in_remote,
            remote=remote,
        )

    def diff(
        self, old: str = "HEAD", new: str | None = None, *, targets: Sequence[Paths] = ()
    ) -> DataDiff:
        """The data added, deleted, modified and renamed from one commit to another (None: the workspace)."""
        from nbexp.experiments.data import changes

        return changes.diff(self._site, old, new, [os.fspath(target) for target in targets])

    def gc(
        self,
        *,
        workspace: bool = False,
        rev: str | None = None,
        num: int | None = None,
        all_branches: bool = False,
        all_tags: bool = False,
        all_commits: bool = False,
        all_experiments: bool = False,
        since: str | None = None,
        projects: Sequence[Paths] = (),
        not_in_remote: bool = False,
        cloud: bool = False,
        remote: str | None = None,
        jobs: int | None = None,
        skip_failed: bool = False,
        yes: bool = False,
        emit: Emit = ignore,
    ) -> Garbage:
        """What of the cache nothing needs, with sizes and where it came from; with `yes` it is removed for good.

        Besides what is asked for, everything that the workspace, any experiment (removed and failed ones as
        well), an undo point, a stash or another work tree needs is kept.

        Parameters
        ----------
        workspace, rev, num, all_branches, all_tags, all_commits, all_experiments, since
            Whose data is kept, as the options of `dvc gc`; at least one is needed. `num` counts commits from
            `rev` and from each branch; `since` is a date, `2026-01-31`.
        projects
            Other projects that share the cache.
        not_in_remote
            Of what is asked for, keep only what `remote` (None: the default one) lacks.
        cloud
            Collect in `remote` as well.
        skip_failed
            Go on where a commit's files cannot be read; their data is not kept then.

        Raises
        ------
        UsageError
            Nothing is named that is to be kept.
        StoreError
            What a commit needs cannot be told, or another work tree is busy. Nothing was removed.
        """
        from nbexp.experiments.data import garbage
        from nbexp.experiments.data.needed import Selection

        chosen = Selection(
            workspace, rev, num, all_branches, all_tags, all_commits, all_experiments, since
        )
        return garbage.collect(
            self._site,
            chosen,
            emit,
            projects=projects,
            skip_failed=skip_failed,
            yes=yes,
            elsewhere=garbage.Elsewhere(not_in_remote, cloud, remote, jobs),
        )

    def push(
        self,
        *targets: Paths,
        remote: str | None = None,
        jobs: int | None = None,
        all_branches: bool = False,
        all_tags: bool = False,
        all_commits: bool = False,
        with_deps: bool = False,
        recursive: bool = False,
        glob: bool = False,
        run_cache: bool = False,
        emit: Emit = ignore,
    ) -> Moved:
        """Store the objects of tracked data and outputs in a remote; only those move that it lacks.

        What has arrived stays, stopped or killed, and the next call moves the rest.

        Parameters
        ----------
        targets
            Outputs, paths in them, `.dvc` files or stages; none means all there are.
        remote
            Its name; None is each output's own one, else the default.
        jobs
            How many objects move at once.
        all_branches, all_tags, all_commits
            The objects that these commits need as well.
        glob
            Targets may hold wildcards.
        run_cache
            The entries of finished stages as well, with their outputs.

        Raises
        ------
        NotFound
            There is no such remote or target.
        StoreError
            Something could not be stored; all else was.
        """
        from nbexp.experiments.data import sharing

        asked = sharing.Asked(
            tuple(os.fspath(target) for target in targets),
            remote,
            jobs,
            all_branches,
            all_tags,
            all_commits,
            with_deps,
            recursive,
            glob,
        )
        return sharing.push(self._site, asked, emit, run_cache=run_cache)

    def fetch(
        self,
        *targets: Paths,
        remote: str | None = None,
        jobs: int | None = None,
        all_branches: bool = False,
        all_tags: bool = False,
        all_commits: bool = False,
        with_deps: bool = False,
        recursive: bool = False,
        run_cache: bool = False,
        max_size: int | None = None,
        types: Sequence[str] = (),
        emit: Emit = ignore,
    ) -> Moved:
        """Bring objects from a remote into the cache, each verified; the workspace is not touched.

        Parameters as of `push`, and

        Parameters
        ----------
        max_size
            Leave out files and directories of that many bytes or more.
        types
            Of "metrics" and "plots": these alone.

        Raises
        ------
        NotFound
            There is no such remote or target.
        StoreError
            Something could not be brought; all else was.
        """
        from nbexp.experiments.data import sharing

        asked = sharing.Asked(
            tuple(os.fspath(target) for target in targets),
            remote,
            jobs,
            all_branches,
            all_tags,
            all_commits,
            with_deps,
            recursive,
        )
        return sharing.fetch(
            self._site, asked, emit, run_cache=run_cache, max_size=max_size, types=types
        )

    def pull(
        self,
        *targets: Paths,
        remote: str | None = None,
        jobs: int | None = None,
        all_branches: bool = False,
        all_tags: bool = False,
        all_commits: bool = False,
        with_deps: bool = False,
        recursive: bool = False,
        glob: bool = False,
        run_cache: bool = False,
        force: bool = False,
        allow_missing: bool = False,
        emit: Emit = ignore,
    ) -> Pulled:
        """`fetch`, then `checkout`: parameters and errors are those of the two."""
        from nbexp.experiments.data import sharing

        asked = sharing.Asked(
            tuple(os.fspath(target) for target in targets),
            remote,
            jobs,
            all_branches,
            all_tags,
            all_commits,
            with_deps,
            recursive,
            glob,
        )
        return sharing.pull(
            self._site, asked, emit, run_cache=run_cache, force=force, allow_missing=allow_missing
        )

    def compare(
        self,
        *targets: Paths,
        remote: str | None = None,
        jobs: int | None = None,
        all_branches: bool = False,
        all_tags: bool = False,
        all_commits: bool = False,
        with_deps: bool = False,
        recursive: bool = False,
        emit: Emit = ignore,
    ) -> CloudStatus:
        """How the cache and a remote differ: paths that one of them lacks, or both; `status --cloud`."""
        from nbexp.experiments.data import sharing

        asked = sharing.Asked(
            tuple(os.fspath(target) for target in targets),
            remote,
            jobs,
            all_branches,
            all_tags,
            all_commits,
            with_deps,
            recursive,
        )
        return sharing.compare(self._site, asked, emit)
