"""From pixels to what a linear model can tell apart; train.ipynb and evaluate.py must agree on it."""

from pathlib import Path

import numpy as np


def read(part):
    """The scaled pixels and the digits of "train" or "test"."""
    folder = Path("data") / part
    digits = np.loadtxt(folder / "digits.csv", dtype=int, skiprows=1)
    return np.load(folder / "pixels.npy"), digits


def fourier(inputs, outputs, gamma, seed):
    """Random waves whose products stand in for an RBF kernel (Rahimi and Recht, 2007)."""
    random = np.random.default_rng(seed)
    directions = random.normal(scale=np.sqrt(2 * gamma), size=(inputs, outputs))
    offsets = random.uniform(0, 2 * np.pi, size=outputs)
    return {"directions": directions, "offsets": offsets}


def transform(pixels, waves):
    """The features of each image: the pixels themselves where there are no waves."""
    if waves is None:
        return pixels.astype(float)
    angles = pixels @ waves["directions"] + waves["offsets"]
    return np.sqrt(2 / len(waves["offsets"])) * np.cos(angles)


def predict(pixels, model):
    """The digit that the saved model sees in each image."""
    scores = transform(pixels, model["waves"]) @ model["weights"].T + model["bias"]
    return scores.argmax(axis=1)
