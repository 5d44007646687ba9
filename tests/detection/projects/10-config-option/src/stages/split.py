import argparse
import os
from typing import Text

import numpy as np
import pandas as pd
import yaml

from src.utils.logs import get_logger


def split(config_path: Text) -> None:
    with open(config_path) as conf_file:
        config = yaml.safe_load(conf_file)
    logger = get_logger("split", config["base"]["log_level"])
    data = pd.read_csv(config["data"]["raw"])
    rng = np.random.default_rng(config["base"]["random_state"])
    order = rng.permutation(len(data))
    cut = int(len(data) * config["data"]["test_size"])
    os.makedirs(os.path.dirname(config["data"]["train"]), exist_ok=True)
    data.iloc[order[cut:]].to_csv(config["data"]["train"], index=False)
    data.iloc[order[:cut]].to_csv(config["data"]["test"], index=False)
    logger.info("split")


if __name__ == "__main__":
    args_parser = argparse.ArgumentParser()
    args_parser.add_argument("--config", dest="config", required=True)
    args = args_parser.parse_args()
    split(config_path=args.config)
