"""From pixels to what a linear model can tell apart; train.ipynb and evaluate.py must agree on it."""

from pathlib import Path

import numpy as np


def read(part):
    """The scaled pixels and the digits of "train" or "test"."""
    folder = Path("data") / part
    digits = np.loadtxt(folder / "digits.csv", dtype=int, skiprows=1)
    return np.load(folder / "pixels.npy"), digits


def waves(inputs, outputs, gamma, seed):
    """Random waves whose products stand in for an RBF kernel (Rahimi and Recht, 2007)."""
    random = np.random.default_rng(seed)
    return {
        "directions": random.normal(scale=np.sqrt(2 * gamma), size=(inputs, outputs)),
        "offsets": random.uniform(0, 2 * np.pi, size=outputs),
    }


def transform(pixels, model):
    """The features of each image: the pixels themselves for a model without waves."""
    if "directions" not in model:
        return pixels.astype(float)
    angles = pixels @ model["directions"] + model["offsets"]
    return np.sqrt(2 / len(model["offsets"])) * np.cos(angles)


def scores(features, model):
    """How much each image looks like each digit; the highest score is the model's answer."""
    return features @ model["weights"].T + model["bias"]
