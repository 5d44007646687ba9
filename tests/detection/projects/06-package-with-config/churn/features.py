import numpy as np
import pandas as pd

from . import config
from .io import save_arrays


def build():
    table = pd.read_csv(config.RAW)
    x = table[["age", "calls"]].to_numpy(dtype=float)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    save_arrays(config.FEATURES, x=x, y=table["left"].to_numpy())


if __name__ == "__main__":
    build()
