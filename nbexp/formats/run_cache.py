"""Signatures of finished stages: under which name the run cache keeps an entry of dvc.lock.

    .dvc/cache/runs/<2>/<key>/<value>      the entry itself, as YAML (`dvc_lock.dump_entry`)

The key says what went in (cmd, deps, params, and the paths of the outs), the value also what came
out. Both are SHA-256 over JSON with sorted keys, Python's default separators and ASCII escapes
(DVC 3.67.1, formats.md 4.4; compared in tests/conformance/test_bytes.py). Sizes do not count:
whatever is called `size` or `nfiles` is left out, a param of that name as well, since DVC does so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from nbexp import hashing

_NOT_COUNTED = frozenset({"size", "nfiles"})


def key(entry: Mapping[str, object]) -> str:
    """64 hex digits that name what the stage was run on.

    Parameters
    ----------
    entry
        The stage's entry as dvc.lock has it (`LockedStage.entry()`). Of its outs only the paths count.

    Examples
    --------
    >>> key({"cmd": "make", "outs": [{"path": "a"}]}) == key({"cmd": "make", "outs": [{"path": "b"}]})
    False
    """
    outs = entry.get("outs", [])
    assert isinstance(outs, list)
    return _sha256({**entry, "outs": [out["path"] for out in outs]})


def value(entry: Mapping[str, object]) -> str:
    """64 hex digits that name one result of the stage; two runs with equal results share them."""
    return _sha256(entry)


def _sha256(entry: Mapping[str, object]) -> str:
    counted = _counted(entry)
    try:
        text = json.dumps(counted, sort_keys=True)
    except TypeError:
        # Keys that cannot be sorted, text beside numbers: DVC stops there, so any order will do.
        text = json.dumps(_with_text_keys(counted), sort_keys=True)
    return hashing.sha256(text.encode("ascii"))


def _counted(item: object) -> object:
    if isinstance(item, Mapping):
        return {name: _counted(inner) for name, inner in item.items() if name not in _NOT_COUNTED}
    if isinstance(item, (list, tuple)):
        return [_counted(inner) for inner in item]
    return item


def _with_text_keys(item: object) -> object:
    if isinstance(item, dict):
        return {str(name): _with_text_keys(inner) for name, inner in item.items()}
    return [_with_text_keys(inner) for inner in item] if isinstance(item, list) else item
