"""`python -m benchmarks [PART ...] [--evalplus-python PYTHON]`: the speed of the harness, part by part, in one run.

Parts: starting, grading, plus, streaming, load, overlap; all of them by default. Each is a module of its own with options.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

PARTS = ("starting", "grading", "plus", "streaming", "load", "overlap")
WITH_EVALPLUS = frozenset({"grading", "plus"})


def main() -> None:
    """Run the parts in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--evalplus-python", type=Path, help="the python of an environment with evalplus")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for part in options.parts or PARTS:
        has_peer = options.evalplus_python and part in WITH_EVALPLUS
        sys.argv = [part, *(["--evalplus-python", str(options.evalplus_python)] if has_peer else [])]
        print(f"\n## {part}\n", flush=True)
        importlib.import_module(f"benchmarks.{part}").main()


if __name__ == "__main__":
    main()
