"""How the documentation is built: `make docs`.

Pages are Markdown (MyST). Those of `tutorials/` that are notebooks are executed by the build. What
`<!-- generated: NAME -->` stands for comes from the code, see `_ext/generated.py`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_ext"))

import nbexp  # noqa: E402  # beside the one above, which `_ext` needs

project = "nbexp"
author = "the nbexp contributors"
copyright = author
version = release = nbexp.__version__

extensions = ["myst_nb", "generated"]
exclude_patterns = ["_ext", "_projects", "README.md"]
nitpicky = True

# --- Markdown -----------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# A page shows what a terminal shows: `--` and quotes stay what they are.
smartquotes = False

# --- Notebooks ----------------------------------------------------------------------------------

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 120
# A cell that fails is a warning, and so ends a build with `-W`; this shows where.
nb_execution_show_tb = True
nb_merge_streams = True
suppress_warnings = [
    # An error of nbexp is drawn as message and hint; MyST-NB expects a traceback and reads its colours.
    "misc.highlighting_failure",
    # A plot comes as Vega-Lite for front ends that draw it, and as SVG for all others.
    "mystnb.unknown_mime_type",
]
# Kernels find the `python` and `nbexp` of this build, and nothing of the user's.
os.environ.update(
    GIT_CONFIG_GLOBAL=os.devnull,
    GIT_CONFIG_NOSYSTEM="1",
    JUPYTER_PREFER_ENV_PATH="1",
    NBEXP_EXAMPLES=str(DOCS.parent / "example-notebooks"),
    PATH=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
)

# --- Form ---------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "nbexp"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "show_nav_level": 2,
}
