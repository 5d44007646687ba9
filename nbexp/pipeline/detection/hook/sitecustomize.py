"""Writes down which files a Python process opens; found by every Python whose PYTHONPATH has this folder first.

Alone in its folder, and of the standard library only: it runs in the environment of the traced project.
`NBEXP_TRACE_LOG` is the file that lines go to, `NBEXP_TRACE_ROOT` the copy of the project, and
`NBEXP_TRACE_KEEP` the project itself, below which nothing may be changed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys

_LOG = os.environ.get("NBEXP_TRACE_LOG", "")
_ROOT = os.environ.get("NBEXP_TRACE_ROOT", "")
_KEEP = os.environ.get("NBEXP_TRACE_KEEP", "")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IMPORTS = ("<frozen importlib", "<frozen zipimport", "<frozen runpy")
_CHANGES = {
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink", "os.chmod",
    "os.chown", "os.utime", "shutil.rmtree", "shutil.move",
}  # fmt: skip
_seen: set[tuple[str, str]] = set()
_descriptor = -1


def _tell(does: str, path: str, where: str) -> None:
    if (does, path) in _seen:
        return
    _seen.add((does, path))
    try:
        os.write(_descriptor, json.dumps([does, path, where]).encode() + b"\n")
    except OSError:
        pass


def _place() -> tuple[str, bool]:
    """The line of the project that asked for it, and whether it is an import that did."""
    try:
        frame = sys._getframe(2)
    except ValueError:  # the interpreter opens the script itself: nobody asked for that
        return "", True
    is_import = frame.f_code.co_filename.startswith(_IMPORTS)
    depth = 0
    while frame is not None and depth < 80:
        name = frame.f_code.co_filename
        if name.startswith(_ROOT + os.sep):
            return f"{name[len(_ROOT) + 1 :]}:{frame.f_lineno}", is_import
        if "ipykernel_" in name or name.startswith("<ipython-input"):
            shell = sys.modules.get("IPython")
            found = shell.get_ipython() if shell is not None else None
            return (f"cell {found.execution_count}" if found is not None else ""), is_import
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
        depth += 1
    return "", is_import


def _text(path: object) -> str | None:
    if isinstance(path, int) or path is None:
        return None
    try:
        text = os.fsdecode(path)  # type: ignore[arg-type]  # anything else is a TypeError
    except (TypeError, ValueError):
        return None
    return os.path.abspath(text) if text else None


def _inside(path: str, folder: str) -> bool:
    return bool(folder) and (path == folder or path.startswith(folder + os.sep))


def _guard(path: str) -> None:
    """Stop what would change the project itself, by its own path or through a link in the copy."""
    real = os.path.realpath(path)
    leaves = _inside(path, _ROOT) and not _inside(real, os.path.realpath(_ROOT))
    if _inside(path, _KEEP) or _inside(real, _KEEP) or leaves:
        raise PermissionError(f"nbexp: a traced run may not change {path}")


def _hook(event: str, words: tuple[object, ...]) -> None:
    if event == "open":
        path = _text(words[0])
        if path is None:
            return
        mode, flags = words[1], words[2]
        if isinstance(mode, str):
            writes = bool(set(mode) & set("wax+"))
        else:
            writes = bool(isinstance(flags, int) and flags & _WRITING)
        if writes:
            _guard(path)
        if _inside(path, _ROOT) or _inside(path, _KEEP):
            where, is_import = _place()
            _tell("import" if is_import else "write" if writes else "read", path, where)
    elif event in {"os.listdir", "os.scandir", "glob.glob"}:
        path = _text(words[0] if words[0] is not None else ".")
        if path is not None and (_inside(path, _ROOT) or _inside(path, _KEEP)):
            where, is_import = _place()
            if not is_import and where:
                _tell("list", path, where)
    elif event in _CHANGES:
        places = words[:2] if event in {"os.rename", "shutil.move", "os.link"} else words[:1]
        if event == "os.symlink":
            places = words[1:2]
        found = [_text(word) for word in places]
        for path in found:
            if path is not None:
                _guard(path)
        if len(found) > 1 and found[1] is not None and _inside(found[1], _ROOT):
            _tell("write", found[1], _place()[0])
    elif event == "sqlite3.connect":
        path = _text(words[0]) if words[0] != ":memory:" else None
        if path is not None and _inside(path, _ROOT):
            _tell("read" if os.path.exists(path) else "write", path, _place()[0])


def _next() -> None:
    """The `sitecustomize` that this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    places = [p for p in sys.path if os.path.abspath(p or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if _LOG and _ROOT:
    try:
        _descriptor = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.set_inheritable(_descriptor, False)
    except OSError:
        _LOG = ""
    else:
        sys.addaudithook(_hook)
_next()
