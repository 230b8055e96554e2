"""The benchmarks by name, each a function that reads its file; or a task file of one's own.

To add one: write its family file beside these and name its loader in `LOADERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from harness.benchmarks import data
from harness.errors import UsageError
from harness.models.checkpoint import is_folder
from harness.records import Benchmark

__all__ = ["LOADERS", "PLUS", "load_benchmark", "names"]


def _of(family: str, load: str = "load") -> Callable[[], Benchmark]:
    """Return a loader whose file is imported when it is called: a run needs one family, and most of a second counts."""

    def loaded() -> Benchmark:
        benchmark: Benchmark = getattr(import_module(f"{__name__}.{family}"), load)()
        return benchmark

    return loaded


LOADERS: Mapping[str, Callable[[], Benchmark]] = {
    "humaneval": _of("humaneval"),
    "humaneval+": _of("evalplus", "load_humaneval_plus"),
    "humaneval+mini": _of("evalplus", "load_humaneval_plus_mini"),
    "mbpp": _of("mbpp"),
    "mbpp-sanitized": _of("mbpp", "load_sanitized"),
    "mbpp+": _of("evalplus", "load_mbpp_plus"),
    "gsm8k": _of("gsm8k"),
    "gsm8k-dev": _of("gsm8k", "load_dev"),
    "ladder": _of("ladder"),
    "retrieval": _of("retrieval"),
    "tinypy-completion": _of("tinypy", "load_completion"),
    "tinypy-execution": _of("tinypy", "load_execution"),
    "words": _of("words"),
    "words-dev": _of("words", "load_dev"),
}

PLUS = frozenset({"humaneval+", "humaneval+mini", "mbpp+"})  # those whose `Benchmark.is_plus` holds


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
    from harness.benchmarks import custom, published

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
