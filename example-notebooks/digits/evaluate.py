"""How often the saved model is right, digit by digit.

Reads model.npz and data/test; writes evaluation.json.
"""

import json
from pathlib import Path

import numpy as np
from features import read, scores, transform

# Arrays only: unlike a pickle, such a file cannot bring code with it.
with np.load("model.npz", allow_pickle=False) as saved:
    model = dict(saved)
pixels, digits = read("test")
right = scores(transform(pixels, model), model).argmax(axis=1) == digits

by_digit = [
    {"digit": digit, "accuracy": round(float(right[digits == digit].mean()), 4)}
    for digit in range(10)
]
worst = min(by_digit, key=lambda row: row["accuracy"])
result = {"worst_accuracy": worst["accuracy"], "by_digit": by_digit}
Path("evaluation.json").write_text(json.dumps(result, indent=2) + "\n")

print(f"{np.count_nonzero(~right)} of {len(right)} images wrong; hardest digit: {worst['digit']}")
