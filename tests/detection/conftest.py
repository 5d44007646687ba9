"""The sample projects are data: pytest does not collect what stands in them."""

import sys
from pathlib import Path

collect_ignore_glob = ["projects/*"]

# `scoring` is used here and by the journeys; tests themselves are imported by path.
sys.path.append(str(Path(__file__).parent))
