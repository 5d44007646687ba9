"""How the plot of a stage is drawn, changed in a dvc.yaml: no byte changes that the change does not ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.errors import NotFound, UsageError, nearest
from nbexp.formats import values
from nbexp.formats.dvc_yaml import PLOT_KEYS
from nbexp.formats.editing import make
from nbexp.formats.editing.steps import Step, Where


def changed(
    data: bytes,
    path: str,
    stage: str,
    out: str,
    given: Mapping[str, object],
    unset: Sequence[str] | None = None,
) -> bytes:
    """The file with these properties of an output, which is a plot from then on.

    Parameters
    ----------
    stage, out
        As the file spells them.
    unset
        Properties that are taken away; with any, even none, the output has to be a plot already.

    Raises
    ------
    NotFound
        The plot lacks a property to take away. Nothing was written.
    UsageError
        The output is no plot, and a property is to be taken away; or the stage comes from a template.
    """
    tree = values.parse(data, path)
    bucket, at, options = _found(tree, stage, out, path)
    own = [key for key in options if key in PLOT_KEYS]
    if unset is not None and bucket != "plots":
        raise UsageError(
            f"`{out}` is no plot: it is among the {bucket} of stage `{stage}`. Nothing was written.",
            f"`nbexp plots modify {out} -x step` makes it one.",
        )
    for name in unset or ():
        if name not in own:
            near = nearest(name, own) or ", ".join(own)
            raise NotFound(
                f"The plot `{out}` has no property `{name}`. Nothing was written.",
                f"it has {near}." if near else None,
            )
    kept = {key: value for key, value in options.items() if key not in (unset or ())}
    new: dict[str, object] = {**kept, **given}
    item: object = {out: new} if new else out
    where: Where = ("stages", stage, bucket, at)
    if bucket == "plots":
        return make(data, path, [*_in_place(where, out, options, new, item)])
    plots = tree["stages"][stage].get("plots")  # type: ignore[index]  # `_found` went the same way
    place: Where = ("stages", stage, "plots")
    return make(
        data,
        path,
        [
            Step("insert", (*place, len(plots)), item) if plots else Step("insert", place, [item]),
            Step("remove", where if _has_others(tree, stage, bucket) else where[:-1]),
        ],
    )


def _in_place(
    where: Where, out: str, old: Mapping[str, object], new: Mapping[str, object], item: object
) -> Sequence[Step]:
    if not old or not new:
        return [] if old == new else [Step("set", where, item)]
    steps = [
        Step("set" if key in old else "insert", (*where, out, key), value)
        for key, value in new.items()
        if key not in old or old[key] != value
    ]
    return steps + [Step("remove", (*where, out, key)) for key in old if key not in new]


def _found(tree: object, stage: str, out: str, path: str) -> tuple[str, int, Mapping[str, object]]:
    """In which list of the stage the output is, at which place, with which options."""
    stages = tree.get("stages") if isinstance(tree, Mapping) else None
    definition = stages.get(stage) if isinstance(stages, Mapping) else None
    lists = definition if isinstance(definition, Mapping) else {}
    for bucket in ("plots", "metrics", "outs"):
        for at, item in enumerate(lists.get(bucket) or ()):
            if item == out:
                return bucket, at, {}
            if isinstance(item, Mapping) and out in item and len(item) == 1:
                return bucket, at, item[out] or {}
    raise UsageError(
        f"`{out}` of stage `{stage}` comes from a template of {path}. Nothing was written.",
        f"edit the template in {path}.",
    )


def _has_others(tree: object, stage: str, bucket: str) -> bool:
    return len(tree["stages"][stage][bucket]) > 1  # type: ignore[index]  # `_found` went the same way
