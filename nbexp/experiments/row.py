"""What one commit, or the workspace, says of itself: params, metrics, deps and outs, as a row of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from nbexp.formats import values
from nbexp.frozen import brief, field, frozen, replace
from nbexp.results import strict

Kind = Literal["workspace", "baseline", "experiment"]
What = Literal["params", "metrics"]


@frozen
class FileError:
    """Why a params or metrics file could not be read; `type` is the name DVC gives it."""

    type: str
    msg: str

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file, as of a commit on which nothing ran yet."""
        return self.type == "FileNotFoundError"


@frozen
class Data:
    """What one commit, or the workspace, says of itself.

    `params` and `metrics` map a file (relative to the project's root) to its tree or to why there is
    none; `deps` and `outs` map a path to DVC's fields about it.
    """

    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    deps: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    outs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Whether they say the same, wherever it was read from."""
        if not isinstance(other, Data):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("params", "metrics", "deps", "outs")
        )

    def __hash__(self) -> int:
        return hash((tuple(self.params), tuple(self.metrics), tuple(self.deps), tuple(self.outs)))

    def flat(self, what: What) -> dict[tuple[str, str], object]:
        """Leaves by file and dotted key; files that could not be read are left out."""
        known: dict[str, dict[tuple[str, str], object]] = vars(self).setdefault("_flat", {})
        found = known.get(what)
        if found is None:
            # A table asks for every cell of it: once is enough.
            found = known[what] = {
                (path, key): value
                for path, tree in getattr(self, what).items()
                if not isinstance(tree, FileError)
                for key, value in values.flatten(tree).items()
            }
        return found

    def json_text(self) -> str:
        """The fields of DVC's JSON, without the braces around them."""
        trees = {
            what: {path: wrapped(tree) for path, tree in getattr(self, what).items()}
            for what in ("params", "metrics")
        }
        whole = {**trees, "deps": dict(self.deps), "outs": dict(self.outs), "meta": {}}
        return json.dumps(strict(whole), ensure_ascii=False, default=str)[1:-1]


class Stored(Data):
    """What the index has of a commit: its JSON is there, its trees are parsed when one is asked for."""

    def __init__(self, text: str, *, is_strict: bool) -> None:
        known = vars(self)
        known["_text"] = text
        known["_is_strict"] = is_strict

    def __getattr__(self, name: str) -> Any:
        if name not in ("params", "metrics", "deps", "outs"):
            raise AttributeError(name)
        whole = json.loads("{" + vars(self)["_text"] + "}")
        for what in ("params", "metrics"):
            whole[what] = {
                path: FileError(**tree["error"]) if "error" in tree else tree["data"]
                for path, tree in whole[what].items()
            }
        del whole["meta"]
        vars(self).update(whole)
        return vars(self)[name]

    def json_text(self) -> str:
        known = vars(self)
        return str(known["_text"]) if known["_is_strict"] else super().json_text()


@frozen
class Row:
    """One line of the table.

    Attributes
    ----------
    rev
        40 hex digits, or "workspace".
    name
        The experiment's, branch's or tag's.
    data
        What it says; None where `error` says why not.
    state
        "done", or why there is no result: "failed", "interrupted", "pruned", "queued", "running".
    executor
        What DVC's JSON says of who ran it; None for a run in the workspace.
    earlier
        The commits of a chain of checkpoints below the tip, newest first.
    labels
        `tags`, `star` and `note`, as far as there are any.
    is_detached
        Of a baseline: no branch, tag or remote branch leads to it any more.
    is_head
        Of a baseline that a filter would leave out: it stands only for the experiments below it.
    step
        The number of the commit in its experiment's chain of checkpoints; None where there is no chain.
    steps
        How many checkpoints the experiment has.
    is_step
        It stands for a checkpoint, below its experiment.
    dvc_data
        What DVC's JSON, CSV and Markdown have in place of `data`: of a task of its queue that failed, the baseline's
        metrics as well.
    """

    __repr__ = brief

    rev: str
    name: str | None
    kind: Kind
    data: Data | None
    baseline: str | None = None
    created_s: int | None = None
    state: str = "done"
    error: str | None = None
    error_type: str = "ProjectFileError"
    executor: Mapping[str, object] | None = field(default=None, hash=False)
    earlier: tuple[Row, ...] = ()
    labels: Mapping[str, object] = field(default_factory=dict, hash=False)
    is_detached: bool = False
    is_head: bool = False
    step: int | None = None
    steps: int = 0
    is_step: bool = False
    dvc_data: Data | None = None

    @classmethod
    def stored(
        cls,
        rev: str,
        name: str,
        baseline: str,
        created_s: int,
        labels: Mapping[str, object],
        text: str,
    ) -> Row:
        """A finished experiment of which the index has strict JSON; there may be ten thousand.

        What it says becomes an object when it is asked for, which to show it as JSON does not take.
        """
        row = object.__new__(cls)
        row.__dict__.update(
            {
                "rev": rev,
                "name": name,
                "kind": "experiment",
                "baseline": baseline,
                "created_s": created_s,
                "labels": labels,
                "_stored": text,
            }
        )
        return row

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Data:
            text = self.__dict__.get("_stored")
            if name != "data" or text is None:
                raise AttributeError(name)
            data = self.__dict__["data"] = Stored(text, is_strict=True)
            return data

    @property
    def params(self) -> dict[str, object]:
        return _by_column(self.data.flat("params")) if self.data else {}

    @property
    def metrics(self) -> dict[str, object]:
        return _by_column(self.data.flat("metrics")) if self.data else {}

    @property
    def state_words(self) -> str:
        """Its state for people; of what was stopped between two checkpoints, the last one."""
        if self.steps and self.state in ("interrupted", "running"):
            return f"{self.state} at step {self.step}"
        return self.state

    @property
    def step_rows(self) -> tuple[Row, ...]:
        """A row of each checkpoint, the newest first, called as one addresses it: `low-lr@3`."""
        own = (self,) if self.steps and self.steps == self.step else ()
        return tuple(
            replace(
                one,
                name=f"{self.name}@{one.step}",
                state="done",
                earlier=(),
                labels={},
                steps=0,
                is_step=True,
            )
            for one in (*own, *self.earlier)
            if one.step is not None
        )


def _by_column(flat: Mapping[tuple[str, str], object]) -> dict[str, object]:
    names = [key for _, key in flat]
    return {
        key if names.count(key) == 1 else f"{file}:{key}": value
        for (file, key), value in flat.items()
    }


def wrapped(tree: object) -> dict[str, object]:
    """A tree, or why there is none, as DVC's JSON has it."""
    if isinstance(tree, FileError):
        return {"error": {"type": tree.type, "msg": tree.msg}}
    return {"data": tree}
