"""Who may import whom, what importing costs, and how large a piece of code may be (docs/architecture.md).

The rules are the table `ROOMS`. Modules are read, not run: an import counts wherever it stands, also inside a
function or as a text given to `import_module`; only "on import" rules look at module level alone.
"""

from __future__ import annotations

import ast
import importlib
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STANDARD_LIBRARY = sys.stdlib_module_names
HEAVY = frozenset({"accelerate", "evalplus", "openai", "pandas", "ray", "safetensors", "torch", "transformers", "vllm"})
MODULE_LINES = 300
FUNCTION_LINES = 60
PARAMETERS = 7
HELP_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class Room:
    """What the modules of one folder may import beside the standard library and each other.

    `neighbours` are modules of ours whose public names may be taken, by `from neighbour import name`.
    `installed` are packages from elsewhere; None allows any. `never_on_import` may not stand at module level.
    """

    neighbours: frozenset[str] = frozenset()
    installed: frozenset[str] | None = None
    never_on_import: frozenset[str] = frozenset()


ROOMS = {
    "sandbox.guest": Room(installed=frozenset()),  # it runs inside the image, where there is nothing else
    "sandbox": Room(installed=frozenset({"docker", "requests", "urllib3"})),
    "harness": Room(neighbours=frozenset({"sandbox"}), never_on_import=HEAVY),
    "distill": Room(neighbours=frozenset({"harness"})),
    "leaderboards": Room(
        neighbours=frozenset({"harness.records"}),
        installed=frozenset({"click", "jinja2", "msgspec", "numpy", "pandas", "scipy"}),
        never_on_import=frozenset({"jinja2", "numpy", "pandas", "scipy"}),
    ),
}
OURS = frozenset(room.split(".")[0] for room in ROOMS)


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported module, with the names taken from it (empty for `import module`)."""

    module: str
    names: tuple[str, ...]
    on_import: bool
    line: int


def module_name(path: Path) -> str:
    """Return the dotted name of a module file of the repository."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def room_of(module: str) -> str:
    """Return the innermost room that a module belongs to."""
    return max((room for room in ROOMS if is_within(module, room)), key=len)


def product_modules() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(source: str, package: str) -> Iterator[Import]:
    """Yield every import of a module's source; `package` is what its relative imports start from."""

    def visit(node: ast.AST, on_import: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module=alias.name, names=(), on_import=on_import, line=node.lineno)
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            names = tuple(alias.name for alias in node.names)
            yield Import(module=module, names=names, on_import=on_import, line=node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            for text in [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]:
                yield Import(module=str(text), names=(), on_import=on_import, line=node.lineno)
        is_deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, on_import and not is_deferred and not is_type_checking(node))

    yield from visit(ast.parse(source), True)


def public_names(module: str) -> frozenset[str]:
    """Return what a module of ours offers: its `__all__`, otherwise its names without an underscore."""
    loaded = importlib.import_module(module)
    return frozenset(getattr(loaded, "__all__", [name for name in vars(loaded) if name[0] != "_"]))


def violation(importer: str, found: Import) -> str | None:
    """Return what is wrong with an import in the module `importer`, or None."""
    own = room_of(importer)
    room = ROOMS[own]
    top = found.module.split(".")[0]
    targets = {found.module, *(f"{found.module}.{name}" for name in found.names)}
    is_entry_point = importer.endswith(".__main__")
    if top in OURS and not is_entry_point and any(target.endswith(".cli") for target in targets):
        return "nobody imports a cli module"
    if found.on_import and top in room.never_on_import:
        return "imported at module level; import it in the function that needs it"
    if is_within(found.module, own) or top in STANDARD_LIBRARY:
        return None
    if top not in OURS:
        return None if room.installed is None or top in room.installed else f"{own} may not use {top}"
    if found.module not in room.neighbours:
        return f"{own} may not import {found.module}"
    if not found.names:
        return f"take names: from {found.module} import …"
    private = sorted(set(found.names) - public_names(found.module))
    return f"not public in {found.module}: {', '.join(private)}" if private else None


@pytest.mark.parametrize("path", product_modules(), ids=module_name)
def test_imports_go_in_the_allowed_directions(path: Path) -> None:
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = imports(path.read_text(encoding="utf-8"), package)
    wrong = [f"line {one.line}: {one.module}: {reason}" for one in found if (reason := violation(name, one))]
    assert wrong == []


@pytest.mark.parametrize(
    ("importer", "line", "reason"),
    [
        ("sandbox.pool", "from harness.records import Task", "may not import harness"),
        ("sandbox.pool", "import numpy", "may not use numpy"),
        ("sandbox.guest.child", "import docker", "may not use docker"),
        ("sandbox.guest.child", "from ..contract import Limits", "may not import sandbox.contract"),
        ("harness.judge", "from sandbox.docker import Cell", "may not import sandbox.docker"),
        ("harness.judge", "import sandbox", "take names"),
        ("harness.judge", "from sandbox import no_such_name", "not public"),
        ("harness.judge", "def f():\n    import distill", "may not import distill"),
        ("harness.judge", "import_module('distill.loop')", "may not import distill"),
        ("harness.models.local", "try:\n    import torch\nexcept ImportError:\n    pass", "module level"),
        ("harness.report", "from harness.cli import main", "cli module"),
        ("harness.report", "from . import cli", "cli module"),
        ("distill.loop", "from sandbox import Program", "may not import sandbox"),
        ("leaderboards.build", "from harness.store import read", "may not import harness.store"),
    ],
)
def test_a_wrong_import_is_found(importer: str, line: str, reason: str) -> None:
    package = importer.rpartition(".")[0]
    reasons = [violation(importer, one) or "" for one in imports(line, package)]
    assert any(reason in text for text in reasons), reasons


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("sandbox.docker", "import docker.errors, requests.exceptions, os.path"),
        ("sandbox.guest.child", "from sandbox.guest.codec import dumps"),
        ("sandbox.guest.child", "from .codec import dumps"),
        ("harness.models.local", "def f():\n    import torch"),
        ("harness.__main__", "from harness.cli import main"),
        ("harness.models.local", "if TYPE_CHECKING:\n    import torch"),
        ("leaderboards.build", "from harness.records import Report"),
    ],
)
def test_a_right_import_is_left_alone(importer: str, line: str) -> None:
    package = importer.rpartition(".")[0]
    found = list(imports(line, package))
    assert found
    assert [violation(importer, one) for one in found] == [None] * len(found)


@pytest.mark.parametrize("module", ["harness", "harness.cli", "sandbox"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = sorted(HEAVY | {"docker", "numpy"})
    code = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout.split()) == (0, []), ran.stderr


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-c", "from harness.cli import main; main(prog_name='harness')", "--help"]
    seconds = []
    for _ in range(5):  # the best of five, in CPU time, for it waits for nothing: what else runs here only ever adds
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert ran.returncode == 0, ran.stderr
        assert "Usage: harness" in ran.stdout
    assert 0 < min(seconds) < HELP_SECONDS


def test_every_package_is_in_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {module_name(path) for path in product_modules() if path.name == "__init__.py"}
    assert set(project["tool"]["setuptools"]["packages"]) == packages


# Budgets: a line of docs/decisions.md may exempt a module or a function, with a date and a reason.
EXEMPTION = re.compile(r"- (?P<date>\d{4}-\d\d-\d\d) budget: (?P<place>[\w./:]+) — (?P<reason>\S.*)")


def exemptions() -> frozenset[str]:
    """Return the places that docs/decisions.md lets over the budget: `path` or `path:function`."""
    lines = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8").splitlines()
    stated = [line for line in lines if re.match(r"\W*\d{4}-\d\d-\d\d budget:", line)]
    read = [EXEMPTION.fullmatch(line) for line in stated]
    unreadable = [line for line, match in zip(stated, read, strict=True) if match is None]
    assert unreadable == [], "write: - YYYY-MM-DD budget: path[:function] — reason"
    return frozenset(match["place"] for match in read if match)


def excesses(place: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield (place, what) for a module and each of its functions, methods included, that is over a budget."""
    if (lines := len(source.splitlines())) > MODULE_LINES:
        yield place, f"{lines} lines, {MODULE_LINES} allowed"

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from visit(child, prefix)
                continue
            name = prefix + child.name
            if not isinstance(child, ast.ClassDef):
                lines = (child.end_lineno or child.lineno) - child.lineno + 1
                if lines > FUNCTION_LINES:
                    yield f"{place}:{name}", f"{lines} lines, {FUNCTION_LINES} allowed"
                given = child.args
                names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                names += [arg.arg for arg in (given.vararg, given.kwarg) if arg]
                count = len(names) - (names[:1] in (["self"], ["cls"]))
                if count > PARAMETERS:
                    yield f"{place}:{name}", f"{count} parameters, {PARAMETERS} allowed"
            yield from visit(child, name + ".")

    yield from visit(ast.parse(source), "")


def all_excesses() -> list[tuple[str, str]]:
    return [
        excess
        for path in product_modules()
        for excess in excesses(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]


def test_no_module_or_function_is_over_budget() -> None:
    allowed = exemptions()
    over = [f"{place}: {what}" for place, what in all_excesses() if place not in allowed]
    assert over == [], "split it, or argue it in docs/decisions.md"


def test_every_exemption_is_still_needed() -> None:
    assert exemptions() - {place for place, _ in all_excesses()} == frozenset()


def test_budgets_count_lines_and_parameters() -> None:
    long = "class A:\n    def f(self, a, b, c, d, e, f, g):\n" + "        pass\n" * FUNCTION_LINES
    wide = "def g(a, /, b, c, *d, e, f, g, **h): pass\n"
    assert list(excesses("m.py", long + wide + "\n" * MODULE_LINES)) == [
        ("m.py", f"{FUNCTION_LINES + 3 + MODULE_LINES} lines, {MODULE_LINES} allowed"),
        ("m.py:A.f", f"{FUNCTION_LINES + 1} lines, {FUNCTION_LINES} allowed"),
        ("m.py:g", f"8 parameters, {PARAMETERS} allowed"),
    ]
