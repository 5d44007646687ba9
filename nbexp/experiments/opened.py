"""An executed notebook as `open` shows it."""

from __future__ import annotations

from nbexp.frozen import field, frozen
from nbexp.results import Result


@frozen
class OpenedNotebook(Result):
    """A notebook of an experiment, read from Git or the cache: `data` is the file's bytes."""

    experiment: str
    path: str
    data: bytes = field(repr=False)

    def to_json(self) -> dict[str, object]:
        import json

        return {"experiment": self.experiment, "path": self.path, "notebook": json.loads(self.data)}
