"""Params in every format beside plots in every format: each pair is a stage, the same under both tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, MakeTwins

PARAMS = {
    "p.yaml": "lr: 0.5  # by hand\n",
    "p.json": '{"lr": 0.5}\n',
    "p.toml": "lr = 0.5\n",
    "p.py": "lr = 0.5\n",
}
# What a stage prints of its value, as rows of a curve.
CURVES = {
    "csv": "step,loss\\n1,$lr\\n2,0.25\\n",
    "tsv": "step\\tloss\\n1\\t$lr\\n2\\t0.25\\n",
    "json": '[{"step": 1, "loss": $lr}, {"step": 2, "loss": 0.25}]\\n',
}
SCRIPT = (
    """\
set -eu
lr=$(sed 's/#.*//' "$1" | tr -cd '0-9.')
case "$2" in
"""
    + "".join(
        f"{suffix}) printf '{text.replace('$lr', '%s')}' \"$lr\";;\n"
        for suffix, text in CURVES.items()
    )
    + "esac > $3\n"
)


def _stages() -> str:
    lines = ["stages:"]
    for path in PARAMS:
        for suffix in CURVES:
            name = f"{path.partition('.')[2]}-{suffix}"
            lines += [
                f"  {name}:",
                f"    cmd: sh curve.sh {path} {suffix} {name}.{suffix}",
                "    deps: [curve.sh]",
                "    params:",
                f"    - {path}:",
                "      - lr",
                "    plots:",
                f"    - {name}.{suffix}:",
                "        x: step",
                "        y: loss",
                "        cache: false",
            ]
    return "\n".join(lines) + "\n"


def test_params_and_plots_of_every_format(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(project({"dvc.yaml": _stages(), "curve.sh": SCRIPT, **PARAMS}))
    pair.run("-n", "first")
    pair.run(*(word for path in PARAMS for word in ("-S", f"{path}:lr=0.125")), "-n", "second")
    ours, look = pair.nbexp_side, pair.look
    # DVC lays YAML, JSON and TOML out anew; nbexp changes the one value.
    assert (ours / "p.yaml").read_text() == "lr: 0.125  # by hand\n"
    for path in PARAMS:
        (pair.dvc_side / path).write_bytes((ours / path).read_bytes())
    pair.agree_on_files()
    pair.agree_on_cache()
    assert pair.agree_on_status() == {}
    pair.agree_on_table()
    theirs, mine = (
        json.loads(
            look.dvc("plots", "diff", "first", "second", "--json", "--split", cwd=side).stdout
        )
        for side in pair.sides
    )
    assert mine == theirs
    assert len(mine["data"]) == len(PARAMS) * len(CURVES)
    [item] = mine["data"]["toml-tsv.tsv"]
    rows = item["anchor_definitions"]["<DVC_METRIC_DATA>"]
    losses = {(row["rev"], str(row["step"])): float(row["loss"]) for row in rows}
    assert losses["first", "1"] == 0.5
    assert losses["second", "1"] == 0.125
