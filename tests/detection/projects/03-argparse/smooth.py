#!/usr/bin/env python
"""Smooth the signal."""
import argparse
import pathlib

import pandas as pd


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=pathlib.Path, default=pathlib.Path("data/signal.csv"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("data/smooth.csv"))
    parser.add_argument("--window", type=int, default=5, help="points to average over")
    parser.add_argument("--center", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse_args()
    frame = pd.read_csv(args.input)
    frame["value"] = frame["value"].rolling(args.window, center=args.center, min_periods=1).mean()
    frame.to_csv(args.output, index=False)
