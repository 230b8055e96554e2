"""`python -m benchmarks [PART ...]`: the speed of the harness, part by part, in one run.

Parts: starting, grading, plus, streaming, load, overlap, own_speed; all of them by default. Each is a module of its
own with options. EvalPlus and vLLM are measured where the python of an environment that has them is named.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

PARTS = ("starting", "grading", "plus", "streaming", "load", "overlap", "own_speed")
WITH_EVALPLUS, WITH_VLLM = frozenset({"grading", "plus"}), frozenset({"own_speed"})


def main() -> None:
    """Run the parts in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--evalplus-python", type=Path, help="the python of an environment with evalplus")
    parser.add_argument("--vllm-python", type=Path, help="the python of an environment with vLLM")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for part in options.parts or PARTS:
        sys.argv = [part]
        for name, python, parts in (
            ("--evalplus-python", options.evalplus_python, WITH_EVALPLUS),
            ("--vllm-python", options.vllm_python, WITH_VLLM),
        ):
            sys.argv += [name, str(python)] if python and part in parts else []
        print(f"\n## {part}\n", flush=True)
        importlib.import_module(f"benchmarks.{part}").main()


if __name__ == "__main__":
    main()
