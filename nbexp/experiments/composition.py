"""Hydra composition: params.yaml made anew of a folder of configurations before each run, as DVC does it.

With `hydra.enabled` in DVC's config, `conf/config.yaml` and the groups that its defaults list chooses become
params.yaml; `-S model=big` chooses another member of a group. What `-S` says of other files is an edit as ever.

Composing runs code of others (plugins, resolvers, a module of configurations), so it is done by a process of its own,
one for a command and all the points of its sweep. A notebook that uses Hydra itself does not meet it, and a cell
composes what a terminal would. This file is that process's program, too.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbexp.errors import NbexpError, NotFound, ProjectFileError, UsageError, nearest
from nbexp.experiments.place import home
from nbexp.formats import config, values
from nbexp.frozen import frozen, replace
from nbexp.git import Git
from nbexp.overrides import DEFAULT_FILE, Override, hydra_text


@frozen
class Source:
    """Where the configurations are.

    Attributes
    ----------
    directory
        Of configuration files, absolute; None where they are in a module.
    shown
        The directory as the config names it, relative to the project, or the module.
    name
        The file to begin with, without its suffix.
    plugins
        The folder whose `hydra_plugins` is loaded.
    """

    directory: str | None
    shown: str
    name: str
    plugins: str

    @property
    def start(self) -> str:
        """The configuration that all begins with, for messages."""
        return self.file(self.name)

    def file(self, name: str) -> str:
        """A configuration's file for messages: the path as from the project's root."""
        name = name.removesuffix(".yaml")
        if self.directory is None:
            return f"{self.shown.replace('.', '/')}/{name}.yaml"
        return posixpath.join(self.shown, f"{name}.yaml")


def source(root: Path) -> Source | None:
    """What DVC's config says of Hydra; None where composing is off.

    Raises
    ------
    ProjectFileError
        The configurations are said to be in a folder and in a module.

    Notes
    -----
    Defaults of DVC 3.67.1: the folder `conf`, the name `config`, plugins below the project's root (formats.md 7.5).
    """
    found = config.read(root / ".dvc", home=home())
    if not found.is_on("hydra", "enabled"):
        return None

    def said(name: str) -> str | None:
        value = found.get("hydra", name)
        return value if isinstance(value, str) else None

    module, folder = said("config_module"), said("config_dir")
    if module is not None and folder is not None:
        raise ProjectFileError(
            "`hydra.config_dir` and `hydra.config_module` cannot both be set.",
            "`nbexp config hydra.config_module --unset` leaves the folder.",
            path=".dvc/config",
        )
    folder = folder or "conf"
    return Source(
        None if module is not None else str(Path(os.path.abspath(root / folder))),
        module if module is not None else folder,
        said("config_name") or "config",
        str(root / (said("plugins_path") or "")),
    )


@frozen
class Version:
    """A commit whose configurations are taken, instead of those in the workspace."""

    git: Git
    prefix: str
    rev: str


def compose(root: Path, here: str, overrides: Sequence[Override]) -> str | None:
    """The text of params.yaml for a run with these overrides; None where composing is off.

    Raises
    ------
    NotFound
        A group, a member of one, or a key that the overrides name is not there; the nearest is in the hint.
    UsageError
        An override is none that a composition takes.
    ProjectFileError
        A configuration cannot be read or refers to nothing; its file is named.
    """
    found = compose_all(root, here, [overrides])
    return found[0] if found is not None else None


def compose_all(
    root: Path,
    here: str,
    points: Sequence[Sequence[Override]],
    version: Version | None = None,
) -> tuple[str, ...] | None:
    """The texts of params.yaml for the points of a sweep, each distinct one composed once; None where it is off.

    Parameters
    ----------
    version
        Whose configurations; None means those in the workspace, committed or not. A module of configurations and
        plugins are those that Python finds in any case.

    Raises
    ------
    NotFound, UsageError, ProjectFileError
        As `compose`, for the first point that has it.

    Notes
    -----
    One process of 0.5 s, and 50 ms for each distinct point.
    """
    where = source(root)
    if where is None:
        return None
    asked = [tuple(hydra_text(one) for one in point if is_composed(one)) for point in points]
    distinct = list(dict.fromkeys(asked))
    with _files_of(where, version) as there:
        texts = dict(zip(distinct, _ask(there, root / here, root, distinct), strict=True))
    return tuple(texts[one] for one in asked)


@contextmanager
def _files_of(where: Source, version: Version | None) -> Iterator[Source]:
    """The source, its folder that of the version while inside."""
    if version is None or where.directory is None:
        yield where
        return
    import tempfile

    top = posixpath.normpath(posixpath.join(version.prefix, where.shown)) + "/"
    git = version.git
    paths = [path for path in git.tree(version.rev) if path.startswith(top)]
    contents = git.read_many([f"{version.rev}:{path}" for path in paths])
    with tempfile.TemporaryDirectory(prefix="nbexp-") as folder:
        for path, data in zip(paths, contents, strict=True):
            file = Path(folder, path.removeprefix(top))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data or b"")
        yield replace(where, directory=os.path.realpath(folder) if paths else folder + "/none")


def is_composed(override: Override) -> bool:
    """Whether an override goes into the composition, where that is on: it is of params.yaml, spelled so."""
    return override.file == DEFAULT_FILE


def refuse_choices(root: Path, overrides: Sequence[Override], untouched: str) -> None:
    """Refuse overrides that choose a member of a group, for verbs that start from values composed before.

    Raises
    ------
    UsageError
        One does, and composing is on.
    """
    if not overrides:
        return
    where = source(root)
    if where is None or where.directory is None:
        return
    for one in overrides:
        group = one.key.partition("@")[0].replace(".", "/")
        if is_composed(one) and (Path(where.directory) / group).is_dir():
            raise UsageError(
                f"`{one.text}` chooses a configuration of {where.shown}/{group}; this goes on from values that are "
                f"composed already. {untouched}",
                f"`nbexp run -S {one.text}` composes anew.",
            )


# ---- the process that composes, seen from here


def _ask(where: Source, cwd: Path, root: Path, points: Sequence[Sequence[str]]) -> Sequence[str]:
    import subprocess

    request = {
        "source": [where.directory, where.shown, where.name, where.plugins],
        "root": str(root),
        "points": [list(point) for point in points],
    }
    done = subprocess.run(
        # A folder of the user's must not stand in for a module of the standard library.
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(request).encode(),
        capture_output=True,
        cwd=cwd if cwd.is_dir() else root,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProjectFileError(
            f"composing stopped (exit code {done.returncode}): {said[-1] if said else 'nothing was said'}. "
            "Nothing was run.",
            "`nbexp run --no-hydra` runs with params.yaml as it is.",
            path=where.start,
        ) from None
    if "error" in answer:
        raise _error(answer["error"])
    return list(map(str, answer["texts"]))


_KINDS: Mapping[str, type[NbexpError]] = {"NotFound": NotFound, "UsageError": UsageError}


def _error(told: Mapping[str, Any]) -> NbexpError:
    if told["kind"] in _KINDS:
        return _KINDS[told["kind"]](told["message"], told["hint"])
    return ProjectFileError(told["message"], told["hint"], path=told["path"], line=told["line"])


# ---- the process itself


@frozen
class _Fault:
    """Why a composition is not to be had, as it travels."""

    kind: str
    message: str
    hint: str | None = None
    path: str | None = None
    line: int | None = None


def _serve() -> None:
    """Answer the one request on standard input."""
    sys.dont_write_bytecode = True  # no `__pycache__` in the user's folders
    # Whatever plugins print must not stand in the answer.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    where = Source(*request["source"])
    found = _composed(where, request["root"], request["points"])
    told = {"error": vars(found)} if isinstance(found, _Fault) else {"texts": found}
    json.dump(told, answer)
    answer.flush()


def _composed(where: Source, root: str, points: Sequence[Sequence[str]]) -> list[str] | _Fault:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir, initialize_config_module
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    if where.directory is not None and not os.path.isdir(where.directory):
        return _Fault(
            "ProjectFileError",
            f"`hydra.enabled` is on and there is no folder {where.shown} to compose params.yaml of. Nothing was run.",
            "`nbexp config hydra.config_dir FOLDER` names another, `nbexp run --no-hydra` runs without.",
            ".dvc/config",
        )
    if not os.path.isdir(where.plugins):
        return _Fault(
            "ProjectFileError",
            f"`hydra.plugins_path` names {where.plugins}, which is no folder. Nothing was run.",
            "`nbexp config hydra.plugins_path --unset`",
            ".dvc/config",
        )
    sys.path.append(where.plugins)
    if root not in sys.path:
        sys.path.append(root)
    Plugins.instance()
    initialize = (
        initialize_config_dir(where.directory, version_base=None)
        if where.directory is not None
        else initialize_config_module(where.shown, version_base=None)
    )
    texts: list[str] = []
    with initialize:
        for point in points:
            composed = None
            try:
                composed = hydra_compose(config_name=where.name, overrides=list(point))
                OmegaConf.resolve(composed)
            except Exception as error:  # noqa: BLE001 - resolvers and plugins are anybody's code
                return _Explained(where, point, hydra_compose, composed).fault(error)
            texts.append(OmegaConf.to_yaml(composed))
    return texts


class _Explained:
    """Says of what Hydra or OmegaConf raise which file or override it is about, in one sentence."""

    def __init__(self, where: Source, point: Sequence[str], compose: Any, composed: Any) -> None:
        self.where = where
        self.point = point
        self.compose = compose
        self.composed = composed

    def fault(self, error: Exception) -> _Fault:
        text = str(error)
        for pattern, explain in (
            (r"In '(?P<file>[^']+)': Could not (?:find|load) '(?P<name>[^']+)'", self._no_member),
            (r"Cannot find primary config '", self._no_start),
            (r"Primary config module '(?P<module>[^']*)' not found", self._no_module),
            (r"Could not override '(?P<key>[^']+)'", self._no_key),
            (r"Could not delete from config\. '(?P<key>[^']+)' does not exist", self._no_key),
            (r"Could not delete '(?P<key>[^']+)'\. No match", self._no_key),
            (
                r"Could not append to config\. An item is already at '(?P<key>[^']+)'",
                self._is_there,
            ),
            (r"Interpolation key '(?P<name>[^']+)' not found", self._refers_to_nothing),
            (r"Environment variable '(?P<name>[^']+)' not found", self._no_variable),
            (r"The value of '(?P<key>[^']+)' is (?P<value>.*) and not", self._has_another),
            (r"Config group override must be a string or a list", self._no_choice),
        ):
            found = re.search(pattern, text)
            if found is not None:
                return explain(found)
        mark = getattr(error, "problem_mark", None)
        if mark is not None:
            problem = getattr(error, "problem", None) or "it is no YAML"
            return self._in_file(f"{problem}.", self._shown(mark.name), mark.line + 1)
        first = text.strip().partition("\n")[0].rstrip(".") or type(error).__name__
        typed = next((one for one in self.point if one in text), None)
        if typed is not None:
            parsed = type(error).__name__ == "OverrideParseException"
            why = "Hydra does not read it" if parsed else first
            return _Fault(
                "UsageError",
                f"`{typed}` cannot be composed: {why}. Nothing was run.",
                "keys are names with dots, text with grammar in it stands in quotes.",
            )
        if isinstance(error, UnicodeDecodeError):
            return self._in_file("this is not UTF-8.", *self._undecodable())
        key, value = self._unresolved()
        if key is None:
            return self._in_file(f"{first}.", self.where.start)
        return self._in_file(f"`{key}` cannot be resolved: {first}.", *self._file_with(value))

    def _no_member(self, found: re.Match[str]) -> _Fault:
        file, name = found["file"], found["name"]
        group, _, member = name.rpartition("/")
        known = self._members(group)
        near = nearest(member, known)
        has = ", ".join(f"`{one}`" for one in known[:8]) + (", …" if len(known) > 8 else "")
        folder = posixpath.join(self.where.shown, group) if group else self.where.shown
        typed = next(
            (
                one
                for one in self.point
                if one.partition("=")[2].strip("'\"") == member
                and one.partition("=")[0].lstrip("+").partition("@")[0] == group
            ),
            None,
        )
        hint = f"did you mean `{near}`?" if near else None
        if has:
            hint = " ".join([*([hint] if hint else []), f"{folder} has {has}."])
        if typed is not None:
            return _Fault(
                "NotFound",
                f"No configuration `{member}` in {folder}, for `{typed}`. Nothing was run.",
                hint,
            )
        path = self.where.file(file)
        return self._in_file(
            f"there is no configuration `{name}`.", path, self._line_of(path, member), hint
        )

    def _no_start(self, found: re.Match[str]) -> _Fault:
        known = self._members("")
        near = nearest(self.where.name, known)
        return _Fault(
            "ProjectFileError",
            f"there is no configuration {self.where.start} to begin with. Nothing was run.",
            f"`nbexp config hydra.config_name {near or (known or ['NAME'])[0]}`",
            ".dvc/config",
        )

    def _no_module(self, found: re.Match[str]) -> _Fault:
        return _Fault(
            "ProjectFileError",
            f"`hydra.config_module` names {self.where.shown}, which cannot be imported. Nothing was run.",
            "a module is a folder with an __init__.py in the project, or an installed package.",
            ".dvc/config",
        )

    def _no_key(self, found: re.Match[str]) -> _Fault:
        key = found["key"]
        typed = self._typed(key) or key
        near = nearest(key, self._keys(typed))
        hints = [f"did you mean `{near}`?"] if near else []
        if not typed.startswith("~"):
            hints.append(f"A new one is added with a plus: `nbexp run -S +{typed}`.")
        elif not near:
            hints.append(f"{self.where.start} says what there is.")
        return _Fault(
            "NotFound",
            f"No param `{key}` in what is composed of {self.where.start}. Nothing was run.",
            " ".join(hints),
        )

    def _is_there(self, found: re.Match[str]) -> _Fault:
        typed = self._typed(found["key"]) or found["key"]
        return _Fault(
            "UsageError",
            f"`{found['key']}` is in what is composed of {self.where.start} already. Nothing was run.",
            f"without the plus it is changed: `nbexp run -S {typed.lstrip('+')}`.",
        )

    def _has_another(self, found: re.Match[str]) -> _Fault:
        key = found["key"]
        return _Fault(
            "UsageError",
            f"`{key}` is {found['value']} in what is composed of {self.where.start}, not what "
            f"`{self._typed(key) or key}` says. Nothing was run.",
            f"`nbexp run -S '~{key}'` removes it whatever it is.",
        )

    def _no_choice(self, found: re.Match[str]) -> _Fault:
        groups = self._groups()
        for one in self.point:
            group = one.lstrip("+").partition("=")[0].partition("@")[0]
            value = one.partition("=")[2]
            if group in groups and value not in self._members(group):
                has = ", ".join(f"`{member}`" for member in self._members(group)[:8])
                folder = posixpath.join(self.where.shown, group)
                return _Fault(
                    "UsageError",
                    f"`{one}` chooses none of the configurations of {folder}. Nothing was run.",
                    f"{folder} has {has}; `nbexp run -S '~{group}'` chooses none.",
                )
        return self._in_file("a choice of a group must be text or a list.", self.where.start)

    def _refers_to_nothing(self, found: re.Match[str]) -> _Fault:
        name = found["name"]
        typed = next((one for one in self.point if "${" + name in one), None)
        if typed is not None:
            return _Fault(
                "UsageError",
                f"`{typed}` cannot be resolved: there is no `{name}` in what is composed. Nothing was run.",
                "`${key}` stands for the value of another param.",
            )
        return self._in_file(
            f"`${{{name}}}` refers to a param that the composition does not have.",
            *self._file_with("${" + name),
        )

    def _no_variable(self, found: re.Match[str]) -> _Fault:
        name = found["name"]
        return self._in_file(
            f"the environment variable `{name}` is not set.",
            *self._file_with("oc.env:" + name),
            "`${oc.env:NAME,default}` has a value for when it is not.",
        )

    def _in_file(
        self, message: str, path: str, line: int | None = None, hint: str | None = None
    ) -> _Fault:
        return _Fault("ProjectFileError", f"{message} Nothing was run.", hint, path, line)

    def _typed(self, key: str) -> str | None:
        """The override that names the key."""
        return next(
            (one for one in self.point if one.lstrip("+~").partition("=")[0].strip() == key), None
        )

    def _keys(self, without: str) -> list[str]:
        """The keys that there are once the override that names a wrong one is left out, and the groups."""
        from hydra.errors import HydraException
        from omegaconf import OmegaConf

        others = [one for one in self.point if one != without]
        try:
            tree = OmegaConf.to_container(
                self.compose(config_name=self.where.name, overrides=others), resolve=False
            )
        except (HydraException, ValueError, OSError):
            return []
        return [*values.flatten(tree), *(tree if isinstance(tree, dict) else ()), *self._groups()]

    def _files(self) -> Iterator[Path]:
        if self.where.directory is not None:
            yield from sorted(Path(self.where.directory).rglob("*.yaml"))

    def _groups(self) -> list[str]:
        top = Path(self.where.directory or "")
        return sorted({file.parent.relative_to(top).as_posix() for file in self._files()} - {"."})

    def _members(self, group: str) -> list[str]:
        if self.where.directory is None:
            return []
        folder = Path(self.where.directory, group)
        return sorted(file.stem for file in folder.glob("*.yaml")) if folder.is_dir() else []

    def _file_with(self, text: str | None) -> tuple[str, int | None]:
        """The first file and line that has a text; the file that all begins with where none has."""
        for file in self._files() if text else ():
            path = self._shown(str(file))
            line = self._line_of(path, text or "")
            if line is not None:
                return path, line
        return self.where.start, None

    def _unresolved(self) -> tuple[str | None, str]:
        """The first key of the composition whose value cannot be had, and how it is spelled."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        if self.composed is None:
            return None, ""
        for key, value in values.flatten(OmegaConf.to_container(self.composed)).items():
            if not isinstance(value, str) or "${" not in value:
                continue
            try:
                OmegaConf.select(self.composed, key)
            except (OmegaConfBaseException, ValueError, TypeError):
                return key, value
        return None, ""

    def _undecodable(self) -> tuple[str, int | None]:
        for file in self._files():
            data = file.read_bytes()
            try:
                data.decode()
            except UnicodeDecodeError as error:
                return self._shown(str(file)), data.count(b"\n", 0, error.start) + 1
        return self.where.start, None

    def _line_of(self, shown: str, text: str) -> int | None:
        if self.where.directory is None:
            return None
        path = Path(self.where.directory, posixpath.relpath(shown, self.where.shown))
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            return None
        return next((number for number, line in enumerate(lines, 1) if text in line), None)

    def _shown(self, path: str) -> str:
        if self.where.directory is None or not path.startswith(self.where.directory):
            return path
        return posixpath.join(
            self.where.shown, Path(path).relative_to(self.where.directory).as_posix()
        )


if __name__ == "__main__":
    _serve()
