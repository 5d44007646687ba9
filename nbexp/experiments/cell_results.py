"""What a cell came to, in files: metrics from its last value and from what it logged, figures from what it showed.

A cell that is recorded as it runs, and its replay in another kernel, both go through this, so that equal results
are equal bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbexp.formats import notebook, values
from nbexp.frozen import frozen

METRICS, FIGURES, LIVE = "metrics.json", "figures", "live"

# A longer text is a report, not a metric.
_MAX_TEXT = 200
_PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif"}
_VEGA = re.compile(r"application/vnd\.vegalite\.v\d+\+json")
# In the HTML that Altair writes the chart is the argument of a function that draws it.
_CHART = re.compile(r"\}\)\(\s*(?=\{)")


@frozen
class Metrics:
    """Values to be recorded as metrics, nested as they were; `left_out` are keys that hold none."""

    values: Mapping[str, object]
    left_out: tuple[str, ...] = ()


def metrics(last: object, folder: Path) -> Metrics:
    """The metrics of a cell: the last value of what it logged below `folder`, and its last value where that is a dict.

    Of a key that both have, the dict's counts.
    """
    found: dict[str, Any] = _logged(folder)
    if not isinstance(last, Mapping):
        return Metrics(found)
    left_out: list[str] = []
    _merge(found, _numbers(last, "", left_out))
    return Metrics(found, tuple(left_out))


def dump_metrics(found: Mapping[str, object]) -> bytes:
    """The metrics as the bytes of their file."""
    return json.dumps(found, indent=4).encode() + b"\n"


def number(value: object) -> object:
    """The value as a number, truth value or short text of Python's own; None where it is none."""
    if type(value).__module__ != "builtins" and getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]  # numpy, torch, jax: each has it
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return value if isinstance(value, str) and len(value) <= _MAX_TEXT else None


def figures(outputs: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The pictures among the outputs of a cell, by file name in the order in which they were shown.

    Of one that is there in several forms the sharpest is taken; a chart of Altair without a picture is drawn.
    """
    found: dict[str, bytes] = {}
    for output in outputs:
        if output.get("output_type") not in {"display_data", "execute_result"}:
            continue
        picture = _picture(output.get("data", {}))
        if picture is not None:
            found[f"{len(found) + 1}.{picture[0]}"] = picture[1]
    return found


def _picture(data: Mapping[str, Any]) -> tuple[str, bytes] | None:
    for mime, suffix in _PICTURES.items():
        content = data.get(mime)
        text = "".join(content) if isinstance(content, list) else content
        if not isinstance(text, str):
            continue
        if suffix == "svg":
            return suffix, notebook.plain_svg(text).encode()
        try:
            return suffix, base64.b64decode(text)
        except (binascii.Error, ValueError):
            continue
    spec = _chart(data)
    if spec is None:
        return None
    from nbexp.plots import render

    try:
        return "svg", render.svg(spec).encode()
    except Exception:  # noqa: BLE001  # whatever a chart of the user's own makes the renderer raise
        return None


def _chart(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The Vega-Lite chart of an output, where it has one."""
    for mime, content in data.items():
        if _VEGA.fullmatch(mime) and isinstance(content, Mapping):
            return content
    page = data.get("text/html", "")
    text = "".join(page) if isinstance(page, list) else str(page)
    if "vega" not in text:
        return None
    for match in _CHART.finditer(text):
        try:
            spec, _ = json.JSONDecoder().raw_decode(text, match.end())
        except ValueError:
            continue
        if isinstance(spec, dict) and "vega-lite" in str(spec.get("$schema", "")):
            return spec
    return None


def _logged(folder: Path) -> dict[str, Any]:
    """The last value of each name in the tables below the folder, and what `Live` summed up."""
    found: dict[str, Any] = {}
    tables = folder / "plots" / "metrics"
    for table in sorted(tables.rglob("*.tsv")):
        lines = table.read_text(encoding="utf-8").splitlines()
        if len(lines) > 1:
            text = lines[-1].split("\t")[-1]
            parts = table.relative_to(tables).with_suffix("").parts
            _put(found, parts, values.number(text))
    try:
        summary = values.parse((folder / METRICS).read_bytes(), METRICS)
    except FileNotFoundError:
        return found
    if isinstance(summary, dict):
        _merge(found, {key: value for key, value in summary.items() if key != "step"})
    return found


def _put(tree: dict[str, Any], parts: Sequence[str], value: object) -> None:
    for part in parts[:-1]:
        inner = tree.get(part)
        if not isinstance(inner, dict):
            inner = tree[part] = {}
        tree = inner
    tree[parts[-1]] = value


def _merge(tree: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _numbers(tree: Mapping[Any, object], above: str, left_out: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = str(key)
        path = f"{above}.{name}" if above else name
        if isinstance(value, Mapping):
            inner = _numbers(value, path, left_out)
            if inner:
                found[name] = inner
            continue
        plain = number(value)
        if plain is None:
            left_out.append(path)
        elif isinstance(plain, float) and not math.isfinite(plain):
            found[name] = str(plain)  # JSON has no such number; as `Live` writes it
        else:
            found[name] = plain
    return found
