"""From answers to a command: what each param's answer says as an `-S` item, and what is to be mended first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from nbexp import overrides
from nbexp.errors import UsageError, nearest
from nbexp.formats import values
from nbexp.overrides import spell
from nbexp.sweeps import space as spaces
from nbexp.sweeps.form import (
    Answer,
    Answers,
    Asked,
    Field,
    Picker,
    Problem,
    SweepForm,
    direction_of,
    kind_of,
    plain,
    such_as,
)
from nbexp.sweeps.space import Space

_SHOWN = 6


def asked(form: SweepForm, answers: Answers) -> Asked:
    """What the answers come to: a command, or what is to be mended."""
    problems: list[Problem] = []
    told: dict[str, str] = {}

    def wrong(where: str, message: str, hint: str | None = None) -> None:
        problems.append(Problem(where, message, hint))

    items: list[str] = []
    by_name = {one.name: one for one in form.fields}
    present = _present(form)
    for name, answer in answers.params.items():
        if answer.how == "keep":
            continue
        param = by_name.get(name)
        if param is None:
            near = nearest(name, by_name)
            wrong(name, f"There is no param `{name}`.", f"did you mean `{near}`?" if near else None)
            continue
        try:
            item, told[name], advice = _item(param, answer, present)
        except UsageError as error:
            wrong(name, plain(error.message), error.hint)
            continue
        items.append(item)
        problems += [Problem(name, text, hint, is_advice=True) for text, hint in advice]
    picker = {one.name: one for one in form.pickers}.get(answers.sampler)
    is_queued = answers.when == "queue"
    counts = {name: _count(getattr(answers, name), name, wrong) for name in ("repeat", "jobs")}
    trials = None
    if picker is None:
        wrong(":sampler", f"There is no sampler `{answers.sampler}`.")
    elif picker.problem is not None:
        wrong(":sampler", picker.problem)
    elif is_queued and picker.name != "grid":
        wrong(
            ":when",
            f"`{picker.name}` picks points while the sweep runs, and what waits in the queue is known before.",
            "run it now, which does not block the notebook; or let the sampler be grid.",
        )
    elif picker.name != "grid":
        trials = _trials(answers, picker, wrong)
    aim = _aim(form, answers, picker, wrong)
    repeat, jobs = counts["repeat"] or 1, counts["jobs"] or 1
    if repeat > 1 and not answers.seed_param and len(form.seeds) != 1:
        which = f"{len(form.seeds)} params are" if form.seeds else "no param is"
        wrong(":seed_param", f"To repeat is to run with other seeds, and {which} called like one.", "choose the param that is the seed.")  # fmt: skip
    blocked = [one for one in problems if not one.is_advice]
    if not blocked:
        space = _space(items, present, repeat, answers.seed_param, form, wrong)
        if space is not None and space.size is None and answers.sampler == "grid":
            between = next(one for one in space.dimensions if not one.choices)
            wrong(
                ":sampler",
                f"`{between.param}` may be any number, and a grid has an end.",
                "let the sampler be random or optuna; or give the param a range.",
            )
        blocked = [one for one in problems if not one.is_advice]
    if blocked:
        return Asked((), (), tuple(problems), told)
    flags = [word for item in items for word in ("-S", item)]
    repeats = ["--repeat", str(repeat)] if repeat > 1 else []
    if repeat > 1 and answers.seed_param:
        repeats += ["--seed-param", answers.seed_param]
    named = ["-n", answers.name] if answers.name else []
    anew = ["--new"] if answers.new else []
    if is_queued:
        seed = answers.seed_param or (form.seeds[0] if form.seeds else "")
        seeds = ["-S", f"{seed}={','.join(map(str, range(repeat)))}"] if repeat > 1 else []
        words = ["run", "--queue", *flags, *seeds, *named, *anew]
        return Asked(tuple(words), ("sweep", *flags, *repeats, *anew), tuple(problems), told)
    at_once = ["-j", str(jobs)] if jobs > 1 else []
    words = ["sweep", *_picked(answers, trials, aim), *flags, *repeats, *at_once, *named, *anew]
    return Asked(tuple(words), tuple(words), tuple(problems), told)


def _picked(answers: Answers, trials: int | None, aim: tuple[str, str] | None) -> list[str]:
    """The words that say who picks the points."""
    metric = [f"--{aim[1]}", aim[0]] if aim else []
    if answers.sampler == "grid":
        return metric
    if answers.sampler == "random":
        return ["--random", str(trials), *metric]
    if answers.sampler != "optuna" or aim is None:
        return ["--sampler", answers.sampler, "--trials", str(trials), *metric]
    words = ["--optuna", f"{aim[1]} {aim[0]}", "--trials", str(trials)]
    if answers.optuna not in ("", "tpe"):
        words += ["--sampler", answers.optuna]
    if answers.pruner not in ("", "median"):
        words += ["--pruner", answers.pruner]
    return words


Wrong = Callable[..., None]


def _space(
    items: Sequence[str],
    present: spaces.Present,
    repeat: int,
    seed_param: str,
    form: SweepForm,
    wrong: Wrong,
) -> Space | None:
    try:
        space, _ = spaces.of(
            items,
            present=present,
            repeat=repeat,
            seed_param=seed_param or None,
            seeds=form.seeds,
        )
    except UsageError as error:
        wrong("", plain(error.message), error.hint)
        return None
    if not space.params:
        wrong(
            "",
            "Nothing varies yet." if not items else "Nothing varies: each param has one value.",
            "give a param several values, a range or an interval.",
        )
        return None
    return space


def _trials(answers: Answers, picker: Picker, wrong: Wrong) -> int | None:
    if not answers.trials:
        wrong(
            ":trials",
            f"With `{picker.name}` there is no end of points.",
            "how many are to be tried? 20",
        )
        return None
    return _count(answers.trials, "trials", wrong)


def _count(text: str, what: str, wrong: Wrong) -> int | None:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    said = {"repeat": "how often each point runs", "jobs": "how many run at once"}.get(
        what, "how many runs there are"
    )
    wrong(f":{what}", f"`{text}` is no number above 0." if text else f"It is not said {said}.", "a whole number, such as 3")  # fmt: skip
    return None


def _aim(
    form: SweepForm, answers: Answers, picker: Picker | None, wrong: Wrong
) -> tuple[str, str] | None:
    """The metric and its direction; None where nothing is compared."""
    if answers.when == "queue":
        return None
    if not answers.metric:
        if picker is not None and picker.needs_metric:
            known = ", ".join(one.name for one in form.metrics[:3])
            wrong(":metric", f"`{picker.name}` needs to know which metric it is about.", f"there is {known}" if known else "the name of a metric that the runs write")  # fmt: skip
        return None
    if any(letter.isspace() or letter == "," for letter in answers.metric):
        wrong(":metric", f"`{answers.metric}` is no name of one metric.", "names of metrics have no spaces and commas")  # fmt: skip
        return None
    known_way = {one.name: one.direction for one in form.metrics}.get(answers.metric)
    direction = answers.direction or known_way or direction_of(answers.metric) or ""
    if direction not in ("minimize", "maximize"):
        wrong(":direction", f"Nothing says which way is better for `{answers.metric}`.", "minimize or maximize")  # fmt: skip
        return None
    return answers.metric, direction


def _item(
    param: Field, answer: Answer, present: spaces.Present
) -> tuple[str, str, list[tuple[str, str]]]:
    """The `-S` item of a param, its values in words, and what may be a slip."""
    if param.problem is not None:
        raise UsageError(param.problem)
    text = _TYPED[answer.how](param, answer)
    item = f"{param.name}={text}"
    if not item.isprintable():
        raise UsageError("There is a letter that cannot be typed on one line.", "name the values")
    space, _ = spaces.of((item,), present=present)
    if space.dimensions and not space.dimensions[0].choices:
        one = space.dimensions[0]
        low, high = (spell(int(end) if one.is_whole else end) for end in (one.low, one.high))
        kind = "whole number" if one.is_whole else "number"
        by = ", by orders of magnitude" if one.is_log else ""
        return item, f"any {kind} from {low} to {high}{by}", []
    (axis,) = overrides.axes((item,))
    found = cast("tuple[object, ...]", axis.values)
    distinct = {spell(one): one for one in found}
    advice = _slips(param, found)
    if len(distinct) < len(found):
        item = f"{param.name}={','.join(distinct)}"
        text = f"{len(found) - len(distinct)} of them twice"
        advice.append((f"{len(found)} values, {text}.", "equal values are run once"))
    return item, _in_words(list(distinct)), advice


def _in_words(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_SHOWN]) + (", …" if len(texts) > _SHOWN else "")
    return f"{len(texts)} values: {shown}" if len(texts) > 1 else f"{shown} in every run"


def _slips(param: Field, found: Sequence[object]) -> list[tuple[str, str]]:
    """Values of another kind than the param has, which may be meant so."""
    fine = {
        "whole number": ("whole number", "nothing"),
        "number": ("whole number", "number", "nothing"),
        "text": ("text", "nothing"),
        "yes or no": ("yes or no", "nothing"),
        "list": ("list", "nothing"),
    }.get(param.kind)
    odd = [one for one in found if fine is not None and kind_of(one) not in fine]
    if not odd:
        return []
    said = {"text": "is text", "list": "is a list", "yes or no": "is yes or no"}
    what = said.get(kind_of(odd[0]), f"is a {kind_of(odd[0])}")
    has = said.get(param.kind, f"is a {param.kind}")
    return [(f"`{spell(odd[0])}` {what}.", f"`{param.name}` {has} now: {spell(param.value)}")]


def _values(param: Field, answer: Answer) -> str:
    typed = answer.values.strip()
    if not typed:
        raise UsageError("There are no values yet.", f"with commas between: {such_as(param)}")
    (axis,) = overrides.axes((f"{param.name}={typed}",))
    # A function says more than its values: a range has an order, an interval no end.
    if isinstance(axis.values, tuple) and "(" not in typed:
        return ",".join(map(spell, axis.values))
    return typed


def _range(_param: Field, answer: Answer) -> str:
    start, stop = _number(answer.start, "start"), _number(answer.stop, "stop")
    step = [_number(answer.step, "step")] if answer.step else []
    return f"range({','.join([start, stop, *step])})"


def _interval(_param: Field, answer: Answer) -> str:
    text = f"interval({_number(answer.low, 'lower end')},{_number(answer.high, 'upper end')})"
    return f"tag(log,{text})" if answer.log else text


def _choices(param: Field, answer: Answer) -> str:
    known = [spell(one) for one in param.known]
    odd = next((one for one in answer.chosen if one not in known), None)
    if odd is not None:
        raise UsageError(f"`{odd}` is none of its known values.", f"there are {', '.join(known)}")
    if not answer.chosen:
        raise UsageError("None is ticked yet.", "tick two or more")
    return ",".join(one for one in known if one in answer.chosen)


_TYPED: Mapping[str, Callable[[Field, Answer], str]] = {
    "values": _values,
    "range": _range,
    "interval": _interval,
    "choices": _choices,
}


def _number(text: str, what: str) -> str:
    if not text:
        raise UsageError(f"The {what} is missing.", "a number, such as 0.1")
    try:
        found: float = int(text)
    except ValueError:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
    if not math.isfinite(found):
        raise UsageError(f"The {what} `{text}` is no number.", "a number, such as 0.1 or 1e-4")
    return spell(found)


def _present(form: SweepForm) -> spaces.Present:
    known = {}
    for one in form.fields:
        file, colon, key = one.name.rpartition(":")
        known[file if colon else overrides.DEFAULT_FILE, key] = one.value

    def look(file: str, key: str) -> object:
        return known.get((file, key), values.MISSING)

    return look


# ---- and back


def filled(items: Iterable[str]) -> Answers:
    """The answers that stand for `-S` items.

    Raises
    ------
    UsageError
        An item cannot be read, or does more than change a param.
    """
    params = {}
    for axis in overrides.axes(items):
        if axis.op != "change":
            raise UsageError(
                f"`{axis.text}` does more than change a param, which the form cannot. Nothing was run.",
                f"`nbexp sweep -S '{axis.text}'` without `-i`.",
            )
        name, _, typed = axis.text.partition("=")
        if isinstance(axis.values, overrides.Interval):
            ends = (spell(axis.values.start), spell(axis.values.stop))
            is_log = "log" in axis.values.tags
            params[name.strip()] = Answer("interval", low=ends[0], high=ends[1], log=is_log)
        else:
            params[name.strip()] = Answer("values", values=typed.strip())
    return Answers(params)
