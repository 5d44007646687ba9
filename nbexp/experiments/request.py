"""Request: what is asked of a run beside its values; a run in place or beside the files, the queue and sweeps take the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from nbexp.errors import UsageError
from nbexp.experiments import spec as specs
from nbexp.experiments.spec import Spec, Which
from nbexp.formats.interpolation import Read
from nbexp.frozen import field, frozen
from nbexp.overrides import Override
from nbexp.pipeline import schedule
from nbexp.pipeline.context import How, OnFailure


@frozen
class Request:
    """The words are those of `Spec`.

    Attributes
    ----------
    name
        None: two words are drawn.
    copies
        Untracked or ignored files and folders of which a run beside the user's files gets a copy, relative to `here`.
    hydra
        Compose params.yaml where the project's config says so.
    """

    here: str = "."
    targets: tuple[str, ...] = ()
    name: str | None = None
    message: str | None = None
    force: bool = False
    new: bool = False
    how: How = field(default_factory=How)
    which: Which = field(default_factory=Which)
    pull: bool = False
    run_cache: bool = True
    copies: tuple[str, ...] = ()
    hydra: bool = True

    def spec(
        self,
        root: Path,
        baseline: str,
        taken: Mapping[str, str],
        overrides: Sequence[Override],
        *,
        name: str | None = None,
        composed: str | None = None,
        untouched: str = "Nothing was run.",
        read: Read | None = None,
    ) -> Spec:
        """The spec of one point, as `specs.make` makes it; `name` where it is another one than the request's."""
        return specs.make(
            root,
            baseline,
            taken,
            here=self.here,
            targets=self.targets,
            overrides=overrides,
            name=self.name if name is None else name,
            message=self.message,
            force=self.force,
            new=self.new,
            how=self.how,
            which=self.which,
            pull=self.pull,
            run_cache=self.run_cache,
            copies=self.copies,
            hydra=self.hydra,
            composed=composed,
            untouched=untouched,
            read=read,
        )


class RunOptions(TypedDict, total=False):
    """The keywords that `Project.run`, `Queue.add` and `Project.sweep` have in common, with one meaning; `of` has the defaults."""

    targets: Sequence[str]
    name: str | None
    message: str | None
    force: bool
    new: bool
    single_item: bool
    pipeline: bool
    all_pipelines: bool
    recursive: bool
    downstream: bool
    force_downstream: bool
    pull: bool
    allow_missing: bool
    on_failure: OnFailure
    run_cache: bool
    copy_paths: Sequence[str]
    hydra: bool


def options(named: Mapping[str, object]) -> RunOptions:
    """Those of the named values that are run options.

    The public methods spell each option out, for who reads their help; that they pass all of them on is said by
    `options(locals())`, and a test holds their signatures against `of`.
    """
    known = RunOptions.__annotations__
    return cast("RunOptions", {name: value for name, value in named.items() if name in known})


def of(
    here: str,
    resources: Mapping[str, object],
    *,
    targets: Sequence[str] = (),
    name: str | None = None,
    message: str | None = None,
    force: bool = False,
    new: bool = False,
    single_item: bool = False,
    pipeline: bool = False,
    all_pipelines: bool = False,
    recursive: bool = False,
    downstream: bool = False,
    force_downstream: bool = False,
    pull: bool = False,
    allow_missing: bool = False,
    on_failure: OnFailure = "stop",
    run_cache: bool = True,
    copy_paths: Sequence[str] = (),
    hydra: bool = True,
    jobs: int = 1,
) -> Request:
    """The request that options come to.

    Parameters
    ----------
    here
        The directory that paths are named from, relative to the project.
    resources
        The project's setting: what there is for stages that run at once.
    jobs
        How many stages of one experiment run at once.

    Raises
    ------
    UsageError
        No stage could run at all.
    """
    made = how(
        resources,
        force_downstream=force_downstream,
        allow_missing=allow_missing,
        on_failure=on_failure,
        jobs=jobs,
    )
    which = Which(pipeline, all_pipelines, recursive, downstream=downstream, single=single_item)
    return Request(
        here, tuple(targets), name, message, force, new, made, which, pull, run_cache,
        tuple(copy_paths), hydra,
    )  # fmt: skip


def how(
    resources: Mapping[str, object],
    *,
    force: bool = False,
    force_downstream: bool = False,
    allow_missing: bool = False,
    on_failure: OnFailure = "stop",
    jobs: int = 1,
    commit: bool = True,
) -> How:
    """In what manner stages are to run, in a project whose setting `resources` is.

    Raises
    ------
    UsageError
        No stage could run at all.
    ProjectFileError
        The setting is wrong.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} stages at once is none. Nothing was run.", "`nbexp run -j 2`")
    return How(
        force=force,
        force_downstream=force_downstream,
        allow_missing=allow_missing,
        commit=commit,
        on_failure=on_failure,
        jobs=jobs,
        totals=schedule.amounts(resources, "`resources`", "nbexp.toml"),
    )
