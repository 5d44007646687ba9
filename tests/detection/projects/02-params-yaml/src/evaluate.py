import json
import os
import pickle

import numpy as np

with open("model.pkl", "rb") as fd:
    w = pickle.load(fd)
with open("data/features/test.pkl", "rb") as fd:
    rows = pickle.load(fd)

score = [1 / (1 + np.exp(-np.dot(row[1], w))) for row in rows]
truth = [row[0] for row in rows]
acc = np.mean([(s > 0.5) == bool(t) for s, t in zip(score, truth)])

EVAL = "eval"
os.makedirs(os.path.join(EVAL, "plots"), exist_ok=True)
with open(os.path.join(EVAL, "metrics.json"), "w") as fd:
    json.dump({"acc": float(acc), "rows": {"test": len(rows)}}, fd)
roc_file = os.path.join(EVAL, "plots", "roc.json")
with open(roc_file, "w") as fd:
    points = [
        {
            "threshold": t,
            "tpr": sum(s > t and c for s, c in zip(score, truth)) / max(1, sum(truth)),
            "fpr": sum(s > t and not c for s, c in zip(score, truth)) / max(1, len(truth) - sum(truth)),
        }
        for t in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    json.dump({"roc": [{k: float(v) for k, v in p.items()} for p in points]}, fd, indent=4)
