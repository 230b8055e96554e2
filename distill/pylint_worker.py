"""Parser and Pylint over a folder of hostile programs, in a process of its own.

`python -I pylint_worker.py FOLDER MEMORY_BYTES CPU_SECONDS lint|parse`

Reads the names of files from standard input, one a line, and answers on standard output in lines of JSON:
`["at", name]` before a program is looked at, `["linting", name]` once it parses, and in the end `["done", name,
parses, reason, {category: {symbol: count}} or null]`. So whoever reads knows which program ended this process, be it by
its nesting, its memory or its time.

Programs are compiled and never run. Pylint would import compiled modules that a program names, and read all
others: once it is loaded, only the standard library is left to be found. What a program says to pylint in comments
is not heard, since it would grade itself. No module of ours is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Of no use here: programs stand alone, their surroundings are not installed, and the ends of a text are the
# extraction's. duplicate-code and cyclic-import compare files with each other.
DISABLED = (
    "cyclic-import",
    "duplicate-code",
    "import-error",
    "missing-final-newline",
    "missing-module-docstring",
    "trailing-newlines",
)
_ENCODING = re.compile(r"coding[:=]")
_FILE_BYTES = 1 << 26
# Has pylint load what it loads late (isort, its spelling of types, ...) while it can still be found.
_WARM_UP = 'import collections.abc\nimport os, typing\nprint(f"{os.sep!r}" % typing.Any)\n'


def main(folder: str, memory_bytes: int, cpu_seconds: int, lint: bool) -> None:
    """Look at each program whose file name comes in on standard input, and stop behind one that broke Pylint."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # whatever prints is no answer

    def say(*words: object) -> None:
        answers.write(json.dumps(words) + "\n")

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    with contextlib.ExitStack() as stack:
        lint_one = stack.enter_context(_linting()) if lint else None
        if lint_one is not None:
            lint_one(Path(folder, "warm_up.py"), _WARM_UP)
        _forget_installed_packages()
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        for line in sys.stdin:
            name = line.strip()
            path = Path(folder, name)
            say("at", name)
            _allow(cpu_seconds)
            text = path.read_bytes().decode()
            counts = None
            reason = _syntax_error(text)
            if lint_one is not None and not reason:
                say("linting", name)
                counts = lint_one(path, text)
            say("done", name, not reason, reason, counts)
            if counts and "fatal" in counts:
                return  # what it left behind in memory, or in a checker, is nobody else's business


def _allow(seconds: int) -> None:
    """Let the next program use this much CPU time; the kernel ends the process behind it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + 1 + seconds, resource.RLIM_INFINITY))


def _syntax_error(text: str) -> str:
    """Return why a program is none, or nothing. By what the compiler says, as the judge does."""
    try:
        compile(text, "program", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"{type(error).__name__}: {error}"[:200]
    except (RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: nested too deeply"
    return ""


def _without_encoding(text: str) -> str:
    """Return a program that names no encoding: it is text already, and would be read as something else."""
    lines = re.split(r"(\r\n|\r|\n)", text, maxsplit=2)
    return "".join(_ENCODING.sub("coding ", line) if line.lstrip().startswith("#") else line for line in lines[:3]) + (
        "".join(lines[3:])
    )


@contextlib.contextmanager
def _linting() -> Iterator[Callable[[Path, str], dict[str, dict[str, int]]]]:
    """Give a function that counts a program's messages by category and symbol.

    `PyLinter.check` does the same and opens all checkers each time, which takes as long as a small program does; what
    it calls between that is private to pylint, so pyproject.toml bounds the version.
    """
    from astroid import MANAGER
    from pylint.typing import FileItem

    linter = _linter()
    linter.initialize()
    with linter._astroid_module_checker() as check:

        def lint_one(path: Path, text: str) -> dict[str, dict[str, int]]:
            path.write_bytes(_without_encoding(text).encode())
            counts: dict[str, Counter[str]] = {}
            linter.reporter.counts = counts
            linter.set_current_module(path.stem, str(path))
            try:
                module = linter.get_ast(str(path), path.stem)
                if module is not None:
                    linter._lint_file(FileItem(path.stem, str(path), path.stem), module, check)
            except Exception as error:  # pylint's own failure, which it counts as "fatal"
                counts["fatal"] = Counter([type(error.__cause__ or error).__name__])
            MANAGER.astroid_cache.pop(path.stem, None)
            return {category: dict(sorted(symbols.items())) for category, symbols in counts.items()}

        yield lint_one


def _linter() -> Any:
    from pylint.lint import PyLinter
    from pylint.reporters import BaseReporter

    class Counting(BaseReporter):
        """Counts messages by category and symbol; their texts quote the program, and nobody reads them."""

        name = "counting"
        counts: dict[str, Counter[str]]

        def handle_message(self, msg: Any) -> None:
            self.counts.setdefault(msg.category, Counter())[msg.symbol] += 1

        def _display(self, layout: Any) -> None:
            """Nothing is displayed."""

    class Deaf(PyLinter):
        """Hears no `# pylint:` comment."""

        def process_tokens(self, tokens: Any) -> None:
            """Leave every message as it was configured."""

    linter = Deaf(reporter=Counting())
    linter.load_default_plugins()
    linter.set_option("persistent", False)
    for symbol in DISABLED:
        linter.disable(symbol)
    return linter


def _forget_installed_packages() -> None:
    kept = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    sys.path[:] = [path for path in sys.path if path in kept or Path(path).name == "lib-dynload"]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "lint")
