"""Keras for real, on JAX: it is the smallest that Keras can train with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def test_each_epoch_of_a_fit_is_a_step() -> None:
    import keras
    import numpy as np

    from nbexp import Live
    from nbexp.live.keras import DVCLiveCallback, LiveCallback

    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    points = random.random((64, 3))
    y = points.sum(axis=1) > 1.5
    model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="sgd", loss="binary_crossentropy", metrics=["accuracy"])
    live = Live(save_dvc_exp=False)
    fitted = model.fit(
        points, y, epochs=3, validation_split=0.25, verbose=0, callbacks=[LiveCallback(live=live)]
    )
    assert DVCLiveCallback is LiveCallback
    found = json.loads(Path("dvclive/metrics.json").read_text())
    assert {**found, "train": sorted(found["train"]), "eval": sorted(found["eval"])} == {
        "train": ["accuracy", "loss"],
        "eval": ["accuracy", "loss"],
        "step": 2,
    }
    for name, kept in (("train/loss", "loss"), ("eval/accuracy", "val_accuracy")):
        rows = Path(f"dvclive/plots/metrics/{name}.tsv").read_text().splitlines()[1:]
        assert [float(row.split("\t")[1]) for row in rows] == fitted.history[kept]
