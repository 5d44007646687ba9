import csv
import pickle

LEARNING_RATE = 0.00005
EPOCHS = 200

with open("train.csv") as f:
    data = [(float(r["area"]), float(r["price"])) for r in csv.DictReader(f)]

slope, offset = 0.0, 0.0
history = []
for epoch in range(EPOCHS):
    loss = 0.0
    for x, y in data:
        error = slope * x + offset - y
        slope -= LEARNING_RATE * error * x / len(data)
        offset -= LEARNING_RATE * error / len(data)
        loss += error**2 / len(data)
    history.append((epoch, loss))

with open("model.pkl", "wb") as f:
    pickle.dump({"slope": slope, "offset": offset}, f)

with open("loss_curve.csv", "w") as f:
    f.write("epoch,loss\n")
    for epoch, loss in history:
        f.write(f"{epoch},{loss:.4f}\n")
