"""`*.dvc` files: one per tracked file or directory, with the hash of what it held when it was added.

A `.dvc` file is a stage of its own: without a command for data that was added, with one dep for data that
was imported, and with both in files of DVC 1.x. Its order of keys is not that of dvc.lock, and a file that is
there keeps its own order, its comments and all parts that are not known here (DVC 3.67.1, formats.md 3.3).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

from nbexp import hashing
from nbexp.errors import ProjectFileError
from nbexp.formats import dvc_lock, values
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.formats.dvc_yaml import OutSpec, StageSpec, is_elsewhere, what_is_wrong
from nbexp.frozen import field, frozen

SUFFIX = ".dvc"

# What says what an output or dep held; all of it changes when the content does.
_CONTENT = ("md5", "etag", "checksum", "size", "nfiles", "isexec", "version_id", "files", "hash")
# What does not count in the digest of an import's file (formats.md 3.3).
_NOT_DIGESTED = frozenset(
    "desc type labels meta locked frozen metric persist isexec size nfiles".split()
)


@frozen
class DvcFile:
    """All that a `.dvc` file says.

    Attributes
    ----------
    spec
        It as a stage, named after the file; `deps` are those inside the project.
    contents
        What each output held, side by side with `spec.outs`; an `md5` of "" means that nobody knows yet.
    deps
        What each dep of `spec.deps` held.
    outside
        The files and directories outside of the project that data was imported from.
    tree
        The file's values, in its order.
    path
        Where it lies, relative to the project's root.
    """

    path: str
    spec: StageSpec
    contents: tuple[LockedPath, ...]
    deps: tuple[LockedPath, ...]
    outside: tuple[str, ...]
    tree: Mapping[str, object] = field(repr=False, hash=False)
    _text: bytes = field(default=b"", repr=False)

    @property
    def is_added(self) -> bool:
        """Whether it is data that was added, and no import and no command."""
        return not self.spec.commands and not self.tree.get("deps")

    @cached_property
    def entry(self) -> LockedStage:
        """The hashes as dvc.lock would have them, outputs of unknown content left out."""
        known = tuple(out for out in self.contents if out.md5)
        return LockedStage(self.spec.cmd, tuple(dep for dep in self.deps if dep.md5), {}, known)

    def place(self, path: str) -> str:
        """A path of this file, relative to the project's root."""
        base = posixpath.join(posixpath.dirname(self.path), self.spec.wdir or ".")
        return posixpath.normpath(posixpath.join(base, path))

    def with_contents(self, outs: Sequence[LockedPath], deps: Sequence[LockedPath] = ()) -> DvcFile:
        """The same file when its outputs (and deps) hold this; what is not named stays as it is."""
        tree: dict[str, Any] = dict(self.tree)
        for section, found in (("outs", outs), ("deps", deps)):
            by_path = {one.path: one for one in found}
            if by_path:
                entries: list[Any] = _entries(tree, section)
                tree[section] = [
                    _with_content(old, by_path[str(old["path"])])
                    if old.get("path") in by_path
                    else old
                    for old in entries
                ]
        if tree.get("wdir") == ".":
            del tree["wdir"]
        tree.pop("md5", None)
        if not self.is_added:
            tree = {"md5": _digest(tree), **tree}
        return parse(_dump(self._text, tree), self.path)

    def dump(self) -> bytes:
        """The file's bytes, as DVC would write them after the same changes to the same file."""
        return self._text


def new(folder: str, content: LockedPath, **options: object) -> DvcFile:
    r"""The file in `folder` that tracks `content.path`, which lies there as well.

    `options` are desc, type, labels, meta, cache, persist, remote and push, None for what is not given.

    Examples
    --------
    >>> new("", LockedPath("a.txt", "60b725f10c9c85c70d97880dfe8191b3", 2)).dump()
    b'outs:\n- md5: 60b725f10c9c85c70d97880dfe8191b3\n  size: 2\n  hash: md5\n  path: a.txt\n'
    """
    given = {key: options[key] for key in _OPTIONS if options.get(key) is not None}
    entry = {**_content(content), "path": content.path, **given}
    place = posixpath.join(folder, content.path + SUFFIX)
    return parse(dvc_lock.dump_tree({"outs": [entry]}), place)


@lru_cache(maxsize=256)  # a project has many of them, and each command looks at all
def parse(data: bytes, path: str) -> DvcFile:
    """The `.dvc` file that these bytes are; `path` is where it lies, relative to the project's root.

    Raises
    ------
    ProjectFileError
        It is no YAML, left in the middle of a merge, names no outputs, or has one outside the project.
    """
    dvc_lock.check_merged(data, path)
    tree = values.parse(data, path)
    if not isinstance(tree, Mapping) or not isinstance(tree.get("outs"), list):
        raise ProjectFileError(
            "this is no .dvc file: `outs`, a list, is missing.",
            f"`git restore {path}` gives the committed one back; `nbexp data add` makes a new one.",
            path=path,
        )
    folder, _, name = path.rpartition("/")
    wdir = tree.get("wdir")
    wdir = wdir if isinstance(wdir, str) and wdir != "." else None
    base = "/".join(part for part in (folder, wdir or "") if part)
    specs, contents = [], []
    for entry in _entries(tree, "outs"):
        out, content = _out(entry, base, path)
        specs.append(out)
        contents.append(content)
    # The path of a dep with one of these keys is in another repository, or in a database.
    own = [entry for entry in _entries(tree, "deps") if not {"repo", "db"} & {*entry}]
    deps = [_located(entry) for entry in own]
    inner = [dep for dep in deps if dep is not None and what_is_wrong(dep.path, base) is None]
    cmd = tree.get("cmd") or ()
    cmd = tuple(map(str, cmd)) if isinstance(cmd, list) else cmd if isinstance(cmd, str) else ()
    spec = StageSpec(
        name=name,
        commands=tuple(filter(str.strip, cmd.splitlines())) if isinstance(cmd, str) else cmd,
        cmd=cmd,
        wdir=wdir,
        deps=tuple(dep.path for dep in inner),
        outs=tuple(specs),
        frozen=tree.get("frozen") is True or tree.get("locked") is True,
        always_changed=tree.get("always_changed") is True,
        desc=desc if isinstance(desc := tree.get("desc"), str) else None,
        meta=tree.get("meta"),
    )
    outside = tuple(dep.path for dep in deps if dep is not None and is_elsewhere(dep.path, base))
    return DvcFile(path, spec, tuple(contents), tuple(inner), outside, tree, data)


_OPTIONS = ("desc", "type", "labels", "meta", "cache", "persist", "remote", "push")


def _entries(tree: Mapping[str, object], section: str) -> list[Mapping[str, object]]:
    listed = tree.get(section)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _out(entry: Mapping[str, object], base: str, file: str) -> tuple[OutSpec, LockedPath]:
    content = _located(entry)
    if content is None:
        raise ProjectFileError("an output has no `path`.", "it names what is tracked.", path=file)
    wrong = what_is_wrong(content.path, base)
    if wrong:
        raise ProjectFileError(f"`{content.path}` in `outs` {wrong}.", path=file)
    labels = entry.get("labels")
    spec = OutSpec(
        content.path,
        cache=entry.get("cache") is not False,
        persist=entry.get("persist") is True,
        remote=_text(entry.get("remote")),
        push=entry.get("push") is not False,
        desc=_text(entry.get("desc")),
        type=_text(entry.get("type")),
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        meta=entry.get("meta"),
    )
    return spec, content


def _located(entry: Mapping[str, object]) -> LockedPath | None:
    """An entry's path and content; digests other than MD5 are those of somebody else's storage."""
    path, md5, size = entry.get("path"), entry.get("md5"), entry.get("size")
    nfiles = entry.get("nfiles")
    if not isinstance(path, str):
        return None
    return LockedPath(
        path,
        md5 if isinstance(md5, str) else "",
        size if isinstance(size, int) else None,
        nfiles if isinstance(nfiles, int) else None,
        entry.get("isexec") is True,
        legacy="hash" not in entry and bool(md5),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _content(found: LockedPath) -> dict[str, object]:
    """What says what an output holds, in DVC's order."""
    content = found.entry()
    del content["path"]
    kind = content.pop("hash", None)
    return content if kind is None else {**content, "hash": kind}


def _with_content(old: Mapping[str, object], found: LockedPath) -> dict[str, object]:
    """An entry when its path holds something else; all that it says besides stays."""
    return {**_content(found), **{key: old[key] for key in old if key not in _CONTENT}}


def _digest(tree: Mapping[str, object]) -> str:
    """What DVC writes at the top of an import's file: a digest of the file itself."""
    counting = {key: tree[key] for key in tree if key not in {"md5", "meta", "desc"}}
    text = json.dumps(_digested(counting), sort_keys=True)
    return hashing.md5(text.encode())


def _digested(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _digested(one) for key, one in value.items() if key not in _NOT_DIGESTED}
    return [_digested(one) for one in value] if isinstance(value, list) else value


def _dump(text: bytes, tree: Mapping[str, object]) -> bytes:
    """`text` with these values: what is the same stays as it is, and what is new comes last."""
    before = values.parse(text, "") if text else {}
    if not isinstance(before, dict) or dvc_lock.dump_tree(before) != text:
        from ruamel.yaml import YAML

        before = YAML().load(text) or {}
    _update(before, tree)
    return dvc_lock.dump_tree(before)


def _update(old: Any, new: Any) -> None:
    """Make `old`, which may carry comments, say what `new` says."""
    if isinstance(new, Mapping):
        for key, value in new.items():
            if key in old and _are_alike(old[key], value):
                _update(old[key], value)
            elif key not in old or old[key] != value:
                old[key] = value
        for key in [key for key in old if key not in new]:
            del old[key]
    elif len(old) != len(new):
        old[:] = new
    else:
        for number, value in enumerate(new):
            if _are_alike(old[number], value):
                _update(old[number], value)
            elif old[number] != value:
                old[number] = value


def _are_alike(one: object, other: object) -> bool:
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in (Mapping, list))
