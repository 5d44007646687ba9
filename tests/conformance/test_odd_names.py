"""Params, metrics and models in files of any format, under any path: both tools do the same with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, MakeTwins

PIPELINE = """\
stages:
  fit:
    cmd: sh "my code/fit model.sh"
    deps:
    - my code
    params:
    - conf/hyper params.toml:
      - net.lr
    - Größe.json:
      - n
    - settings.py:
      - Train.steps
    - no_suffix:
      - seed
    outs:
    - models/best of all.bin
    metrics:
    - reports/métriques.toml:
        cache: false
    - "#scores.yaml":
        cache: false
"""
SCRIPT = """\
set -eu
mkdir -p models reports
lr=$(awk '$1 == "lr" { print $3 }' "conf/hyper params.toml")
cat no_suffix > "models/best of all.bin"
echo "acc = $lr" > reports/métriques.toml
echo "deep: {loss: $lr}" > "#scores.yaml"
"""


def test_any_path_and_any_format(twins: MakeTwins, project: MakeProject) -> None:
    files = {
        "dvc.yaml": PIPELINE,
        "my code/fit model.sh": SCRIPT,
        "conf/hyper params.toml": "[net]\nlr = 0.5\n",
        "Größe.json": '{"n": 1}\n',
        "settings.py": "class Train:\n    steps = 3\n",
        "no_suffix": "seed: 0\n",
    }
    pair = twins(project(files))
    pair.run("-n", "first")
    asked = ["conf/hyper params.toml:net.lr=0.25", "Größe.json:n=2"]
    asked += ["settings.py:Train.steps=4", "no_suffix:seed=7"]
    pair.run(*(word for one in asked for word in ("-S", one)), "-n", "second")
    for side in pair.sides:
        # DVC lays JSON and TOML out anew; what is in them is compared by all that follows.
        for path in ("conf/hyper params.toml", "Größe.json"):
            (side / path).write_bytes((pair.nbexp_side / path).read_bytes())
    pair.agree_on_files()
    assert pair.agree_on_status() == {}
    pair.agree_on_table()
    found = {
        one["name"]: one for one in pair.look.table(pair.nbexp_side, "nbexp")[-1]["experiments"]
    }
    data = found["second"]["revs"][0]["data"]
    assert data["metrics"] == {
        "reports/métriques.toml": {"data": {"acc": 0.25}},
        "#scores.yaml": {"data": {"deep": {"loss": 0.25}}},
    }
    assert data["params"]["settings.py"] == {"data": {"Train": {"steps": 4}}}
    assert (pair.nbexp_side / "settings.py").read_text() == "class Train:\n    steps = 4\n"
