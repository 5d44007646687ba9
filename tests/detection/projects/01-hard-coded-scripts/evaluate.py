import csv
import json
import pickle

model = pickle.load(open("model.pkl", "rb"))
with open("test.csv") as f:
    pairs = [(float(r["area"]), float(r["price"])) for r in csv.DictReader(f)]
errors = [model["slope"] * x + model["offset"] - y for x, y in pairs]
mae = sum(abs(e) for e in errors) / len(errors)
json.dump({"mae": round(mae, 4), "n_test": len(errors)}, open("metrics.json", "w"), indent=2)
print("mae", mae)
