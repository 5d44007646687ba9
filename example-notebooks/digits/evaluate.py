"""How often the saved model is right, digit by digit.

Reads model.joblib and data/test; writes evaluation.json.
"""

import json
from pathlib import Path

import joblib
import numpy as np
from features import predict, read

# joblib.load runs what the file says, so only files of your own or of someone you trust.
# This one was written by the stage before.
model = joblib.load("model.joblib")
pixels, digits = read("test")
right = predict(pixels, model) == digits

by_digit = {str(digit): round(float(right[digits == digit].mean()), 4) for digit in range(10)}
worst = min(by_digit, key=by_digit.__getitem__)
result = {"worst_digit": int(worst), "worst_accuracy": by_digit[worst], "by_digit": by_digit}
Path("evaluation.json").write_text(json.dumps(result, indent=2) + "\n")

print(f"{np.count_nonzero(~right)} of {len(right)} images wrong; hardest digit: {worst}")
