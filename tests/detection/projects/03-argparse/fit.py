import argparse
import json
import os

import numpy as np
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("-i", "--data", default="data/smooth.csv")
parser.add_argument("-d", "--degree", type=int, default=4)
parser.add_argument("--ridge", type=float, default=0.001, dest="penalty")
parser.add_argument("--out-dir", default="results")
parser.add_argument("--verbose", action="store_true")


def main(args):
    table = pd.read_csv(args.data)
    t = table["t"].to_numpy() / len(table)
    x = np.vander(t, args.degree + 1)
    y = table["value"].to_numpy()
    weights = np.linalg.solve(x.T @ x + args.penalty * np.eye(x.shape[1]), x.T @ y)
    os.makedirs(args.out_dir, exist_ok=True)
    np.save(os.path.join(args.out_dir, "weights.npy"), weights)
    with open(os.path.join(args.out_dir, "scores.json"), "w") as f:
        json.dump({"rmse": float(np.sqrt(np.mean((x @ weights - y) ** 2)))}, f)
    if args.verbose:
        print(weights)


if __name__ == "__main__":
    main(parser.parse_args())
