from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nbexp import Live
from nbexp.formats import values
from nbexp.live.sklearn import LiveCallback


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


X = np.random.default_rng(0).random((80, 3))
Y = (X[:, 0] > 0.5).astype(int)


def column(name: str) -> list[float]:
    rows = Path(f"dvclive/plots/metrics/{name}.tsv").read_text().splitlines()[1:]
    return [float(row.split("\t")[1]) for row in rows]


def params() -> object:
    return values.parse(Path("dvclive/params.yaml").read_bytes(), "params.yaml")


def test_gradient_boosting_tells_of_each_stage_while_it_fits() -> None:
    seen = []
    with Live(save_dvc_exp=False) as live:
        callback = LiveCallback(live)

        def monitor(iteration: int, estimator: object, variables: object) -> bool:
            stops = callback(iteration, estimator, variables)
            seen.append(len(column("train/score")))
            return stops

        model = GradientBoostingClassifier(n_estimators=5, subsample=0.5, random_state=0)
        model.fit(X, Y, monitor=monitor)
    assert seen == [1, 2, 3, 4, 5]
    assert column("train/score") == [float(score) for score in model.train_score_]
    assert column("oob/improvement") == [float(score) for score in model.oob_improvement_]


def test_a_fitted_estimator_has_its_params_and_curves_logged() -> None:
    with Live(save_dvc_exp=False) as live:
        model = MLPClassifier((4,), max_iter=6, early_stopping=True, random_state=0)
        with pytest.warns(UserWarning, match="hasn't converged"):
            model.fit(X, Y)
        LiveCallback(live).log_fit(model, "mlp/")
    assert column("mlp/train/loss") == model.loss_curve_
    assert column("mlp/eval/score") == [float(score) for score in model.validation_scores_]
    assert params()["hidden_layer_sizes"] == [4]


def test_steps_of_a_pipeline_are_named_by_their_class() -> None:
    with Live(save_dvc_exp=False) as live:
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, Y)
        LiveCallback(live).log_fit(fitted)
    found = params()
    assert found["logisticregression"] == "LogisticRegression"
    assert found["logisticregression__C"] == 0.5
