import os
import random
import sys

import yaml

params = yaml.safe_load(open("params.yaml"))
split = params["prepare"]["split"]
random.seed(params["base"]["seed"])

source = os.path.join("data", "reviews.tsv")
folder = os.path.join("data", "prepared")
os.makedirs(folder, exist_ok=True)

with open(source, encoding="utf-8") as fd_in, open(
    os.path.join(folder, "train.tsv"), "w", encoding="utf-8"
) as fd_train, open(os.path.join(folder, "test.tsv"), "w", encoding="utf-8") as fd_test:
    for line in fd_in:
        (fd_train if random.random() > split else fd_test).write(line)
print("prepared", file=sys.stderr)
