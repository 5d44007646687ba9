import argparse
import json
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import yaml


def evaluate(config_path):
    with open(config_path) as f:
        config = yaml.safe_load(f)
    frame = pd.read_csv(config["data"]["test"])
    labels = Path("data/raw/labels.txt").read_text().split()
    w = joblib.load(config["model"]["path"])
    x = np.column_stack([frame[["sepal", "petal"]].to_numpy(), np.ones(len(frame))])
    guess = (x @ w > 0.5).astype(int)
    plots = config["evaluate"]["plots_dir"]
    os.makedirs(plots, exist_ok=True)
    with open(f"{plots}/confusion.csv", "w") as f:
        f.write("actual,predicted\n")
        for a, p in zip(frame["target"], guess):
            f.write(f"{labels[a]},{labels[p]}\n")
    json.dump(
        {"accuracy": float((guess == frame["target"]).mean())},
        fp=open(config["evaluate"]["metrics_file"], "w"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", dest="config", required=True)
    evaluate(parser.parse_args().config)
