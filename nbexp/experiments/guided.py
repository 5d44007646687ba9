"""`init` with a command: a stage in the layout that DVC 2.x assumed, asked for or given by options.

DVC 3 has no such command; the questions, their defaults, what is omitted with `n`, and the stage that is
written are those of `dvc exp init` of DVC 2.58.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from nbexp.errors import NotFound, ProjectFileError, UsageError
from nbexp.events import Emit
from nbexp.events import ignore as ignore_events
from nbexp.experiments import founding
from nbexp.formats import config, dvc_yaml, ignore
from nbexp.formats.dvc_yaml import adding
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.results import Asker, Result


@frozen
class Question:
    """One of the seven: `text` is what is asked for, `default` what an empty answer means."""

    key: str
    text: str
    default: str


QUESTIONS = (
    Question("cmd", "Command to run", ""),
    Question("code", "Code, a file or folder", "src"),
    Question("data", "Data, a file or folder", "data"),
    Question("models", "Model, a file or folder", "models"),
    Question("params", "Params file", "params.yaml"),
    Question("metrics", "Metrics file", "metrics.json"),
    Question("plots", "Plots, a file or folder", "plots"),
)
OMIT = "n"
GUIDE = (
    "Seven questions make a stage of dvc.yaml out of a command. Each but the first has a default; "
    f"`{OMIT}` leaves the line out.\nThis layout is assumed:"
)
# What is what in the tree, which is sorted as `tree` sorts it.
_KINDS = {
    "code": "code",
    "data": "data that the command reads",
    "models": "models that it writes",
    "params": "params that it reads",
    "metrics": "metrics that it writes",
    "plots": "plots that it writes",
}


@frozen
class StageWritten(Result):
    """The stage that `init` wrote for a command.

    Attributes
    ----------
    created
        Files and folders that were made so that the stage can be run; relative to the project.
    outs
        What the command has to write.
    """

    root: Path
    file: str
    stage: str
    definition: Mapping[str, object]
    created: tuple[str, ...]
    outs: tuple[str, ...]
    wrote: tuple[str, ...]
    baseline: str
    message: str
    new_repository: bool

    def to_json(self) -> dict[str, object]:
        return {
            "root": str(self.root),
            "file": self.file,
            "stage": self.stage,
            "definition": dict(self.definition),
            "created": list(self.created),
            "wrote": list(self.wrote),
            "baseline": self.baseline,
        }


@frozen
class Setup(Result):
    """A guided setup that waits for its answers.

    A terminal asks (`converse`), a notebook shows a form; both end with `answer`.

    Attributes
    ----------
    given
        What the command line has said already, by the question's key; also `live`.
    defaults
        By key; a key without one has none.
    """

    here: Path
    given: Mapping[str, str]
    defaults: Mapping[str, str]
    name: str = "train"
    kind: str = "default"
    force: bool = False

    @property
    def questions(self) -> tuple[Question, ...]:
        """Those that are still open, in their order."""
        known = set(self.given)
        if "live" in known:
            known |= {"metrics", "plots"}
        return tuple(question for question in QUESTIONS if question.key not in known)

    @property
    def tree(self) -> str:
        """The assumed layout, a line each, with what each part is."""
        places = {
            self.given.get(key) or self.defaults.get(key): text for key, text in _KINDS.items()
        }
        names = sorted(name for name in places if name)
        size = max(map(len, names), default=0)
        return "\n".join(
            f"{'└──' if name == names[-1] else '├──'} {name.ljust(size)}   {places[name]}"
            for name in names
        )

    @property
    def guide(self) -> str:
        """What the questions are about."""
        return GUIDE

    def to_json(self) -> dict[str, object]:
        return {
            "questions": {q.key: self.defaults.get(q.key) for q in self.questions},
            "given": dict(self.given),
        }

    def converse(self, asker: Asker, emit: Emit = ignore_events) -> StageWritten:
        """Ask what is open, and write the stage.

        Raises
        ------
        UsageError
            Nobody answers. Nothing was written.
        """
        if asker.is_person:
            asker.say(f"{GUIDE}\n{self.tree}\n")
        found: dict[str, str] = {}
        for question in self.questions:
            found[question.key] = self._asked(question, asker)
        return self.answer(found)

    def answer(self, answers: Mapping[str, str]) -> StageWritten:
        """Write the stage that the answers make; empty is the default, `n` leaves it out.

        Raises
        ------
        UsageError, ProjectFileError
            There is no command, the stage is there already, or an answer cannot be. Nothing was written.
        """
        found = dict(self.given)
        for question in self.questions:
            text = answers.get(question.key, "").strip() or self.defaults.get(question.key, "")
            if text and (text.lower() != OMIT or question.key == "cmd"):
                found[question.key] = text
        return write(self.here, found, name=self.name, kind=self.kind, force=self.force)

    def _asked(self, question: Question, asker: Asker) -> str:
        default = self.defaults.get(question.key)
        if question.key == "cmd":
            words = ""
        else:
            words = f" [{default}, {OMIT} to omit]" if default else f" [{OMIT} to omit]"
        while True:
            try:
                text = asker.ask(f"{question.text}{words}: ").strip()
            except EOFError:
                raise UsageError(
                    "`nbexp init -i` asks on a terminal or in a notebook, and nobody answers here. "
                    "Nothing was written.",
                    "give the answers as options: `nbexp init 'python src/train.py' --data data`.",
                ) from None
            chosen = text or default or ""
            if question.key == "cmd" and not chosen:
                continue
            problem = self.problem(question.key, chosen)
            if problem is None:
                return text
            asker.say(problem)
            if not asker.is_person:
                raise UsageError(f"{problem} Nothing was written.")

    def problem(self, key: str, text: str) -> str | None:
        """What is wrong with an answer, as a sentence; None where nothing is."""
        if key == "cmd" or not text or text.lower() == OMIT:
            return None
        if key in {"params", "metrics"} and (self.here / text).is_dir():
            return f"`{text}` is a folder; the {key} are in a file."
        return None


def prepare(
    here: Path,
    given: Mapping[str, str],
    *,
    explicit: bool = False,
    name: str = "train",
    kind: str = "default",
    force: bool = False,
) -> Setup:
    """The setup with its defaults: DVC's, and over them those of the section `exp` of `.dvc/config`.

    Parameters
    ----------
    explicit
        No defaults: what is not said is left out.
    """
    defaults: dict[str, str] = {}
    if not explicit:
        defaults = {question.key: question.default for question in QUESTIONS if question.default}
        defaults.update(_configured(here))
    return Setup(here, dict(given), defaults, name, kind, force)


def write(
    here: Path,
    given: Mapping[str, str],
    *,
    name: str = "train",
    kind: str = "default",
    force: bool = False,
) -> StageWritten:
    """Write the stage into the dvc.yaml of `here`, make what it needs, and commit nbexp's own files.

    Folders and files of deps and params that are not there are made empty, folders of outs too.

    Raises
    ------
    UsageError, ProjectFileError
        There is no command, the stage is there already, or a path cannot be. Nothing was written.
    """
    if not given.get("cmd"):
        raise UsageError(
            "There is no command to make a stage of. Nothing was written.",
            "`nbexp init 'python src/train.py'`, or `nbexp init -i` to be asked.",
        )
    git = Git.find(here)
    root = founding.root_of(here, git)
    folder = Path(here.resolve().relative_to(root.resolve())).as_posix()
    definition = _definition(given, kind)
    file = posixpath.normpath(posixpath.join(folder, "dvc.yaml"))
    old = founding.read(root / file)
    data = adding.add_stage(
        old, name, definition, path=file, force=force, read=lambda path: founding.read(root / path)
    )
    _check(root, file, name, data, given, here)
    made = _missing(here, definition, given)
    files = {file: data}
    models = given.get("models")
    if models:
        files |= _ignored(root, folder, models)
    params = given.get("params")
    if params and not (here / params).exists():
        files[posixpath.normpath(posixpath.join(folder, params))] = b""
    message = f"nbexp: track {given['cmd']}"
    own = [here / params] if params and (here / params).is_file() else []
    wrote, rev = founding.write(root, git, files, own, message)
    for path in made:
        if path.endswith("/"):
            (here / path).mkdir(parents=True, exist_ok=True)
        else:
            (here / path).parent.mkdir(parents=True, exist_ok=True)
            (here / path).touch()
    outs = tuple(sorted(_outs(definition)))
    return StageWritten(root, file, name, definition, made, outs, wrote, rev, message, git is None)


def _definition(given: Mapping[str, str], kind: str) -> dict[str, object]:
    """The stage in the words of dvc.yaml, as DVC 2.x made it of these answers."""
    metrics, plots = [given.get("metrics")], [given.get("plots")]
    if live := given.get("live"):
        metrics.append(posixpath.join(live, "metrics.json"))
        plots.append(posixpath.join(live, "plots"))
    is_checkpoint = kind == "checkpoint"
    options = {"cache": False, **({"persist": True} if is_checkpoint else {})}
    models = given.get("models")
    params = given.get("params")
    stage: dict[str, object] = {
        "cmd": given["cmd"],
        "deps": sorted({given[key] for key in ("code", "data") if given.get(key)}),
        "params": [{params: None}] if params else [],
        "outs": [{models: {"checkpoint": True}} if is_checkpoint else models] if models else [],
        "metrics": [{path: dict(options)} for path in metrics if path],
        "plots": [{path: dict(options)} for path in plots if path],
    }
    return {key: value for key, value in stage.items() if value}


def _outs(definition: Mapping[str, object]) -> list[str]:
    found: list[object] = []
    for bucket in ("outs", "metrics", "plots"):
        entries = definition.get(bucket)
        found += entries if isinstance(entries, list) else []
    return [next(iter(one)) if isinstance(one, dict) else str(one) for one in found]


def _check(
    root: Path, file: str, name: str, data: bytes, given: Mapping[str, str], here: Path
) -> None:
    """Whether the stage can live with the others: no output may be in two of them."""
    params = given.get("params")
    if params and (here / params).is_dir():
        raise UsageError(f"`{params}` is a folder; the params are in a file. Nothing was written.")
    found = dvc_yaml.parse(data, file, lambda path: founding.read(root / path))
    spec = next(stage for stage in found.stages if stage.name == name)
    folder = posixpath.dirname(file)
    new = {posixpath.normpath(posixpath.join(folder, out.path)) for out in spec.outs}
    for path in new:
        if path.startswith("../") or posixpath.isabs(path):
            raise ProjectFileError(f"`{path}` lies outside of the project.", path=file)
    used = [*spec.deps, *(param.path for param in spec.params), *(out.path for out in spec.outs)]
    places = [posixpath.normpath(posixpath.join(folder, path)) for path in used]
    for number, path in enumerate(places):
        for other in places[number + 1 :]:
            if other in new and _overlap(path, other):
                raise UsageError(
                    f"`{path}` and `{other}` lie in each other; an output has its own place. "
                    "Nothing was written.",
                    f"give another path, or leave it out with `{OMIT}`.",
                )
    for stage, out in graphs.load(root).outs:
        if stage.file == file and stage.name == name:
            continue
        for path in new:
            if _overlap(path, out.path):
                raise UsageError(
                    f"`{path}` is an output of stage `{stage.name}` already. Nothing was written.",
                    f"give another path, or leave it out with `{OMIT}`.",
                )


def _overlap(path: str, other: str) -> bool:
    return graphs.is_inside(path, other) or graphs.is_inside(other, path)


def _missing(
    here: Path, definition: Mapping[str, object], given: Mapping[str, str]
) -> tuple[str, ...]:
    """What has to be made so that the command can run; folders end with a slash."""
    found: list[str] = []
    for key in ("code", "data", "params"):
        path = given.get(key)
        if path and not (here / path).exists():
            found.append(path if key == "params" or posixpath.splitext(path)[1] else f"{path}/")
    for path in _outs(definition):
        folder = posixpath.dirname(path) if posixpath.splitext(path)[1] else path
        if folder and not (here / folder).exists():
            found.append(f"{folder}/")
    return tuple(dict.fromkeys(found))


def _ignored(root: Path, folder: str, path: str) -> dict[str, bytes]:
    """The .gitignore that keeps an output out of Git, with its new line."""
    whole = posixpath.normpath(posixpath.join(folder, path))
    file = posixpath.join(posixpath.dirname(whole), ".gitignore")
    line = ignore.add_line(founding.read(root / file), posixpath.basename(whole))
    return {} if line is None else {file: line}


def _configured(here: Path) -> dict[str, str]:
    """The defaults in the section `exp` of DVC's configuration."""
    git = Git.find(here)
    root = founding.root_of(here, git)
    if not (root / ".dvc").is_dir():
        return {}
    try:
        settings = config.read(root / ".dvc")
    except (NotFound, ProjectFileError):
        return {}
    keys = [question.key for question in QUESTIONS if question.key != "cmd"]
    found = {key: settings.get("exp", key) for key in keys}
    return {key: value for key, value in found.items() if isinstance(value, str) and value}
