"""The callbacks of `nbexp.live` beside dvclive's: the same training leaves the same files.

LightGBM and XGBoost are the real ones on both sides. Lightning, Hugging Face and fastai need PyTorch, which is too
big for the tests: there a loop calls the loggers and callbacks as the frameworks document it, with their base
classes standing in; each side gets the same calls.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from nbexp.live import names
from tests.conformance.conftest import MakeTwins
from tests.conftest import Program

ROOT = Path(__file__).resolve().parents[2]
DVC_PYTHON = ROOT / ".venv-dvc" / "bin" / "python"
PACKAGES = [path for path in sys.path if path.endswith("site-packages")]

START = """\
import sys
side, packages = sys.argv[1], sys.argv[2:]
sys.path.extend(packages)
import importlib
def of(module, name):
    return getattr(importlib.import_module(f"{side}.{module}"), name)
how = {"save_dvc_exp": False}
"""


def agree_after(twins: MakeTwins, repo: Path, script: str, *stand_ins: Path) -> Path:
    """Run the script with dvclive's and with nbexp's callbacks; the folder of the files, which are the same."""
    pair = twins(repo)
    paths = [*map(str, stand_ins), *PACKAGES]
    # Two threads or two machines may add numbers in another order.
    env = {"OMP_NUM_THREADS": "1"}
    for side, python, package in (
        (pair.dvc_side, str(DVC_PYTHON), "dvclive"),
        (pair.nbexp_side, sys.executable, "nbexp.live"),
    ):
        Program((python,))("-c", START + script, package, *paths, cwd=side, env=env)
    theirs, ours = map(pair.look.files, pair.sides)
    assert ours == theirs
    return pair.nbexp_side / "dvclive"


DATA = """\
import numpy as np
random = np.random.default_rng(0)
X = random.random((200, 4))
y = (X[:, 0] + X[:, 1] > 1).astype(int)
"""


@pytest.mark.parametrize("sets", [1, 2])
def test_lightgbm(twins: MakeTwins, repo: Path, sets: int) -> None:
    folder = agree_after(
        twins,
        repo,
        DATA
        + f"""
import lightgbm
data = [lightgbm.Dataset(X[n * 80:][:80], y[n * 80:][:80], free_raw_data=False) for n in range({sets})]
callback = of("lgbm", "DVCLiveCallback")(**how)
lightgbm.train({{"objective": "binary", "metric": "binary_logloss", "num_threads": 1, "verbose": -1}}, data[0],
               num_boost_round=4, valid_sets=data, valid_names=["train", "eval"][:{sets}], callbacks=[callback])
callback.live.end()
""",
    )
    tables = sorted(
        p.relative_to(folder / "plots/metrics").as_posix() for p in folder.rglob("*.tsv")
    )
    assert tables == (
        ["binary_logloss.tsv"]
        if sets == 1
        else ["eval/binary_logloss.tsv", "train/binary_logloss.tsv"]
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["step"] == 3


def test_xgboost(twins: MakeTwins, repo: Path) -> None:
    folder = agree_after(
        twins,
        repo,
        DATA
        + """
import xgboost
one, two = (xgboost.DMatrix(X[n * 80:][:80], y[n * 80:][:80]) for n in range(2))
callback = of("xgb", "DVCLiveCallback")(**how)
xgboost.train({"objective": "binary:logistic", "nthread": 1}, one, num_boost_round=3,
              evals=[(one, "train"), (two, "eval")], callbacks=[callback])
""",
    )
    table = (folder / "plots/metrics/eval/logloss.tsv").read_text().splitlines()
    assert table[0] == "step\tlogloss"
    assert [line.split("\t")[0] for line in table[1:]] == ["0", "1", "2"]


# ---- what stands in for libraries that are too big to be installed for the tests

TRANSFORMERS = {
    # transformers 5.24, trainer_callback.py: all events, with the arguments that the trainer gives.
    "transformers/__init__.py": """\
class TrainerCallback:
    def on_train_begin(self, args, state, control, **kwargs): ...
    def on_log(self, args, state, control, **kwargs): ...
    def on_save(self, args, state, control, **kwargs): ...
    def on_train_end(self, args, state, control, **kwargs): ...
class TrainerControl: ...
class TrainerState:
    is_world_process_zero = True
class TrainingArguments:
    output_dir = "out"
    load_best_model_at_end = False
    def to_dict(self): return {"learning_rate": 5e-05, "output_dir": "out", "optim": None, "seeds": [1, 2]}
""",
    "transformers/trainer.py": """\
class Trainer:
    def __init__(self, args, model, **_): self.model = model
    def save_model(self, folder): self.model.save_pretrained(folder)
""",
}
TRAIN_TRANSFORMERS = """\
import os
from transformers import TrainerControl, TrainerState, TrainingArguments
class Model:
    def save_pretrained(self, folder):
        os.makedirs(folder, exist_ok=True)
        open(os.path.join(folder, "model.safetensors"), "w").write("weights")
callback = of("huggingface", "DVCLiveCallback")(log_model=True, **how)
said = (TrainingArguments(), TrainerState(), TrainerControl())
callback.on_train_begin(*said)
for epoch in range(2):
    callback.on_log(*said, logs={"loss": 1 / (epoch + 1), "learning_rate": 1e-5, "epoch": epoch + 1.0})
    callback.on_log(*said, logs={"eval_loss": 0.5, "eval_accuracy": 0.75, "epoch": epoch + 1.0})
callback.on_log(*said, logs={"train_runtime": 1.5, "train_loss": 0.75})
callback.on_train_end(*said, model=Model())
"""

LIGHTNING = {
    # lightning 2.6, fabric/loggers/logger.py and utilities; of several processes this is the first.
    "lightning/fabric/loggers/logger.py": "class Logger: ...\ndef rank_zero_experiment(f): return f\n",
    "lightning/fabric/utilities/logger.py": """\
from argparse import Namespace
def _add_prefix(metrics, prefix, separator):
    return {f"{prefix}{separator}{k}": v for k, v in metrics.items()} if prefix else dict(metrics)
def _convert_params(params): return vars(params) if isinstance(params, Namespace) else dict(params or {})
def _sanitize_callable_params(params):
    return {k: v() if callable(v) else v for k, v in params.items()}
""",
    "lightning/fabric/utilities/rank_zero.py": """\
def rank_zero_only(f): return f
rank_zero_only.rank = 0
""",
    "lightning/pytorch/loggers/logger.py": """\
from lightning.fabric.loggers.logger import Logger as Base, rank_zero_experiment
class Logger(Base):
    def after_save_checkpoint(self, checkpoint_callback): ...
""",
    "lightning/pytorch/loggers/utilities.py": """\
def _scan_checkpoints(callback, times):
    return [(1.0, callback.best_model_path, 0.5, "best")]
""",
    "lightning/pytorch/callbacks/model_checkpoint.py": "class ModelCheckpoint: ...\n",
    "lightning/pytorch/utilities/__init__.py": "from lightning.fabric.utilities.rank_zero import rank_zero_only\n",
    "torch/__init__.py": "def is_tensor(value): return hasattr(value, 'detach')\n",
}
TRAIN_LIGHTNING = """\
import os
from argparse import Namespace
class Tensor:
    def __init__(self, value): self.value = value
    def cpu(self): return self
    def detach(self): return self
    def item(self): return self.value
class Checkpoints:
    save_top_k, dirpath, best_model_path = 1, os.path.abspath("checkpoints"), os.path.abspath("checkpoints/best.ckpt")
os.makedirs("checkpoints")
open("checkpoints/best.ckpt", "w").write("weights")
logger = of("lightning", "DVCLiveLogger")(log_model=True, **how)
logger.log_hyperparams(Namespace(lr=0.1, layers=[1, 2], deep={"a": None}))
def update_train_step_metrics(step):
    logger.log_metrics({"train_loss_step": Tensor(1 / (step + 1)), "epoch": 0}, step)
def log_eval_end_metrics(step):
    logger.log_metrics({"val_acc": Tensor(0.5), "val_loss_epoch": 0.25, "lr-Adam": 0.1, "test_x_y": 1}, step)
for step in range(1, 4):
    update_train_step_metrics(step)
    logger.log_metrics({"from_a_callback": step}, step)
log_eval_end_metrics(3)
logger.after_save_checkpoint(Checkpoints())
logger.finalize("success")
"""

FASTAI = {
    "fastai/callback/core.py": "class Callback:\n    def __init__(self): ...\n",
}
TRAIN_FASTAI = """\
from types import SimpleNamespace
callback = of("fastai", "DVCLiveCallback")(**how)
recorder = SimpleNamespace(metric_names=["epoch", "train_loss", "valid_loss", "accuracy", "time"], log=[])
callback.learn = SimpleNamespace(model=SimpleNamespace(), recorder=recorder)
callback.dls = SimpleNamespace(bs=64, train=[1, 2, 3], tfms="tfms")
callback.opt = SimpleNamespace(frozen_idx=2)
def fit_one_cycle(epochs):
    callback.before_fit()
    for epoch in range(epochs):
        recorder.log = [epoch, 0.5 / (epoch + 1), 0.25, 0.75, 3] if epoch else []
        callback.after_epoch()
    callback.after_fit()
def fine_tune():
    fit_one_cycle(2)
    fit_one_cycle(3)
fine_tune()
"""


@pytest.mark.parametrize(
    ("modules", "script", "expected"),
    [
        (TRANSFORMERS, TRAIN_TRANSFORMERS, {"loss", "train/loss", "eval/accuracy", "eval/loss", "epoch"}),
        (LIGHTNING, TRAIN_LIGHTNING, {"train/step/loss", "val/acc", "val/epoch/loss", "lr-Adam", "test/x_y"}),
        (FASTAI, TRAIN_FASTAI, {"train/loss", "eval/loss", "accuracy"}),
    ],
    ids=["huggingface", "lightning", "fastai"],
)  # fmt: skip
def test_a_framework_by_its_protocol(
    twins: MakeTwins,
    repo: Path,
    tmp_path: Path,
    modules: dict[str, str],
    script: str,
    expected: set[str],
) -> None:
    stand_ins = tmp_path / "stand-ins"
    for path, text in modules.items():
        for folder in (stand_ins / path).parents:
            if folder.is_relative_to(stand_ins) and folder != stand_ins:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "__init__.py").touch()
        (stand_ins / path).write_text(text)
    folder = agree_after(twins, repo, script, stand_ins)
    tables = {
        p.relative_to(folder / "plots/metrics").with_suffix("").as_posix()
        for p in folder.rglob("*.tsv")
    }
    assert expected <= tables
    assert (folder / "params.yaml").read_text()


TRAIN_FABRIC = """\
logger = of("fabric", "DVCLiveLogger")(**how)
logger.log_hyperparams({"lr": 0.1})
for step in range(1, 3):
    logger.log_metrics({"train_loss": 1 / step}, step)
    assert '"step": %d' % step in open("dvclive/metrics.json").read()
logger.finalize("success")
"""


def test_fabric_writes_with_each_call(twins: MakeTwins, repo: Path, tmp_path: Path) -> None:
    test_a_framework_by_its_protocol(twins, repo, tmp_path, LIGHTNING, TRAIN_FABRIC, {"train/loss"})


def test_optuna(twins: MakeTwins, repo: Path) -> None:
    folder = agree_after(
        twins,
        repo,
        """\
from types import SimpleNamespace
for values, metric in (([0.5], "loss"), ([1.0, 2.0], ["a", "b"]), ([3.0, 4.0], "m"), (None, "loss")):
    callback = of("optuna", "DVCLiveCallback")(metric, dvcyaml=None)
    # As `study.optimize` calls it; whose experiments they are is told by their files.
    callback(None, SimpleNamespace(values=values, params={"lr": 0.1, "kind": "adam"}))
""",
    )
    assert (folder.parent / "dvclive-optuna" / "params.yaml").read_text() == "lr: 0.1\nkind: adam\n"


# ---- names

SAID = [
    "loss", "val_loss", "accuracy", "val_accuracy", "train_loss", "valid_loss", "eval_loss", "eval_train_x", "epoch",
    "train_loss_step", "train_loss_epoch", "val_acc_epoch", "test_acc", "my_train_loss", "pretrain_loss_step",
    "lr-Adam", "loss_step", "val_epoch", "train_a_b_c", "error",
]  # fmt: skip


@pytest.mark.parametrize("framework", ["keras", "fastai", "huggingface", "lightning"])
def test_names_are_given_as_by_dvclive(framework: str) -> None:
    asked = (
        "import json, sys; from dvclive.utils import standardize_metric_name as name\n"
        "print(json.dumps([name(word, f'dvclive.{sys.argv[1]}') for word in sys.argv[2:]]))"
    )
    theirs = json.loads(Program((str(DVC_PYTHON),))("-c", asked, framework, *SAID).stdout)
    ours = getattr(names, f"of_{framework}")
    assert {word: ours(word) for word in SAID} == dict(zip(SAID, theirs, strict=True))
