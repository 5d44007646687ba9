import csv
import random

SEED = 42
TEST_SHARE = 0.25

random.seed(SEED)
with open("houses.csv") as source:
    rows = list(csv.DictReader(source))
random.shuffle(rows)
cut = int(len(rows) * TEST_SHARE)

for name, part in (("test.csv", rows[:cut]), ("train.csv", rows[cut:])):
    with open(name, "w", newline="") as target:
        writer = csv.DictWriter(target, fieldnames=["area", "rooms", "price"])
        writer.writeheader()
        writer.writerows(part)
print(len(rows) - cut, "rows to train with,", cut, "to test")
