"""`python -m nbexp.sweeps --root ROOT NAME`: leads a sweep, in a session of its own, until it is over."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Lead the sweep; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nbexp.sweeps")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("name")
    args = parser.parse_args(argv)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from nbexp.queue.site import Site
    from nbexp.sweeps import coordinator

    site = Site.at(args.root)
    try:
        return coordinator.lead(site, args.name)
    finally:
        site.close()


if __name__ == "__main__":
    sys.exit(main())
