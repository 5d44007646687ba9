"""`nbexp.Live`: dvclive's logger, method for method, with the same files to the byte.

    with nbexp.Live() as live:
        live.log_params({"lr": 0.01, "epochs": 10})
        for epoch in range(10):
            live.log_metric("train/loss", loss)
            live.next_step()

dvclive 3.49.1 (formats.md 8.3); `tests/conformance/test_live.py` runs the same calls with both. Nothing is sent to
DVC Studio.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, Self

from nbexp.live import around, checkpointing, tables, telling

if TYPE_CHECKING:
    from types import TracebackType

    from nbexp.live.plots import Plot
    from nbexp.live.report import Report
    from nbexp.live.system import Monitor

ReportMode = Literal["md", "notebook", "html"]


class Live:
    """Logs params, metrics, pictures, plots and artifacts of a training, step by step.

    As a stage of a pipeline it leaves recording to whoever runs that; alone, `end` saves an experiment.

    Parameters
    ----------
    dir
        The folder of all files.
    resume
        Go on from the last step in the folder. Otherwise what a `Live` left there is removed.
    report
        Draw all of it into `report.html` or `report.md` in the folder, or below the cell (`notebook`), with
        each step. None draws nothing.
    save_dvc_exp
        Save an experiment at the end; has no effect in a pipeline.
    dvcyaml
        The dvc.yaml that lists the files, so that `nbexp show`, `plot` and DVC find them; None or False: none.
    cache_images
        Track the folder of pictures as data at the end.
    exp_name, exp_message
        Of the experiment that is saved; two words, and DVC's own message, where they are None.
    monitor_system
        Log what CPU, memory, disk and GPU do: see the method of this name.

    Attributes
    ----------
    summary
        The last value of each metric, nested at the slashes of names; `make_summary` writes it.

    Raises
    ------
    ValueError
        `report` is no such word, or `dvcyaml` is the path of no dvc.yaml.

    Notes
    -----
    `DVCLIVE_RESUME`, `DVCLIVE_OPEN` and `DVCLIVE_TEST` mean what they mean to dvclive. Wrong types are
    TypeErrors and wrong words ValueErrors, where dvclive has classes of its own.
    """

    def __init__(
        self,
        dir: str = "dvclive",
        resume: bool = False,
        report: ReportMode | None = None,
        save_dvc_exp: bool = True,
        dvcyaml: str | os.PathLike[str] | bool | None = "dvc.yaml",
        cache_images: bool = False,
        exp_name: str | None = None,
        exp_message: str | None = None,
        monitor_system: bool = False,
    ) -> None:
        self.summary: dict[str, Any] = {}
        # A cell that is recorded as an experiment (`%%exp`) keeps what it logs apart from the project's files, lists
        # it itself, and saves it itself.
        own = os.environ.get("NBEXP_CELL")
        is_apart = bool(own) and dir == "dvclive"
        if is_apart:
            dvcyaml = None
        save_dvc_exp = save_dvc_exp and not own
        self._dir = own if own and is_apart else dir
        self._resume = resume or around.is_on("DVCLIVE_RESUME")
        self._save_dvc_exp = save_dvc_exp
        self._step: int | None = None
        self._has_news = False  # something was logged for the present step
        self._cache_images = cache_images
        self._exp_name = exp_name or os.environ.get("DVC_EXP_NAME")
        self._exp_message = exp_message
        self._metrics: dict[str, str] = {}  # name -> the file of its table, "" until it has one
        self._images: set[str] = set()
        self._params: dict[str, Any] = {}
        self._plots: dict[str, Plot] = {}
        self._artifacts: dict[str, dict[str, Any]] = {}
        self._untracked: list[str] = []
        self._written: tuple[object, object] | None = None  # of dvc.yaml: how it was left
        self._own_dvcyaml: bytes | None = None  # the file, where nobody else wrote to it
        self._sections: list[str] = []  # of that file, in its order
        self._inside_with = False
        self._lock = threading.RLock()  # the monitor of the system logs from a thread of its own
        self._monitor: Monitor | None = None
        self._dvcyaml = dvcyaml
        self._dvc_file = _dvc_file(dvcyaml)
        self._report: Report | None = None
        if report is not None:
            from nbexp.live.report import Report

            self._report = Report.of(report)
        self._around = around.Around()
        if around.is_on("DVCLIVE_TEST"):
            self._move_away()
        elif not own:
            self._look_around()
        os.makedirs(self.dir, exist_ok=True)
        if self._resume:
            self._go_on()
        else:
            self._clean()
        if monitor_system:
            self.monitor_system()

    # ---- params, metrics, steps

    @property
    def step(self) -> int:
        """The step of what is logged next, beginning at 0."""
        return self._step or 0

    @step.setter
    def step(self, value: int) -> None:
        self._step = value

    def log_param(self, name: str, val: Any) -> None:
        """Write one param into `params.yaml`: a number, text, bool, or list or mapping of them."""
        self.log_params({name: val})

    def log_params(self, params: dict[str, Any]) -> None:
        """Write params into `params.yaml`, beside those that are there.

        Raises
        ------
        TypeError
            A value is of a type that YAML has no form for. Nothing was written.
        """
        from nbexp import filesystem
        from nbexp.formats import dvc_lock

        whole = {**self._params, **{name: _plain(value) for name, value in params.items()}}
        try:
            data = dvc_lock.dump_tree(whole)
        except Exception as error:
            # Of ruamel.yaml, whose errors are known where it is imported alone.
            if type(error).__name__ != "RepresenterError":
                raise
            raise TypeError(f"a param has no form in YAML: {error}") from None
        self._params = whole
        filesystem.atomic_write(Path(self.params_file), data, durable=False)

    def log_metric(
        self, name: str, val: float | str, timestamp: bool = False, plot: bool = True
    ) -> None:
        """Add a row for the present step to the metric's table, and remember the value for the summary.

        Parameters
        ----------
        name
            Slashes make folders: `train/loss`.
        val
            A number, or text. What a library wraps as a number of no dimension is unwrapped.
        timestamp
            The row has the time as well, in milliseconds since 1970.
        plot
            Off: only the summary has the value.

        Raises
        ------
        TypeError
            The value is neither a number nor text. Nothing was written.
        ValueError
            The name would leave the folder, or is below one that has a value. Nothing was written.
        """
        known = tables.plain(name, val)
        self._has_news = True
        with self._lock:
            if name not in self._metrics:
                tables.check(name)
                telling.claim(self.dir)
            self._remember(name, known)
            self._metrics.setdefault(name, "")
            if plot:
                self._append(name, tables.as_written(val, known), timestamp=timestamp)
        telling.tell(self.step, {name: known})
        if self._report is None or self._report.mode != "notebook":
            telling.show(self.step, {name: known})

    def log(
        self,
        values: Mapping[str, Any] | float | None = None,
        /,
        *,
        step: int | None = None,
        **named: Any,
    ) -> None:
        """The metrics of one step, in one call: `live.log(loss=0.3, acc=0.9)`; the step is complete with it.

        Parameters
        ----------
        values
            A mapping, for names that are no Python names: `log({"train/loss": 0.3})`. A number is the step.
        step
            The step's number; None counts on.

        Raises
        ------
        TypeError, ValueError
            As `log_metric`. Nothing was written.
        """
        rows = {**values, **named} if isinstance(values, Mapping) else named
        if values is not None and not isinstance(values, Mapping):
            step = int(values) if step is None else step
        for name, value in rows.items():
            tables.plain(name, value)
            tables.check(name)
        if step is not None:
            self.step = step
        for name, value in rows.items():
            self.log_metric(name, value)
        self.next_step()

    def next_step(self) -> None:
        """The present step is complete: everything is written, and the next one begins."""
        if self._step is None:
            self._step = 0
        self.sync()
        around.mark_step(self.step)
        self.step += 1
        self._has_news = False

    def checkpoint(self, *, timeout_s: float = 60.0) -> int | None:
        """Record all that was logged, and params and outputs as they are, as the next step of the experiment.

        Call it when a step is complete, before or after `next_step`; `nbexp run --resume` goes on behind it.

        Returns
        -------
        int or None
            As `nbexp.live.checkpoint`: the number of the checkpoint, None where nobody records.

        Raises
        ------
        CheckpointFailed
            It could not be recorded.
        """
        upcoming = self._step
        if not self._has_news and "step" in self.summary:
            self._step = self.summary[
                "step"
            ]  # the one that is complete, also of who goes on from here
        try:
            self.sync()
        finally:
            self._step = upcoming
        self._stage_in_git()
        return checkpointing.checkpoint(timeout_s=timeout_s)

    def make_summary(self) -> None:
        """Write the last value of each metric, and the step, into `metrics.json`."""
        from nbexp.live import plots

        with self._lock:
            if self._step is not None:
                self.summary["step"] = self.step
            plots.write_json(self.metrics_file, self.summary)

    def read_latest(self) -> dict[str, Any]:
        """What `metrics.json` says; nothing where there is none."""
        try:
            with open(self.metrics_file, encoding="utf-8") as file:
                found = json.load(file)
        except FileNotFoundError:
            return {}
        return found if isinstance(found, dict) else {}

    def read_step(self) -> Any:
        """The last step that was written, 0 where there was none."""
        return self.read_latest().get("step", 0)

    # ---- pictures, plots, artifacts

    def log_image(self, name: str, val: Any) -> None:
        """Save a picture as `plots/images/NAME`, over one of the same name.

        Parameters
        ----------
        name
            With the suffix of its form: .jpg, .jpeg, .gif or .png. `f"samples/{live.step}.png"` keeps all.
        val
            An array of numpy, a figure of matplotlib, an image of PIL, or the path of a picture.

        Raises
        ------
        TypeError, ValueError
            It is no picture, or the name is none for a picture. Nothing was written.
        """
        from nbexp.live import plots

        name = plots.image_name(name, val)
        plots.save_image(Path(self.plots_dir) / "images" / name, val)
        self._images.add(name)

    def log_plot(
        self,
        name: str,
        datapoints: Any,
        x: str,
        y: str | list[str],
        template: str | None = "linear",
        title: str | None = None,
        x_label: str | None = None,
        y_label: str | None = None,
    ) -> None:
        """Save points as `plots/custom/NAME.json`, to be drawn with one of DVC's templates.

        Parameters
        ----------
        datapoints
            A list of dicts, a DataFrame, or an array of numpy.
        x, y
            Keys of the points; several for `y` make several lines.

        Raises
        ------
        TypeError
            The datapoints are none of these. Nothing was written.
        """
        from nbexp.live import plots

        rows = plots.points(datapoints)
        tables.check(name, "plot")
        if name not in self._plots:
            config = {
                "template": template or None,
                "x": x,
                "y": y,
                "title": title,
                "x_label": x_label,
                "y_label": y_label,
            }
            self._plots[name] = plots.Plot(name, os.path.join(self.plots_dir, "custom"), config)
        self._plots[name].write(rows)

    def log_sklearn_plot(
        self,
        kind: str,
        labels: Any,
        predictions: Any,
        name: str | None = None,
        title: str | None = None,
        x_label: str | None = None,
        y_label: str | None = None,
        normalized: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Compute one of scikit-learn's plots and save it as `plots/sklearn/NAME.json`.

        Parameters
        ----------
        kind
            `calibration`, `confusion_matrix`, `det`, `precision_recall` or `roc`.
        labels, predictions
            The true labels, and the predicted ones (for a confusion matrix) or probabilities (for all else).
        name
            Of the file; the kind where it is None.
        normalized
            Of a confusion matrix: shares instead of counts.
        kwargs
            Handed on to scikit-learn's function.

        Raises
        ------
        ValueError
            There is no such kind of plot. Nothing was written.
        """
        from nbexp.live import plots

        name = name or kind
        tables.check(name, "plot")
        known = self._plots.get(name)
        asked = {"title": title, "x_label": x_label, "y_label": y_label}
        config = {key: value for key, value in asked.items() if value is not None}
        folder = os.path.join(self.plots_dir, "sklearn")
        plot = known or plots.sklearn_plot(kind, name, folder, config, normalized=bool(normalized))
        plot.write(plots.sklearn_data(kind, labels, predictions, kwargs))
        self._plots[name] = plot

    def log_artifact(
        self,
        path: str | PurePath,
        type: str | None = None,
        name: str | None = None,
        desc: str | None = None,
        labels: list[str] | None = None,
        meta: dict[str, Any] | None = None,
        copy: bool = False,
        cache: bool = True,
    ) -> None:
        """Track a file or folder as data, and describe it in dvc.yaml where there is more to say of it.

        Parameters
        ----------
        type, name, desc, labels, meta
            What dvc.yaml says of it; with none of them it is not listed there. The name is the path's stem
            where it is None.
        copy
            Track a copy in `artifacts` of the folder.
        cache
            Off: only describe it. In a pipeline, an output of the stage is tracked by that.

        Raises
        ------
        TypeError
            The path is none.
        """
        if not isinstance(path, str | PurePath):
            raise TypeError(f"{path!r} is {path.__class__.__name__}; log_artifact takes a path")
        if self._around.root is None:
            around.warn(f"Outside of a repository nothing can be tracked; `{path}` is left alone.")
            return
        where = str(path)
        if copy:
            where = _copied(where, self.artifacts_dir)
        if cache:
            self.cache(where)
        about = {"type": type, "desc": desc, "labels": labels, "meta": meta}
        if not any((name, *about.values())):
            return
        name = name or Path(where).stem
        if not _is_artifact_name(name):
            around.warn(
                f"`{name}` cannot be the name of an artifact, which has letters, digits, `_`, `-` and `/`; "
                "dvc.yaml does not list it."
            )
            return
        given = {key: value for key, value in about.items() if value is not None}
        # As dvclive has it: the path first.
        self._artifacts[name] = {"path": where, **given}

    def cache(self, path: str | PurePath) -> None:
        """Track a file or folder as data: `nbexp data add`."""
        files = self._around.track(str(path))
        if self._save_dvc_exp:
            self._untracked += files

    # ---- what is written of all of it

    def sync(self) -> None:
        """Write the summary, dvc.yaml and the report as of now."""
        self.make_summary()
        if self._dvcyaml:
            self.make_dvcyaml()
        if self._report is not None and self._report.is_due():
            self.make_report()

    def make_dvcyaml(self) -> None:
        """List the files in dvc.yaml, in place of what it lists of the folder; all else there stays.

        A dvc.yaml that cannot be read is a warning, and stays as it is.
        """
        from nbexp import filesystem
        from nbexp.errors import ProjectFileError
        from nbexp.formats import dvclive

        path = Path(self.dvc_file)
        entries = self._entries()
        if self._written == (entries, _stamp(path)):
            return
        folder = Path(os.path.relpath(self.dir, path.parent.absolute())).as_posix()
        try:
            old = path.read_bytes() if path.exists() else None
            if old is None or old == self._own_dvcyaml:
                # Nothing of others is in it: the library that keeps what is can stay unloaded.
                # A section stays where it is, and a new one comes last, as where the file is edited.
                order = dict.fromkeys([*self._sections, *entries] if old else entries)
                self._sections = [section for section in order if section in entries]
                new = dvclive.new({section: entries[section] for section in self._sections})
                self._own_dvcyaml = new
            else:
                new = dvclive.updated(old, self.dvc_file, folder, entries)
        except ProjectFileError as error:
            around.warn(f"{error.message} It does not list what is logged.")
            return
        if new != old:
            filesystem.atomic_write(path, new, durable=False)
        self._written = (entries, _stamp(path))

    def make_report(self) -> None:
        """Draw what was logged, where a report was asked for: params and metrics as tables, curves, pictures, plots."""
        self._draw(goes_on=True)

    def _draw(self, *, goes_on: bool) -> None:
        if self._report is None:
            return
        with self._lock:
            self._report.make(
                self.dir,
                params=self._params,
                summary=self.summary,
                plots=tuple(self._plots.values()),
                goes_on=goes_on,
            )
        if self._report.mode == "html" and around.is_on("DVCLIVE_OPEN"):
            self._report.open(self.dir)

    def monitor_system(
        self,
        interval: float = 0.05,
        num_samples: int = 20,
        directories_to_monitor: dict[str, str] | None = None,
    ) -> None:
        """Log what CPU, memory, disk and GPU do, from a thread of its own, until `end`.

        Parameters
        ----------
        interval
            Seconds between two looks, 0.1 at most.
        num_samples
            How many looks make one row, which has their mean: 1 to 30.
        directories_to_monitor
            Name and path of each disk that is looked at; `{"main": "/"}` where it is None.

        Raises
        ------
        ValueError
            A name of a disk could not be the name of a metric.
        """
        from nbexp.live.system import Monitor

        if self._monitor is not None:
            self._monitor.end()
        disks = {"main": "/"} if directories_to_monitor is None else directories_to_monitor
        self._monitor = Monitor(self.log_metric, interval, num_samples, disks)

    def end(self) -> None:
        """The training has ended: write everything, and, outside of a pipeline, save an experiment.

        Leaving the context manager, and the callbacks, call it. Inside of the context it does nothing.
        """
        if self._inside_with:
            return
        if self._images and self._cache_images:
            self.cache(os.path.join(self.plots_dir, "images"))
        if "step" in self.summary:
            self.step = self.summary["step"]
        if self._monitor is not None:
            self._monitor.end()
            self._monitor = None
        self.sync()
        self._draw(goes_on=False)
        self._stage_in_git()
        self.save_dvc_exp()
        around.unmark_step()

    def _stage_in_git(self) -> None:
        """Let the experiment that runs this take in what is new."""
        if self._around.in_experiment and self._around.root is not None:
            self._around.stage_in_git(self.dir, *([self.dvc_file] if self._dvcyaml else []))

    def save_dvc_exp(self) -> None:
        """Save an experiment of what was logged and of all that Git tracks; `end` does it. Not in a pipeline."""
        if not self._save_dvc_exp:
            return
        if self._dvcyaml:
            self._untracked.append(self.dvc_file)
        try:
            assert self._exp_name is not None
            self._around.save(self._exp_name, self._exp_message, self._untracked)
        finally:
            around.unmark_alone()

    # ---- where things are

    @property
    def dir(self) -> str:
        """The folder of all files."""
        return self._dir

    @property
    def params_file(self) -> str:
        """`params.yaml` in the folder."""
        return os.path.join(self.dir, "params.yaml")

    @property
    def metrics_file(self) -> str:
        """`metrics.json` in the folder."""
        return os.path.join(self.dir, "metrics.json")

    @property
    def dvc_file(self) -> str:
        """The dvc.yaml that lists the files."""
        return self._dvc_file

    @property
    def plots_dir(self) -> str:
        """The folder of tables, pictures and plots."""
        return os.path.join(self.dir, "plots")

    @property
    def artifacts_dir(self) -> str:
        """The folder of copied artifacts."""
        return os.path.join(self.dir, "artifacts")

    @property
    def report_file(self) -> str | None:
        """The report, where one is written to a file."""
        return None if self._report is None else self._report.file(self.dir)

    def __enter__(self) -> Self:
        self._inside_with = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inside_with = False
        self.end()

    # ---- the beginning

    def _look_around(self) -> None:
        here = self._around
        if here.in_pipeline:
            if self._save_dvc_exp and not here.in_experiment:
                around.warn(
                    "A pipeline is reproduced without an experiment, so none is saved; `nbexp run` records one."
                )
            self._save_dvc_exp = False
            return
        git = here.git
        if git is None or git.head() is None:
            if git is not None:
                here.make_project()
            if self._save_dvc_exp:
                what = "repository: `git init` makes one" if git is None else "commit to start from"
                around.warn(f"No experiment will be saved: there is no Git {what}.")
            self._save_dvc_exp = False
            return
        here.make_project()
        self._exp_name = here.name(self._exp_name)
        if self._save_dvc_exp:
            around.mark_alone(self._exp_name)
            self._untracked.append(self.dir)

    def _move_away(self) -> None:
        """Log to a temporary folder, for tests of other libraries."""
        import tempfile

        folder = tempfile.mkdtemp()
        self._dir = os.path.join(folder, self._dir)
        self._dvc_file = os.path.join(folder, os.path.basename(self._dvc_file))
        self._save_dvc_exp = False
        self._around.root = None
        around.warn(f"DVCLIVE_TEST is set: everything is written to {folder}.")

    def _go_on(self) -> None:
        from nbexp.formats import values

        with contextlib.suppress(FileNotFoundError):
            found = values.parse(Path(self.params_file).read_bytes(), self.params_file)
            if isinstance(found, dict):
                self._params.update(found)
        self.summary = self.read_latest()
        self._step = self.read_step()
        # dvclive takes a first step, whose number is 0, for none; behind a checkpoint it is known that it was.
        is_behind = "step" in self.summary and checkpointing.resumed_step() is not None
        if self._step != 0 or is_behind:
            self._step = self.step + 1

    def _clean(self) -> None:
        import shutil

        from nbexp.live.plots import SUBFOLDERS

        for folder in SUBFOLDERS:
            shutil.rmtree(os.path.join(self.plots_dir, folder), ignore_errors=True)
        shutil.rmtree(
            os.path.join(self.dir, "report"), ignore_errors=True
        )  # the drawings of a report
        reports = (os.path.join(self.dir, name) for name in ("report.html", "report.md"))
        own = glob.glob(os.path.join(glob.escape(self.dir), "**dvc.yaml"))
        for file in (self.metrics_file, self.params_file, *reports, *own):
            with contextlib.suppress(FileNotFoundError):
                os.remove(file)

    # ---- the rest

    def _remember(self, name: str, value: object) -> None:
        """Put the value into the summary, at its place in the tree."""
        *above, last = os.path.normpath(name).split(os.path.sep)
        here = self.summary
        for number, part in enumerate(above):
            below = here.setdefault(part, {})
            if not isinstance(below, dict):
                taken = "/".join(above[: number + 1])
                raise ValueError(f"`{name}` cannot be logged beside `{taken}`, which has a value")
            here = below
        here[last] = value

    def _append(self, name: str, value: float | str, *, timestamp: bool) -> None:
        import time

        file = self._metrics[name]
        is_new = not file or not os.path.exists(file)
        if not file:
            file = self._metrics[name] = os.path.join(self.plots_dir, "metrics", f"{name}.tsv")
            is_new = not os.path.exists(file)
        if is_new:
            os.makedirs(os.path.dirname(file), exist_ok=True)
        row = {"timestamp": int(time.time() * 1000)} if timestamp else {}
        cells = [*row.values(), self.step, value]
        tables.append(file, [*row, "step", os.path.basename(name)], cells, anew=is_new)

    def _entries(self) -> dict[str, object]:
        """What dvc.yaml says of all that is logged."""
        base = Path(self.dvc_file).parent.absolute()

        def seen(path: str | os.PathLike[str]) -> str:
            return Path(os.path.relpath(Path(path).absolute(), base)).as_posix()

        found: dict[str, object] = {}
        if self._params:
            found["params"] = [seen(self.params_file)]
        if self._metrics or self.summary:
            found["metrics"] = [seen(self.metrics_file)]
        plots: list[object] = []
        metrics = os.path.join(self.plots_dir, "metrics")
        if os.path.exists(metrics):
            plots.append({seen(metrics): {"x": "step"}})
        if self._images:
            plots.append(seen(os.path.join(self.plots_dir, "images")))
        plots += [{seen(plot.path): dict(plot.config)} for plot in self._plots.values()]
        if plots:
            found["plots"] = plots
        if self._artifacts:
            found["artifacts"] = {
                name: {**about, "path": seen(about["path"])}
                for name, about in self._artifacts.items()
            }
        return found


def _dvc_file(asked: str | os.PathLike[str] | bool | None) -> str:
    if asked is None or isinstance(asked, bool):
        return "dvc.yaml"
    path = os.fspath(asked)
    if os.path.basename(path) != "dvc.yaml":
        raise ValueError(
            f"`{path}` is not the path of a dvc.yaml: DVC looks into files of that name"
        )
    return path


def _plain(value: object) -> object:
    """The value as Python's own where a library wraps one number."""
    if type(value).__module__ != "builtins" and getattr(value, "ndim", None) == 0:
        return value.item()  # type: ignore[attr-defined]
    return value


def _copied(path: str, folder: str) -> str:
    """A copy of the file or folder in `folder`, in place of one of the same name."""
    import shutil

    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, os.path.basename(os.path.normpath(path)))
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.remove(target)
    if os.path.isdir(path):
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
    return target


def _is_artifact_name(name: str) -> bool:
    """What GTO takes, which DVC's model registry is (gto 1.9, constants.py)."""
    import re

    return re.fullmatch(r"[a-zA-Z0-9]([a-zA-Z0-9/_-]*[a-zA-Z0-9])?", name) is not None


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
