"""Split the table into rows for training and rows for testing."""

from pathlib import Path

import yaml

rows = yaml.safe_load(Path("params.yaml").read_text())["prepare"]["rows"]
head, *table = Path("data/raw.csv").read_text().splitlines()
Path("prepared").mkdir(exist_ok=True)
Path("prepared/train.csv").write_text("\n".join([head, *table[:rows]]) + "\n")
Path("prepared/test.csv").write_text("\n".join([head, *table[rows:]]) + "\n")
