import json
import os

import numpy as np

from churn import config
from churn.io import load_arrays, load_json


def main():
    arrays = load_arrays(config.FEATURES)
    model = load_json(config.MODEL_FILE)
    p = 1 / (1 + np.exp(-(arrays["x"] @ np.array(model["weights"]) + model["bias"])))
    guess = p > config.THRESHOLD
    right = guess == arrays["y"]
    report = {"accuracy": float(right.mean()), "positives": int(guess.sum())}
    with open(os.path.join(config.ROOT, "report.json"), "w") as f:
        json.dump(report, f)


if __name__ == "__main__":
    main()
