"""Names of experiments and the Git refs that hold them.

An experiment is `refs/exps/<2 hex>/<the other hex>/<name>`, the hex being the commit it starts from
(DVC 3.67.1, formats.md 1.1). What DVC keeps beside it, `refs/exps/stash` and the folders `exec`,
`celery`, `apply` and `temp`, are no experiments. Names are read as freely as DVC writes them and made
as strictly as Git, every file system and the command line agree on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.frozen import frozen

if TYPE_CHECKING:
    from random import Random

PREFIX = "refs/exps/"
# Failed, interrupted and pruned runs, in the same form; DVC does not look there.
FAILED = "refs/nbexp/failed/"

_NOT_BASELINES = frozenset({"apply", "celery", "exec", "temp"})
# 40 hex digits in a SHA-1 repository, 64 in a SHA-256 one.
_LENGTHS = frozenset({40, 64})
_HEX = frozenset("0123456789abcdef")
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
_LIKE_A_SHA = r"[0-9a-fA-F]{4,40}"
# `workspace` is what the table calls the files on disk, and what `diff` takes for them.
_RESERVED = _NOT_BASELINES | {"head", "stash", "workspace"}
DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10)}
)
"""Names (before the first dot, any case) that Windows keeps for devices: no file can have them."""


@frozen
class ExpRef:
    """An experiment's name and the commit it starts from, 40 hex digits.

    Examples
    --------
    >>> ExpRef("5efbe5d225de660169e6dd18d6b33c54a5540f68", "low-lr").ref
    'refs/exps/5e/fbe5d225de660169e6dd18d6b33c54a5540f68/low-lr'
    """

    baseline: str
    name: str

    @property
    def ref(self) -> str:
        return f"{prefix(self.baseline)}{self.name}"


def prefix(baseline: str) -> str:
    """What the refs of all experiments on a commit start with, the last slash included."""
    return f"{PREFIX}{baseline[:2]}/{baseline[2:]}/"


def parse(ref: str) -> ExpRef | None:
    """The experiment that a full ref name holds; None for every other ref, DVC's own included."""
    parts = ref.split("/")
    if len(parts) != 5 or not ref.startswith(PREFIX):
        return None
    _, _, start, rest, name = parts
    baseline = start + rest
    if len(start) != 2 or len(baseline) not in _LENGTHS or not _HEX.issuperset(baseline):
        return None
    return ExpRef(baseline, name) if name else None


def experiments(refs: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Ref, baseline and name of those that hold an experiment; as `parse`, for ten thousand of them."""
    known: dict[str, str | None] = {}
    for ref in refs:
        folder, _, name = ref.rpartition("/")
        if folder not in known:
            found = parse(f"{folder}/name")
            known[folder] = found.baseline if found else None
        baseline = known[folder]
        if baseline is not None and name:
            yield ref, baseline, name


def are_experiments(refs: Iterable[str]) -> bool:
    """Whether each of them holds an experiment."""
    folders = {ref.rpartition("/")[0] for ref in refs}
    return all(parse(f"{folder}/name") is not None for folder in folders)


def by_baseline(refs: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Name and commit of every experiment by its baseline, as the refs are in order."""
    folders: dict[str, list[tuple[str, str]]] = {}
    for ref, rev in refs.items():
        folder, _, name = ref.rpartition("/")
        known = folders.get(folder)
        if known is None:
            known = folders[folder] = []
        if name:
            known.append((name, rev))
    found = {}
    for folder, listed in folders.items():
        experiment = parse(f"{folder}/name")
        if experiment is not None and listed:
            found[experiment.baseline] = listed
    return found


def parse_failed(ref: str) -> ExpRef:
    """The baseline and name in a ref below `FAILED`."""
    first, rest, name = ref.removeprefix(FAILED).split("/")
    return ExpRef(first + rest, name)


def name_of(ref: str) -> str:
    """The experiment's name in a ref that `parse` takes, or in one of the same form elsewhere."""
    return ref.rpartition("/")[2]


def check_name(name: str) -> None:
    """Refuse what cannot, or should not, be a new experiment's name.

    Raises
    ------
    UsageError
        Says what is wrong with it. That two names differ by more than case is the caller's to see.
    """
    if not re.fullmatch(_NAME, name):
        raise UsageError(
            f"`{name}` cannot be the name of an experiment: a name has up to 64 letters, digits, "
            "`.`, `_` and `-`, and starts with a letter, a digit or `_`.",
            f"for example `{_suggestion(name)}`.",
        )
    wrong = _what_is_wrong(name)
    if wrong:
        raise UsageError(
            f"`{name}` cannot be the name of an experiment: {wrong}.",
            f"for example `{_suggestion(name)}`.",
        )


def like(text: str) -> str:
    """The text as the name of an experiment: itself where it can be one, else what is nearest to it."""
    try:
        check_name(text)
    except UsageError:
        return _suggestion(text)
    return text


def draw(taken: Container[str], random: Random | None = None) -> str:
    """A friendly two-word name that is not in `taken`.

    Parameters
    ----------
    random
        Where the words come from; None takes the system's generator, so that neither a user's
        `random.seed` nor a fork makes two runs draw the same name.

    Examples
    --------
    >>> import random
    >>> draw(set(), random.Random(1))
    'dusty-walnut'
    """
    choose = _any_of if random is None else random.choice
    name = ""
    for _ in range(100):
        name = f"{choose(ADJECTIVES)}-{choose(NOUNS)}"
        if name not in taken:
            return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _any_of(words: Sequence[str]) -> str:
    """One of a few hundred words, by the system's generator; `random` and its hashes take 2 ms to load."""
    return words[int.from_bytes(os.urandom(8), "big") % len(words)]


def _what_is_wrong(name: str) -> str | None:
    if name.casefold() in _RESERVED:
        return "Git and DVC use that word themselves"
    if name.split(".")[0].casefold() in DEVICES:
        return "Windows keeps it for a device, and a clone there could not hold it"
    if ".." in name or name.endswith((".", ".lock")):
        return "Git takes no `..` in a name, and no `.` or `.lock` at its end"
    if re.fullmatch(_LIKE_A_SHA, name):
        return "it reads like the start of a commit's SHA, and Git would take it for one"
    return None


def _suggestion(name: str) -> str:
    """A name near the one that was refused."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "-", name.removesuffix(".lock")).strip("-")[:60]
    if not kept:
        return "low-lr"
    return kept if _what_is_wrong(kept) is None else f"run-{kept}"


_ADJECTIVES = """
    able agile airy alert alpine amber ample ancient apt aqua arctic ardent artful astral atomic
    autumn avid azure balmy basic beady bold bonny bouncy brainy brave breezy brief bright brisk
    bubbly calm candid careful caring casual cheery chief chilly chirpy civil classic clean clear
    clever cloudy coastal comfy coral cosmic cosy cozy crafty creamy crisp cubic curious curly
    dainty dapper daring dashing dear deep deft dewy dreamy dusky dusty eager early earnest earthy
    easy elegant epic even exact fabled faint fair famous fancy fast fearless festive fine firm
    fleet floral fluent fluffy fond formal frank free fresh frosty fruity full funny fuzzy gallant
    game gentle genuine giant gilded glad gleaming glossy golden good graceful grand grassy great
    green happy hardy hazel hearty hidden honest hopeful humble humid icy ideal indigo inner ivory
    jaunty jolly jovial joyful jubilant juicy keen kind lasting leafy lemony level light lilac
    limber lively loyal lucid lucky lunar magic major maroon mellow merry mighty mild minty misty
    modest mossy native neat nifty nimble noble northern novel oaken olive open orderly pastel
    patient peachy pearly peppy placid plucky plush polar polite prime proud pure quick quiet quirky
    radiant rapid rare ready regal robust rosy round royal ruby rugged rustic sage salty sandy scenic
    serene sharp shiny silent silky silver simple sleek smart smooth snowy snug social soft solar
    solid sonic spicy spry stable stately steady stellar still stoic sturdy subtle sunny super supple
    sure swift tawny teal tender tidal tidy timely tiny topaz tranquil trusty upbeat urban valiant
    vast velvet verdant vital vivid warm wavy western whole wild willing windy wintry wise witty
    woody worthy zany zesty
"""
_NOUNS = """
    acorn almond alpaca anchor antler apple apricot arrow ash aspen aster atlas aurora avocado badger
    bagel bamboo banjo basil bass bay beacon bear beaver beech bell berry birch bison bloom bobcat
    bonsai breeze bridge brook buffalo cabin cactus camel canary candle canoe canyon caribou carrot
    castle cedar cello cherry chestnut cinder cliff cloud clover cobalt coconut comet compass condor
    copper coral cork cosmos cove coyote crane crater creek cricket crocus crow crystal cypress daisy
    dawn deer delta desert dingo dolphin dove dragon drum dune eagle echo egret elk elm ember falcon
    fern ferry fiddle field fig finch fir fjord flame flint flute forest fossil fox galaxy garden
    gazelle gecko geyser ginger glacier glade goose grape grove gull harbor harp hawk hazel heath
    heron hickory hill holly honey horizon ibex ibis iris island ivy jackal jade jaguar jasmine jay
    jungle juniper kelp kestrel kite kiwi koala lagoon lake lantern larch lark laurel lava leaf
    lemon lemur lichen lily lime linden lion llama lobster lotus lynx magnet magpie mango maple
    marble marlin marmot marsh meadow melon mesa meteor mimosa mint monsoon moon moose moss
    moth mountain muffin myrtle narwhal nebula nectar nettle newt nova oak oasis ocean ocelot olive
    onyx opal orange orbit orca orchid oriole osprey otter owl oyster paddle palm panda panther
    papaya parrot peach peak pear pebble pelican penguin peony pepper petal pigeon pine planet plum
    pollen pond poplar poppy prairie prism puffin puma quail quartz quill rabbit raccoon rain
    rainbow raven reef ridge river robin rocket rose saffron salmon sapling satellite seal sequoia
    shell shore sierra sky sloth snail sparrow spruce squid star starling stone stork storm stream
    summit sun swan sycamore tapir temple thicket thistle thrush thunder tiger toucan trail
    trout tulip tundra turtle valley vine violet volcano walnut walrus wave whale willow wind
    wolf wombat wren yak yarrow yew zebra zephyr
"""
ADJECTIVES = tuple(_ADJECTIVES.split())
NOUNS = tuple(_NOUNS.split())
