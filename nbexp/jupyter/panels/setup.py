"""The guided setup as a form: a field for each question, and a button that writes the stage."""

from __future__ import annotations

import ipywidgets as widgets

from nbexp.errors import NbexpError
from nbexp.experiments.guided import OMIT, Setup
from nbexp.jupyter import display
from nbexp.jupyter.markup import escaped, page, tag

_WIDE = widgets.Layout(width="100%", max_width="640px")
_LABELS = {"description_width": "170px"}


class Form:
    """The fields of a setup; `widget` is what a cell shows.

    Fields hold the defaults. Emptied, or with `n`, a line is left out; the command has to be there.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.fields = {
            question.key: widgets.Text(
                value=setup.defaults.get(question.key, ""),
                placeholder="python src/train.py" if question.key == "cmd" else "left out",
                description=question.text,
                tooltip=f"Empty or `{OMIT}` leaves it out" if question.key != "cmd" else None,
                continuous_update=False,
                layout=_WIDE,
                style=_LABELS,
            )
            for question in setup.questions
        }
        self.button = widgets.Button(description="Write the stage", button_style="primary")
        self.button.on_click(self._write)
        self.outcome = widgets.HTML()
        self.widget = widgets.VBox([*self.fields.values(), self.button, self.outcome])

    def _write(self, _button: object) -> None:
        answers = {key: self._answer(key) for key in self.fields}
        problems = [self._setup.problem(key, text) for key, text in answers.items()]
        said = [problem for problem in problems if problem]
        if said:
            self._say("; ".join(said))
            return
        try:
            written = self._setup.answer(answers)
        except NbexpError as error:
            self._say(display.in_cell_words(str(error)))
            return
        for field in (*self.fields.values(), self.button):
            field.disabled = True
        self.outcome.value = page(tag("div", display.html(written), role="status"))

    def _answer(self, key: str) -> str:
        """What the field says; an emptied one is left out, for its default stood in it."""
        text = str(self.fields[key].value).strip()
        return text or ("" if key == "cmd" else OMIT)

    def _say(self, text: str) -> None:
        self.outcome.value = page(tag("div", tag("p", escaped(text)), role="alert"))


def form(setup: Setup) -> Form:
    """A form for the setup, to be shown below its static text."""
    return Form(setup)
