import pickle

import numpy as np
import yaml

params = yaml.safe_load(open("params.yaml"))["train"]
alpha, epochs = params["alpha"], params["epochs"]

with open("data/features/train.pkl", "rb") as fd:
    rows = pickle.load(fd)
x = np.array([row[1] for row in rows], dtype=float)
y = np.array([row[0] for row in rows], dtype=float)
w = np.zeros(x.shape[1])
for _ in range(epochs):
    w -= alpha * x.T @ (1 / (1 + np.exp(-x @ w)) - y) / len(y)
with open("model.pkl", "wb") as fd:
    pickle.dump(w, fd)
