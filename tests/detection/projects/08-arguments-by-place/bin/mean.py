import json
import os
import sys

folder, target = sys.argv[1:3]
means = {}
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name)) as f:
        loads = [float(line.split(",")[1]) for line in f]
    means[name.split(".")[0]] = sum(loads) / len(loads)
with open(target, "w") as f:
    json.dump(means, f)
