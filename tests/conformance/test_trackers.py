"""A stage that logs to another tracker as well: nothing of it changes, nothing of the tracker's gets in the way.

The stage writes what MLflow 3.17 leaves in a file store and W&B 0.31 offline, folder by folder, with new names in each run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, MakeTwins, Twins

TRAIN = """\
set -eu
lr=$(awk '$1 == "lr:" { print $2 }' params.yaml)
run=$(printf %s "$lr" | md5sum | cut -c1-32)

# mlflow.set_tracking_uri("file:./mlruns"); log_param, log_metric
store=mlruns/0
mkdir -p "$store/$run/metrics" "$store/$run/params" "$store/$run/tags"
echo "experiment_id: '0'" > "$store/meta.yaml"
echo "run_id: $run" > "$store/$run/meta.yaml"
printf '1795252417274 0.5 0\\n1795252417275 0.6 1\\n' > "$store/$run/metrics/acc"
printf %s "$lr" > "$store/$run/params/lr"
printf %s ada > "$store/$run/tags/mlflow.user"

# wandb.init(mode="offline")
name=offline-run-20260102_030405-$(printf %s "$run" | cut -c1-8)
mkdir -p "wandb/$name/files" "wandb/$name/logs"
printf 'W&B\\000\\001%s' "$run" > "wandb/$name/run.wandb"
echo '{"acc": 0.6}' > "wandb/$name/files/wandb-summary.json"
echo started > "wandb/$name/logs/debug.log"
rm -f wandb/latest-run wandb/debug.log
ln -s "$name" wandb/latest-run
ln -s "$name/logs/debug.log" wandb/debug.log

echo "{\\"acc\\": $lr}" > metrics.json
"""
PIPELINE = """\
stages:
  train:
    cmd: sh train.sh
    deps:
    - train.sh
    params:
    - lr
{outs}    metrics:
    - metrics.json:
        cache: false
"""


@pytest.mark.parametrize("listed", [False, True], ids=["unlisted", "listed"])
def test_what_another_tracker_writes(twins: MakeTwins, project: MakeProject, listed: bool) -> None:
    outs = "    outs:\n    - mlruns\n    - wandb\n" if listed else ""
    files = {"dvc.yaml": PIPELINE.format(outs=outs), "train.sh": TRAIN, "params.yaml": "lr: 0.1\n"}
    pair = twins(project(files))
    _, ours = pair.run("-n", "one")
    agree(pair, listed=listed)
    said = "not recorded: mlruns/ (5 files), wandb/ (5 files). Hint: add it to outs of `train`"
    assert (said in ours.stdout) is not listed
    _, ours = pair.run("-S", "lr=0.2", "-n", "two")
    agree(pair, listed=listed)
    assert json.loads((pair.nbexp_side / "metrics.json").read_text()) == {"acc": 0.2}
    for record in pair.look.recorded(pair.nbexp_side).values():
        assert not [path for path in record.tree if path.startswith(("mlruns", "wandb"))]
    # As the trackers need it: where nothing lists the folders, runs add up in them.
    runs = [*(pair.nbexp_side / "mlruns" / "0").glob("*/meta.yaml")]
    assert len(runs) == (1 if listed else 2)
    # The other run is back at once; the trackers' files come along where they are listed.
    pair.look.nbexp("apply", "one", cwd=pair.nbexp_side)
    found = {path.parent.name for path in (pair.nbexp_side / "mlruns" / "0").glob("*/meta.yaml")}
    assert len(found) == (1 if listed else 2)
    assert pair.look.status(pair.nbexp_side, "dvc") == {}


def agree(pair: Twins, *, listed: bool) -> None:
    pair.agree_on_refs()
    pair.agree_on_cache()
    assert pair.agree_on_status() == {}
    pair.agree_on_table()
    if not listed:
        # Of an output, DVC makes the links in it files.
        pair.agree_on_files()
