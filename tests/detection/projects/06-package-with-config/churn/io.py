import json

import numpy as np


def save_arrays(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def load_arrays(path):
    return np.load(path)


def save_json(path, value):
    path.write_text(json.dumps(value))


def load_json(path):
    return json.loads(path.read_text())
