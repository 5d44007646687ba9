"""Fit a line to the training rows, and see how far off the test rows are."""

import csv
import json
import sys
from pathlib import Path

import yaml


def read(name):
    with open(f"prepared/{name}.csv") as table:
        return [(float(row["x"]), float(row["y"])) for row in csv.DictReader(table)]


def loss(rows):
    return sum((slope * x + offset - y) ** 2 for x, y in rows) / len(rows)


params = yaml.safe_load(Path("params.yaml").read_text())["train"]
train, test = read("train"), read("test")
slope = offset = 0.0
steps = []
for step in range(1, params["epochs"] + 1):
    errors = [(x, slope * x + offset - y) for x, y in train]
    slope -= params["lr"] * sum(x * error for x, error in errors) / len(train)
    offset -= params["lr"] * sum(error for _, error in errors) / len(train)
    steps.append(f"{step},{loss(train):.4f}")

sys.stdout.write(f"slope {slope:.2f}, offset {offset:.2f}\n")
Path("model.json").write_text(json.dumps({"slope": slope, "offset": offset}))
Path("metrics.json").write_text(json.dumps({"loss": round(loss(test), 4)}) + "\n")
Path("plots").mkdir(exist_ok=True)
Path("plots/loss.csv").write_text("\n".join(["step,loss", *steps]) + "\n")
