import os
import sys

if len(sys.argv) != 4:
    sys.exit("usage: split.py TABLE FOLDER PARTS")
table, folder, parts = sys.argv[1], sys.argv[2], int(sys.argv[3])

os.makedirs(folder, exist_ok=True)
lines = open(table).read().splitlines()
for n in range(parts):
    with open(os.path.join(folder, "part-%02d.csv" % n), "w") as f:
        f.write("\n".join(lines[n::parts]) + "\n")
