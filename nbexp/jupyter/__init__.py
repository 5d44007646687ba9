"""The face in Jupyter: `%exp`, what a cell shows, what Tab offers. The only home of IPython and altair.

- `magics`: `%load_ext nbexp`, and `%exp` itself
- `words`: a line of a cell to the words of a command
- `progress`: a run as one display that is replaced in place
- `display`: a result to text, HTML and pictures; `markup` holds the HTML they share
- `completion`: what Tab offers; `peek` reads the project's files for it, without Git
"""
