"""The functions of the held-out packages of this Python's standard library: documents, and descriptions to find them.

Another version of Python has other functions, so a benchmark that is made of them has another digest there.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataMissing
from harness.retrieval.held_out import HELD_OUT_PACKAGES
from harness.retrieval.programs import functions_of, without_words

SHORTEST_LINES, LONGEST_LINES = 4, 60  # of a function that is a document, without its words
SHORTEST_WORDS = 6  # of a description that tells one function from others
_NOT_CODE = frozenset({"test", "tests", "__pycache__"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFunction:
    """A function by its place (`shutil.copytree`), its text without words, and the first paragraph of its docstring."""

    name: str
    code: str
    description: str


def library_functions(folder: Path | None = None) -> list[LibraryFunction]:
    """Return the functions of the held-out packages in a folder of packages (None: this Python's library), sorted.

    Of functions with the same text there is the first. Raises DataMissing where a package is not there.
    """
    found: dict[str, LibraryFunction] = {}
    for module, path in library_modules(folder):
        for one in _functions(path.read_text(encoding="utf-8", errors="replace"), module):
            found.setdefault(one.code, one)
    return sorted(found.values(), key=lambda one: one.name)


def library_modules(folder: Path | None = None) -> Iterator[tuple[str, Path]]:
    """Yield the names and files of the modules that `library_functions` reads. Raises DataMissing as it does."""
    root = folder or Path(sysconfig.get_path("stdlib"))
    for package in HELD_OUT_PACKAGES:
        files = _files(root, package)
        if not files:
            raise DataMissing(
                f"{root} has no source of {package}, which the benchmark retrieval is made of: use a Python that comes "
                "with the source of its standard library"
            )
        for path in files:
            yield ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"), path


def _files(root: Path, package: str) -> list[Path]:
    if (root / f"{package}.py").is_file():
        return [root / f"{package}.py"]
    return sorted(path for path in (root / package).rglob("*.py") if not _NOT_CODE & set(path.parts))


def _functions(source: str, module: str) -> Iterator[LibraryFunction]:
    for node in functions_of(source):
        words = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
        node.decorator_list = []
        code = without_words(node)
        if SHORTEST_LINES <= code.count("\n") + 1 <= LONGEST_LINES:
            yield LibraryFunction(name=f"{module}.{node.name}:{node.lineno}", code=code, description=words)


def described(functions: list[LibraryFunction]) -> list[LibraryFunction]:
    """Return those with a description of some words that no other has."""
    seen: dict[str, int] = {}
    for one in functions:
        seen[one.description.lower()] = seen.get(one.description.lower(), 0) + 1
    return [
        one
        for one in functions
        if len(one.description.split()) >= SHORTEST_WORDS and seen[one.description.lower()] == 1
    ]
