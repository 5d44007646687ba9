"""A sweep as a form: what is asked of each param, what is wrong with the answers, and the command that they make.

Whoever shows the form (a panel of a notebook, a test) has nothing to decide: it sends the answers as JSON and shows what
comes back. The command is the one that somebody would type, so the form starts nothing that a line could not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from nbexp import overrides
from nbexp.experiments.polarity import polarity
from nbexp.frozen import field, frozen
from nbexp.overrides import spell
from nbexp.results import Result, strict
from nbexp.sweeps import space as spaces

How = Literal["keep", "values", "range", "interval", "choices"]
"""What becomes of a param: its value as it is, values that are typed, numbers step by step, any number between two, or some of the known values."""

Kind = Literal["whole number", "number", "text", "yes or no", "list", "nothing", "other"]

_WAYS: Mapping[str, tuple[How, ...]] = {
    "whole number": ("keep", "values", "range", "interval", "choices"),
    "number": ("keep", "values", "range", "interval", "choices"),
    "text": ("keep", "values", "choices"),
    "yes or no": ("keep", "choices", "values"),
    "list": ("keep", "values", "choices"),
    "nothing": ("keep", "values", "choices"),
    "other": ("keep", "values", "choices"),
}


@frozen
class Field:
    """A param as the form shows it.

    Attributes
    ----------
    name
        As typed before the `=` of `-S`.
    value
        Present in the params file.
    known
        The values that it has or had in an experiment; of `yes or no` both.
    problem
        Why no command can give it a value; None where one can.
    """

    name: str
    value: object = field(hash=False)
    known: tuple[object, ...] = field(default=(), hash=False)
    problem: str | None = None

    @property
    def kind(self) -> Kind:
        return kind_of(self.value)

    @property
    def ways(self) -> tuple[How, ...]:
        """What may become of it."""
        if self.problem is not None:
            return ("keep",)
        found = _WAYS[self.kind]
        return found if len(self.known) > 1 else tuple(one for one in found if one != "choices")

    @property
    def example(self) -> str:
        """Values that one might type."""
        return such_as(self)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "example": self.example,
            "kind": self.kind,
            "value": spell(self.value),
            "ways": list(self.ways),
            "known": [spell(one) for one in self.known],
            "problem": self.problem,
        }


@frozen
class Metric:
    """A metric that an experiment has; `direction` is which way its name says is better."""

    name: str
    direction: str | None = None


@frozen
class Picker:
    """Who picks points; `problem` is why it cannot."""

    name: str
    needs_metric: bool = False
    problem: str | None = None


@frozen
class Answer:
    """What is to become of one param; of the fields those count that belong to `how`."""

    how: How = "keep"
    values: str = ""
    start: str = ""
    stop: str = ""
    step: str = ""
    low: str = ""
    high: str = ""
    log: bool = False
    chosen: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {**vars(self), "chosen": list(self.chosen)}


@frozen
class Answers:
    """All of the form, as it was typed.

    Attributes
    ----------
    params
        By name; one that is missing is kept as it is.
    when
        "now", or "queue": it waits for `queue start`.
    new
        Run even what is recorded already.
    """

    params: Mapping[str, Answer] = field(default_factory=dict, hash=False)
    sampler: str = "grid"
    optuna: str = "tpe"
    pruner: str = "median"
    metric: str = ""
    direction: str = ""
    trials: str = ""
    repeat: str = "1"
    seed_param: str = ""
    jobs: str = "1"
    when: str = "now"
    name: str = ""
    new: bool = False

    @classmethod
    def from_json(cls, sent: Mapping[str, object]) -> Answers:
        """What a page sent, which may be anything."""
        params = sent.get("params")
        texts = {
            name: str(sent[name]).strip()
            for name in vars(cls())
            if name not in ("params", "new") and isinstance(sent.get(name), str | int | float)
        }
        found = {
            str(name): _answer(one)
            for name, one in (params.items() if isinstance(params, Mapping) else ())
            if isinstance(one, Mapping)
        }
        return cls(params=found, new=sent.get("new") is True, **texts)

    def to_json(self) -> dict[str, object]:
        params = {name: one.to_json() for name, one in self.params.items()}
        return {**vars(self), "params": params}


def _answer(sent: Mapping[str, object]) -> Answer:
    how = sent.get("how")
    chosen = sent.get("chosen")
    texts = {
        name: str(sent[name]).strip()
        for name in ("values", "start", "stop", "step", "low", "high")
        if isinstance(sent.get(name), str | int | float)
    }
    return Answer(
        how if how in ("values", "range", "interval", "choices") else "keep",
        log=sent.get("log") is True,
        chosen=tuple(str(one) for one in chosen) if isinstance(chosen, list) else (),
        **texts,
    )


@frozen
class Problem:
    """What is wrong with an answer.

    Attributes
    ----------
    where
        The param's name, the name of a field of `Answers` with a colon before it (`:trials`), or "" for the whole.
    is_advice
        It may be meant so, and nothing is held up.
    """

    where: str
    message: str
    hint: str | None = None
    is_advice: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "where": self.where,
            "message": self.message,
            "hint": self.hint,
            "advice": self.is_advice,
        }


@frozen
class Asked:
    """What the answers come to.

    Attributes
    ----------
    words
        The command without the program's name; empty where something is to be mended first.
    counting
        A sweep of as many runs, of which `--dry` says how many and how long; empty likewise.
    told
        By param, its values in words.
    """

    words: tuple[str, ...]
    counting: tuple[str, ...]
    problems: tuple[Problem, ...]
    told: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def line(self) -> str:
        """The command as a terminal takes it; "" where there is none yet."""
        return f"nbexp {joined(self.words)}" if self.words else ""


@frozen
class SweepForm(Result):
    """What a sweep can vary here, and what was asked for so far; `ask` says what answers come to.

    Attributes
    ----------
    seeds
        The params that are called like a seed.
    """

    fields: tuple[Field, ...]
    metrics: tuple[Metric, ...] = ()
    pickers: tuple[Picker, ...] = (Picker("grid"),)
    optuna_samplers: tuple[str, ...] = ()
    pruners: tuple[str, ...] = ()
    answers: Answers = field(default_factory=Answers)
    file: str = overrides.DEFAULT_FILE

    def __repr__(self) -> str:
        return f"<SweepForm: {len(self.fields)} params>"

    @property
    def seeds(self) -> tuple[str, ...]:
        return tuple(
            one.name
            for one in self.fields
            if one.problem is None
            and ":" not in one.name
            and one.name.rpartition(".")[2] in spaces.SEED_NAMES
        )

    def ask(self, answers: Answers | None = None) -> Asked:
        """What the answers come to: a command, or what is to be mended."""
        from nbexp.sweeps.form import asking

        return asking.asked(self, self.answers if answers is None else answers)

    def to_json(self) -> dict[str, object]:
        whole = {
            "file": self.file,
            "fields": [one.to_json() for one in self.fields],
            "metrics": [{"name": one.name, "direction": one.direction} for one in self.metrics],
            "samplers": [
                {"name": one.name, "needs_metric": one.needs_metric, "problem": one.problem}
                for one in self.pickers
            ],
            "optuna_samplers": list(self.optuna_samplers),
            "pruners": list(self.pruners),
            "seeds": list(self.seeds),
            "answers": self.answers.to_json(),
            "line": self.ask().line,
        }
        found = strict(whole)
        assert isinstance(found, dict)
        return found


def kind_of(value: object) -> Kind:
    """What a value is, in the words of the form."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, int):
        return "whole number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list | tuple) else "other"


def direction_of(metric: str, better: Mapping[str, str] | None = None) -> str | None:
    """`minimize` or `maximize`, as the settings or the metric's name say it; None where neither does."""
    way = polarity(metric.rpartition(":")[2], better or {})
    return {"lower": "minimize", "higher": "maximize", None: None}[way]


def such_as(param: Field) -> str:
    """Values that one might type for the param, near the one it has."""
    value = param.value
    if isinstance(value, bool) or value is None:
        return "true,false"
    if isinstance(value, int):
        return f"{value},{value + 1 if value < 2 else value * 2}"
    if isinstance(value, float) and math.isfinite(value):
        return f"{spell(value)},{spell(float(f'{value / 2:.3g}'))}"
    if isinstance(value, list):
        return "[1,2],[3]"
    return "a,b"


def joined(words: Iterable[str]) -> str:
    r"""The words as one would type them in a shell or behind `%exp`, in quotes where they need some.

    Examples
    --------
    >>> print(joined(["-S", "name='a b',c", "-S", "lr=interval(0,1)"]))
    -S "name='a b',c" -S 'lr=interval(0,1)'
    """
    import shlex

    return " ".join(
        # What has single quotes in it reads better in double ones, where these mean nothing else.
        f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)
        for word in words
    )


def plain(message: str) -> str:
    """What an error says, without that nothing was run: nobody has asked yet."""
    return message.removesuffix(" Nothing was run.")
