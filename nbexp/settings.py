"""nbexp's own settings: `nbexp.toml` in the project's root, else `[tool.nbexp]` of pyproject.toml.

They are not in `.dvc/config` because DVC refuses a config with a section it does not know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from nbexp.errors import ProjectFileError, nearest
from nbexp.frozen import field, frozen


@frozen
class Settings:
    """Every setting with its default; `docs/reference/settings` lists the same fields.

    Attributes
    ----------
    hints
        End a run's card with what one would do next.
    canonical
        Write executed notebooks without times, durations and machine paths, so that equal results
        are equal bytes.
    run_cache
        Restore a stage that ran before under the same conditions instead of running it.
    interactive
        In a notebook, `show` is the panel that `show -i` asks for.
    resources
        What there is for stages and queued experiments that run at once: `gpu = 2`, `mem = "64GB"`. A stage
        says what it needs under `meta: {nbexp: {resources: {gpu: 1}}}`. Devices that are listed,
        `gpu = ["0", "3"]`, are shared out among the queue's workers as `CUDA_VISIBLE_DEVICES`.
    better
        Which way is better for a metric whose name does not say it: `better = {ratio = "lower"}`.
    alerts
        When somebody is told of a run, and how: a table for each alert, `[alerts.good]` with
        `when = "acc > 0.95"`.
    """

    hints: bool = True
    canonical: bool = True
    run_cache: bool = True
    interactive: bool = False
    resources: Mapping[str, object] = field(default_factory=dict)
    better: Mapping[str, str] = field(default_factory=dict)
    alerts: Mapping[str, object] = field(default_factory=dict)


def read(root: Path) -> Settings:
    """The settings of the project in `root`; the defaults where it has none.

    Raises
    ------
    ProjectFileError
        The file is no TOML, or names a setting that does not exist or has another type.
    """
    own = root / "nbexp.toml"
    shared = root / "pyproject.toml"
    if own.exists():
        return _settings(_table(own), own.name)
    if shared.exists() and b"tool.nbexp" in shared.read_bytes():
        tool = _table(shared).get("tool")
        section = tool.get("nbexp", {}) if isinstance(tool, dict) else tool
        if not isinstance(section, dict):
            raise ProjectFileError(
                f"`tool.nbexp` is {section!r}; a table of settings is expected.", path=shared.name
            )
        return _settings(section, shared.name)
    return Settings()


def file_name(root: Path) -> str:
    """Which file the settings of the project in `root` stand in, or would."""
    shared = root / "pyproject.toml"
    if (root / "nbexp.toml").exists() or not shared.exists():
        return "nbexp.toml"
    return shared.name if b"tool.nbexp" in shared.read_bytes() else "nbexp.toml"


def user_file(home: Path) -> Path:
    """The user's own settings, which no project brings along: `nbexp/nbexp.toml` where configuration is kept.

    Notes
    -----
    `$XDG_CONFIG_HOME`, else `~/.config` (XDG Base Directory Specification 0.8).
    """
    chosen = os.environ.get("XDG_CONFIG_HOME")
    return (Path(chosen) if chosen else home / ".config") / "nbexp" / "nbexp.toml"


def read_user(path: Path) -> Mapping[str, object]:
    """The user's own alerts; none where there is no such file.

    Raises
    ------
    ProjectFileError
        The file is no TOML, or has another setting, all of which are the project's.
    """
    if not path.exists():
        return {}
    table = _table(path, str(path))
    for name in table:
        if name != "alerts":
            raise ProjectFileError(
                f"there is no setting `{name}` for all projects, only `alerts`.",
                "`nbexp.toml` in the project's root has the others.",
                path=str(path),
            )
    return _settings(table, str(path)).alerts


def _table(path: Path, shown: str | None = None) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectFileError(f"this is not TOML ({error}).", path=shown or path.name) from None


def _settings(table: dict[str, object], path: str) -> Settings:
    known = vars(Settings())
    for name, value in table.items():
        if name not in known:
            near = nearest(name, known) or min(known)
            raise ProjectFileError(
                f"there is no setting `{name}`.", f"did you mean `{near}`?", path=path
            )
        if type(value) is not type(known[name]):
            wanted = "true or false" if isinstance(known[name], bool) else "a table"
            raise ProjectFileError(f"`{name}` is {value!r}; {wanted} is expected.", path=path)
    for metric, way in _flat(table.get("better", {})):
        if way not in ("higher", "lower"):
            raise ProjectFileError(
                f'`better.{metric}` is {way!r}; "higher" or "lower" is expected.', path=path
            )
    if "better" in table:
        table = {**table, "better": dict(_flat(table["better"]))}
    return Settings(**table)  # type: ignore[arg-type]  # each value was checked against its field


def _flat(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys of a table: `better.val.loss` may be written with quotes or without."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from _flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value
