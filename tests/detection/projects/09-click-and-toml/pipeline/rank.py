import json
import tomllib
from pathlib import Path

import click


@click.command()
@click.argument("counts", type=click.Path(), default="counts.json")
@click.option("--out", "-o", "out_dir", type=click.Path(path_type=Path), default=Path("ranked"))
@click.option("--top/--bottom", default=True)
def main(counts: str, out_dir: Path, top: bool) -> None:
    with open("hparams.toml", "rb") as f:
        settings = tomllib.load(f)
    decay = settings["rank"]["decay"]
    words = json.load(open(counts))["words"]
    order = sorted(words, key=words.get, reverse=top)
    out_dir.mkdir(exist_ok=True)
    weights = {}
    lines = ["round,weight"]
    for n in range(settings["rank"]["rounds"]):
        for place, word in enumerate(order):
            weights[word] = weights.get(word, 0) + decay ** (place + n)
        lines.append(f"{n},{sum(weights.values()):.4f}")
    with (out_dir / "order.txt").open("w") as f:
        f.write("\n".join(order))
    (out_dir / "history.csv").write_text("\n".join(lines) + "\n")
    (out_dir / "metrics.json").write_text(json.dumps(weights))


if __name__ == "__main__":
    main()
