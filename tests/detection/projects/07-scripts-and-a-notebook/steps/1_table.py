import json
import os

import numpy as np

from settings import read_config

config = read_config()
points = json.load(open(config["paths"]["measured"]))
os.makedirs(os.path.dirname(config["paths"]["table"]), exist_ok=True)
np.save(config["paths"]["table"], np.array([[p["x"], p["y"]] for p in points]))
