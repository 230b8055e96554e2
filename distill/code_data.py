"""Code that every machine has, as data to train an encoder on: packages of Python, each one repository.

Functions with their docstrings are what CodeSearchNet (arXiv 1909.09436) took: the docstring's first paragraph, of at
least three words, asks for the function without its docstring, of at least three lines; tests and special methods are
left out. Nothing is run or imported, only parsed. A package's split follows from its name, so that no function of a
package is trained on and another one of it tested; those that the benchmark `retrieval` tests are `test`.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import sysconfig
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from distill.texts import tree_of
from harness import HELD_OUT_PACKAGES, UsageError

STANDARD_LIBRARY, INSTALLED = "stdlib", "installed"
_LEAST_WORDS = 3
_LEAST_LINES = 3
_DEV_SHARE = 10  # one package in so many
_SKIPPED_FOLDERS = frozenset({"__pycache__", "dist-packages", "idle_test", "site-packages", "test", "tests"})
PYTHON = "Python"


class Split(StrEnum):
    """What a package's code is for. `test` is never trained on, `dev` is looked at while training."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A function or class of a package. `description` is what its docstring says ("": there is none).

    In `code` the docstring is missing where there is a description.
    """

    package: str
    place: str
    code: str
    description: str = ""
    language: str = PYTHON

    @property
    def split(self) -> Split:
        return split_of(self.package)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A package: its name and its files of Python, sorted."""

    name: str
    files: tuple[Path, ...]

    @property
    def is_tested(self) -> bool:
        return split_of(self.name) is Split.TEST


def split_of(package: str) -> Split:
    """Return the split of a package by its name: the benchmark's for test, of the others one in ten for dev."""
    if package in HELD_OUT_PACKAGES:
        return Split.TEST
    return Split.DEV if hashlib.sha256(package.encode()).digest()[0] % _DEV_SHARE == 0 else Split.TRAIN


def repositories_in(source: str) -> list[Repository]:
    """Return the packages of `stdlib`, of what is `installed` in this Python, or of a folder, sorted by name.

    A file of the folder is a package as well. Folders of tests are left out. Raises UsageError without any.
    """
    paths = sysconfig.get_paths()
    folder = Path({STANDARD_LIBRARY: paths["stdlib"], INSTALLED: paths["purelib"]}.get(source, source))
    found = [
        Repository(name=entry.stem, files=files)
        for entry in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if (files := tuple(_python_files(entry)))
    ]
    if not found:
        raise UsageError(
            f"no Python in {source}: give {STANDARD_LIBRARY}, {INSTALLED}, a folder of packages or a .jsonl"
        )
    return found


def _python_files(entry: Path) -> Iterator[Path]:
    if entry.name in _SKIPPED_FOLDERS or entry.name.startswith("."):
        return
    if entry.is_dir():
        for one in sorted(entry.iterdir()):
            yield from _python_files(one)
    elif entry.suffix == ".py":
        yield entry


def documented_functions(repository: Repository) -> Iterator[Snippet]:
    """Yield the package's functions and methods with a docstring, in the order of its files."""
    for path, text, tree in _parsed(repository):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_uninteresting(node.name):
                yield from _documented(node, text.splitlines(), repository.name, path)


def definitions(repository: Repository) -> Iterator[Snippet]:
    """Yield the functions and classes at the top of the package's files, as they stand."""
    for path, text, tree in _parsed(repository):
        lines = text.splitlines()
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                if len(code.splitlines()) >= _LEAST_LINES:
                    yield Snippet(package=repository.name, place=f"{path.name}:{node.lineno}", code=code)


def _parsed(repository: Repository) -> Iterator[tuple[Path, str, ast.Module]]:
    """Yield what is Python in UTF-8; other files have nothing to learn."""
    for path in repository.files:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if (tree := tree_of(text)) is not None:
            yield path, text, tree


def _is_uninteresting(name: str) -> bool:
    return "test" in name.lower() or (name.startswith("__") and name.endswith("__"))


def _documented(
    node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str], package: str, path: Path
) -> Iterator[Snippet]:
    """Yield the function with its description, if it has one and more than that."""
    said = ast.get_docstring(node)
    if not said or node.body[0].lineno == node.lineno or len(node.body) == 1:
        return
    description = first_paragraph(said)
    docstring = node.body[0]
    kept = [*lines[node.lineno - 1 : docstring.lineno - 1], *lines[docstring.end_lineno or 0 : node.end_lineno]]
    if len(description.split()) >= _LEAST_WORDS and len(kept) >= _LEAST_LINES:
        yield Snippet(
            package=package,
            place=f"{path.name}:{node.lineno}",
            code=textwrap.dedent("\n".join(kept)),
            description=description,
        )


def first_paragraph(docstring: str) -> str:
    """Return the first paragraph of a docstring, as one line."""
    return " ".join(docstring.strip().split("\n\n")[0].split())


def snippets_of_file(path: Path) -> Iterator[Snippet]:
    """Yield what a file of CodeSearchNet's or CodeXGLUE's format has: `code`, `docstring`, `repo`, `language` a line.

    The program that code is the `translation_of` takes the place of a description, whole. Raises UsageError that names
    the line for what is no such object.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _snippet_of_line(line, f"{path}, line {number}")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def _snippet_of_line(line: str, place: str) -> Snippet:
    try:
        row = json.loads(line)
        code, docstring = row["code"], row["docstring"]
        package, language = row.get("repo", place), row.get("language", PYTHON)
        program = row.get("translation_of", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f'{place}: expected a JSON object with "code" and "docstring" ({error})') from error
    if not all(isinstance(one, str) for one in (code, docstring, package, language, program)):
        raise UsageError(f'{place}: "code", "docstring", "repo", "language" and "translation_of" are texts')
    without = code.replace(docstring, "", 1) if docstring else code
    description = program or first_paragraph(docstring)
    return Snippet(package=package, place=place, code=without, description=description, language=language)


def snippets_of(sources: Iterable[str], *, documented: bool) -> Iterator[Snippet]:
    """Yield the snippets of all sources, with descriptions or as they stand. A source that ends in .jsonl is a file."""
    for source in sources:
        if source.endswith((".jsonl", ".jsonl.gz")):
            found = snippets_of_file(Path(source))
            yield from (one for one in found if one.description or not documented)
        else:
            for repository in repositories_in(source):
                yield from (documented_functions if documented else definitions)(repository)
