"""The benchmarks by name, each a function that reads its file; or a task file of one's own.

To add one: write its family file beside these and name its loader in `LOADERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.benchmarks import (
    custom,
    data,
    evalplus,
    gsm8k,
    humaneval,
    ladder,
    mbpp,
    published,
    retrieval,
    tinypy,
    words,
)
from harness.errors import UsageError
from harness.models.checkpoint import is_folder
from harness.records import Benchmark

__all__ = ["LOADERS", "load_benchmark", "names"]

LOADERS: Mapping[str, Callable[[], Benchmark]] = {
    "humaneval": humaneval.load,
    "humaneval+": evalplus.load_humaneval_plus,
    "humaneval+mini": evalplus.load_humaneval_plus_mini,
    "mbpp": mbpp.load,
    "mbpp-sanitized": mbpp.load_sanitized,
    "mbpp+": evalplus.load_mbpp_plus,
    "gsm8k": gsm8k.load,
    "gsm8k-dev": gsm8k.load_dev,
    "ladder": ladder.load,
    "retrieval": retrieval.load,
    "tinypy-completion": tinypy.load_completion,
    "tinypy-execution": tinypy.load_execution,
    "words": words.load,
    "words-dev": words.load_dev,
}


def names() -> tuple[str, ...]:
    """Return the names that `load_benchmark` knows, in the order in which to list them."""
    return tuple(LOADERS)


def load_benchmark(name_or_path: str) -> Benchmark:
    """Read the named benchmark, or the task file (.jsonl, .jsonl.gz) or folder of retrieval at the path.

    Raises `UsageError` for a name that does not exist, `DataMissing` when a file is not on this machine,
    `SamplesError` when it is malformed, `MissingDependency` when a package is needed.
    """
    if loader := LOADERS.get(name_or_path):
        return loader()
    path = Path(name_or_path)
    if is_folder(name_or_path):
        return published.load_folder(path, custom.name_of(path, LOADERS))
    if name_or_path.endswith((".jsonl", ".jsonl.gz")):
        if published.is_code_search(path):
            named = path.parent if path.name.startswith("test.") else path
            return published.load_code_search(path, custom.name_of(named.absolute(), LOADERS), path)
        return custom.load(path, reserved=LOADERS)
    import difflib  # only for this message

    close = difflib.get_close_matches(name_or_path.lower(), LOADERS, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(
        f"there is no benchmark {data.shown(name_or_path)}.{hint} "
        f"There are: {', '.join(LOADERS)}, or a task file of your own (.jsonl, .jsonl.gz), "
        "or a folder of CodeXGLUE's or CoIR's."
    )
