"""Where things are, and what was chosen."""
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RAW = ROOT / "resources" / "customers.csv"
WORK = ROOT / "work"
FEATURES = WORK / "features.npz"
MODEL_FILE = WORK / "model.json"

THRESHOLD = 0.5
STEPS = 300
RATE = 0.1
UNUSED = 3
