"""An executed notebook as `open` shows it."""

from __future__ import annotations

from nbexp.formats.notebook import Shown, shown
from nbexp.frozen import field, frozen
from nbexp.results import Result


@frozen
class OpenedNotebook(Result):
    """A notebook of an experiment, read from Git or the cache: `data` is the file's bytes."""

    experiment: str
    path: str
    data: bytes = field(repr=False)

    @property
    def cells(self) -> list[Shown]:
        """The cells that are not empty, with their outputs."""
        return shown(self.data, self.path)

    def to_json(self) -> dict[str, object]:
        import json

        return {"experiment": self.experiment, "path": self.path, "notebook": json.loads(self.data)}
