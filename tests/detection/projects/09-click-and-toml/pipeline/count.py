import tomllib
from collections import Counter
from pathlib import Path

import click

SETTINGS = tomllib.loads(Path("hparams.toml").read_text())


@click.command()
@click.option("--source", default="inputs/words.txt", type=click.Path(exists=True))
@click.option("--target", default="counts.json", type=click.Path())
@click.option("--longest", default=10, show_default=True, help="letters")
def count(source, target, longest):
    """Count words."""
    import json

    found = Counter(w for w in Path(source).read_text().split() if len(w) <= longest)
    settings = SETTINGS["count"]
    kept = {w: n for w, n in sorted(found.items()) if n >= settings["minimum"] and w not in settings["skip"]}
    Path(target).write_text(json.dumps({"words": kept, "source": source}))


if __name__ == "__main__":
    count()
