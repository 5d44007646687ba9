"""How long stages took, so that a plan can say how long they will take.

Derived and nobody else's business: it is kept in the memo, no file of DVC's has it, and a fresh clone knows none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache

_KEPT = 5


def remember(cache: Cache, stage: Stage, seconds: float) -> None:
    """Note that the stage's commands took so long."""
    taken = [*_taken(cache, stage), round(seconds, 3)][-_KEPT:]
    cache.remember("seconds", _key(stage), json.dumps(taken))


def expected(cache: Cache, stage: Stage) -> float | None:
    """What the stage's commands will take: the median of its last runs; None where there was none."""
    taken = sorted(_taken(cache, stage))
    return taken[len(taken) // 2] if taken else None


def expected_of_all(cache: Cache, stages: Sequence[Stage]) -> dict[Stage, float]:
    """What each of the stages will take, of those that have run before; one question for all. Data takes nothing."""
    known = cache.memos("seconds", [_key(stage) for stage in stages if not stage.is_data])
    found = {stage: 0.0 for stage in stages if stage.is_data}
    for stage in stages:
        taken = sorted(float(one) for one in json.loads(known.get(_key(stage), "[]")))
        if taken and not stage.is_data:
            found[stage] = taken[len(taken) // 2]
    return found


def _taken(cache: Cache, stage: Stage) -> list[float]:
    return [float(one) for one in json.loads(cache.memo("seconds", _key(stage)) or "[]")]


def _key(stage: Stage) -> str:
    # With another command it is another matter; with other params or data, most likely not.
    return json.dumps([stage.address(), stage.spec.cmd])
