"""What dvclive says of itself in a dvc.yaml: the top-level params, metrics, plots and artifacts of its folder.

Its entries take the place of those that have the folder's name in them, behind all others, and nothing else of the
file changes but its layout, which is ruamel.yaml's (dvclive 3.49.1, formats.md 8.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbexp.errors import ProjectFileError
from nbexp.formats import dvc_lock, values

_LISTS = ("params", "metrics", "plots")


def new(entries: Mapping[str, object]) -> bytes:
    r"""The dvc.yaml that holds the entries alone.

    Examples
    --------
    >>> new({"metrics": ["dvclive/metrics.json"]})
    b'metrics:\n- dvclive/metrics.json\n'
    """
    return dvc_lock.dump_tree(dict(entries))


def updated(data: bytes, path: str, folder: str, entries: Mapping[str, object]) -> bytes:
    r"""The dvc.yaml `data` with the entries in place of those it has of `folder`.

    A file that says all of it already stays as it is, to the byte.

    Parameters
    ----------
    path
        Names the file in errors.
    folder
        As seen from the file's directory, without a slash at its end: `dvclive`.
    entries
        Any of `params`, `metrics`, `plots`: lists; and `artifacts`: a mapping.

    Raises
    ------
    ProjectFileError
        It is no YAML, or one of these sections is of another form.

    Examples
    --------
    >>> updated(b"metrics: [m.json, live/metrics.json]\n", "dvc.yaml", "live", {"params": ["live/params.yaml"]})
    b'metrics:\n- m.json\nparams:\n- live/params.yaml\n'
    """
    plain = values.parse(data, path)
    if not isinstance(plain, dict):
        raise ProjectFileError("this is no mapping of sections.", path=path)
    if plain and _changed(dict(plain), path, folder, entries) == plain:
        return data
    from ruamel.yaml import YAML

    tree = YAML().load(data) or {}
    return dvc_lock.dump_tree(_changed(tree, path, folder, entries))


def _changed(tree: Any, path: str, folder: str, entries: Mapping[str, object]) -> Any:
    mark = f"{folder}/"
    for section in _LISTS:
        old = tree.get(section, [])
        if not isinstance(old, list):
            raise ProjectFileError(f"`{section}` is no list.", path=path)
        new_entries = entries.get(section, [])
        assert isinstance(new_entries, list)
        tree[section] = [entry for entry in old if not _is_of(mark, entry)] + new_entries
        if not tree[section]:
            del tree[section]
    old_artifacts = tree.get("artifacts", {})
    if not isinstance(old_artifacts, dict):
        raise ProjectFileError("`artifacts` is no mapping.", path=path)
    kept = {
        name: about
        for name, about in old_artifacts.items()
        if isinstance(about, dict) and mark not in str(about.get("path", mark))
    }
    added = entries.get("artifacts", {})
    assert isinstance(added, Mapping)
    tree["artifacts"] = {**kept, **added}
    if not tree["artifacts"]:
        del tree["artifacts"]
    return tree


def _is_of(mark: str, entry: object) -> bool:
    if isinstance(entry, dict) and len(entry) == 1:
        entry = next(iter(entry))
    return isinstance(entry, str) and mark in entry
