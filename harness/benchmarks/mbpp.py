"""MBPP: short descriptions with assertions. `mbpp` is the 500 test tasks, `mbpp-sanitized` 427 edited ones.

Source: Austin et al. 2021, "Program Synthesis with Large Language Models", section 2.1; the split is theirs.
The prompt is the InCoder docstring form (Fried et al. 2022, section 5.3), as bigcode's harness writes it.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator

from harness.benchmarks import data
from harness.records import Benchmark, CheckTests, Task
from harness.statement import Shot, Statement

SHOTS = (2, 3, 4)  # the ids of the examples that Austin et al. show in their prompts


def load() -> Benchmark:
    """Return the 500 tasks of the test split (ids 11 to 510). Raises `DataMissing` or `SamplesError`."""
    return _of_split("mbpp", "test")


def load_train() -> Benchmark:
    """Return the 374 tasks of the training split (ids 601 to 974). Raises `DataMissing` or `SamplesError`."""
    return _of_split("mbpp-train", "train")


def _of_split(name: str, split: str) -> Benchmark:
    file = data.find("mbpp")
    records = tuple(data.records_of(file))
    shots = _shots(records)
    tasks = (task_from(record, "text", shots) for record in records)
    return _benchmark(name, tuple(task for task in tasks if task.split == split), file)


def load_sanitized() -> Benchmark:
    """Return the 427 edited tasks, of all splits. Raises `DataMissing` or `SamplesError`."""
    file = data.find("mbpp-sanitized")
    return _benchmark("mbpp-sanitized", tuple(task_from(item, "prompt") for item in data.array_of(file)), file)


def task_from(record: data.JsonRecord, description_key: str, shots: tuple[Shot, ...] = ()) -> Task:
    """Return the task of one published record. Raises `SamplesError` when a key is missing or ill-typed."""
    number = record.fields.get("task_id")
    if not isinstance(number, int):
        raise record.error("'task_id' must be a whole number")
    description, tests = record.text(description_key), _texts(record, "test_list")
    setup = str(record.fields.get("test_setup_code", ""))
    imports = "\n".join(_texts(record, "test_imports")) if "test_imports" in record.fields else ""
    source = "\n".join(part for part in (setup, *tests) if part).replace("\r\n", "\n") + "\n"
    reference = record.text("code")
    try:
        definitions, modules = top_level_names(reference)
        free = free_names(f"{imports}\n{source}")
        entry_point = _entry_point(tests, definitions)
    except (SyntaxError, ValueError) as error:
        raise record.error(f"code or tests are not usable: {error}") from error
    helpers = [imports, *(modules[name] for name in sorted(free & modules.keys()))]
    remote = {name for name in free - modules.keys() if name in definitions or not hasattr(builtins, name)}
    return Task(
        task_id=f"Mbpp/{number}",
        prompt=f'"""\n{description}\n{tests[0]}\n"""\n',
        entry_point=entry_point,
        reference=reference,
        tests=CheckTests(
            source=source,
            remote_names=(entry_point, *sorted(remote - {entry_point})),
            helpers="\n".join(line for line in helpers if line),
        ),
        split=split_of(number),
        statement=Statement(description=description, tests=tests, shots=shots),
    )


def _shots(records: tuple[data.JsonRecord, ...]) -> tuple[Shot, ...]:
    """Return the published examples, in their order; none where a file of one's own lacks any."""
    by_id = {number: record for record in records if isinstance(number := record.fields.get("task_id"), int)}
    if not set(SHOTS) <= by_id.keys():
        return ()
    chosen = [by_id[number] for number in SHOTS]
    return tuple(shot_of(one) for one in chosen)


def shot_of(record: data.JsonRecord) -> Shot:
    """Return a solved task, byte for byte. Raises `SamplesError` when a key is missing or ill-typed."""
    return Shot(description=record.text("text"), tests=_texts(record, "test_list"), code=record.text("code"))


def split_of(number: int) -> str:
    """Return the split of a task id, as published; the first ten are the few-shot examples."""
    return "prompt" if number <= 10 else "test" if number <= 510 else "dev" if number <= 600 else "train"


def top_level_names(program: str) -> tuple[frozenset[str], dict[str, str]]:
    """Return the functions and classes that a program defines at its top, and its imports: name -> statement.

    The published programs were run together with their tests, so that a test may use what only the program
    imports (596: `sys`). Raises `SyntaxError`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a published regular expression without r"" is no news
        body = ast.parse(program).body
    modules = {
        alias.asname or alias.name.partition(".")[0]: ast.unparse(node)
        for node in body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return frozenset(node.name for node in body if isinstance(node, kinds)), modules


def free_names(program: str) -> frozenset[str]:
    """Return the global names that a program reads but never binds, with builtins. Raises `SyntaxError`."""
    return frozenset(_global_reads(_symbols(program))) - bound_names(program)


def bound_names(program: str) -> frozenset[str]:
    """Return the names that a program binds at its top level. Raises `SyntaxError`."""
    symbols = _symbols(program).get_symbols()
    return frozenset(name.get_name() for name in symbols if name.is_assigned() or name.is_imported())


def _symbols(program: str) -> symtable.SymbolTable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return symtable.symtable(program, "<tests>", "exec")


def _global_reads(scope: symtable.SymbolTable) -> Iterator[str]:
    for name in scope.get_symbols():
        if name.is_referenced() and (scope.get_type() == "module" or name.is_global()):
            yield name.get_name()
    for child in scope.get_children():
        yield from _global_reads(child)


def _entry_point(tests: tuple[str, ...], definitions: frozenset[str]) -> str:
    """Return the program's function that the tests call first; wrappers (`set(...)`) are passed over."""
    for test in tests:
        for node in ast.walk(ast.parse(test)):  # outermost calls first
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in definitions:
                return node.func.id
    raise ValueError("no test calls a function that the program defines")


def _texts(record: data.JsonRecord, key: str) -> tuple[str, ...]:
    value = record.fields.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise record.error(f"{key!r} must be a list of strings")
    return tuple(value)


def _benchmark(name: str, tasks: tuple[Task, ...], file: data.DataFile) -> Benchmark:
    return Benchmark(name=name, tasks=tasks, digest=file.sha256, source=str(file.path))
