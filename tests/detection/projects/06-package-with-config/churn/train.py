import numpy as np

from churn.config import FEATURES, MODEL_FILE, RATE, STEPS
from churn.io import load_arrays, save_json


def train(x, y):
    w = np.zeros(x.shape[1])
    b = 0.0
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-(x @ w + b)))
        w -= RATE * x.T @ (p - y) / len(y)
        b -= RATE * (p - y).mean()
    return w, b


def main():
    arrays = load_arrays(FEATURES)
    w, b = train(arrays["x"], arrays["y"])
    save_json(MODEL_FILE, {"weights": w.tolist(), "bias": float(b), "kind": "logistic"})


if __name__ == "__main__":
    main()
