"""Split scikit-learn's bundled digits into training and test images, and scale the pixels.

Reads `prepare` of params.yaml; writes the folder data/.
"""

from pathlib import Path

import numpy as np
import yaml
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

params = yaml.safe_load(Path("params.yaml").read_text())["prepare"]

pixels, digits = load_digits(return_X_y=True)
train_pixels, test_pixels, train_digits, test_digits = train_test_split(
    pixels,
    digits,
    test_size=params["test_size"],
    random_state=params["seed"],
    stratify=digits,
)

# The scale is learnt from the training images alone: the test images stay unseen.
scaler = StandardScaler().fit(train_pixels)

for name, part_pixels, part_digits in (
    ("train", train_pixels, train_digits),
    ("test", test_pixels, test_digits),
):
    folder = Path("data") / name
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "pixels.npy", scaler.transform(part_pixels).astype(np.float32))
    np.savetxt(folder / "digits.csv", part_digits, fmt="%d", header="digit", comments="")
    print(f"{name:5} {len(part_digits):5} images")
