"""Named protocols: how a task becomes a prompt, how an answer is decoded, and how it becomes a program.

A score means little without these choices, so each set of them has a name, which reports carry. What a published
protocol does is not ours to improve: change `default`, or add a row to `PROTOCOLS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.extract import extract_program
from harness.records import Task

HUMANEVAL = "humaneval"
MBPP = "mbpp"
DEFAULT = "default"
TINYPY = "tinypy"
_MBPP_BENCHMARKS = frozenset({"mbpp", "mbpp-sanitized", "mbpp+"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseProtocol:
    """A protocol for models that continue text: the prompt is the task's own, and the program is prompt + completion.

    `temperature`, `top_p`, `max_new_tokens` and `n_samples` are what the protocol decodes with unless told otherwise;
    a temperature of 0 is greedy. `source` says where the rules come from.
    """

    name: str
    source: str
    humaneval_stop: tuple[str, ...]
    mbpp_stop: tuple[str, ...]
    temperature: float = 0.0
    top_p: float = 1.0
    max_new_tokens: int = 512
    n_samples: int = 1

    def prompt(self, task: Task) -> str:
        """Return the text that the model continues: the task's prompt without outer blanks, and one newline."""
        return task.prompt.strip() + "\n"

    def program(self, task: Task, completion: str) -> str:
        """Return the program that a completion stands for. Never fails; the rules are `extract_program`'s.

        Tabs become four blanks, as EvalPlus does after generating: the prompts are indented with blanks, and Python
        refuses a mixture.
        """
        # Where the task's prompt does not end in one newline, the model has continued another text than that prompt.
        continued = replace(task, prompt=task.prompt.rstrip() + "\n")
        return extract_program(continued, completion.replace("\t", "    "))

    def stop(self, family: str) -> tuple[str, ...]:
        """Return the strings at which a completion is cut, for a family of `family_of`. Raises `UsageError`."""
        if family not in (HUMANEVAL, MBPP):
            raise UsageError(f"no benchmark family {family!r}: {HUMANEVAL} or {MBPP}")
        return self.mbpp_stop if family == MBPP else self.humaneval_stop


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactProtocol:
    """A protocol for tasks whose answer is text: the prompt byte for byte, and the answer as it comes."""

    name: str
    source: str
    stop_strings: tuple[str, ...]
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    n_samples: int = 1

    def prompt(self, task: Task) -> str:
        """Return the task's prompt as it stands."""
        return task.prompt

    def program(self, task: Task, completion: str) -> str:
        """Return the prompt and the completion, nothing taken off or put in between."""
        return task.prompt + completion

    def stop(self, family: str) -> tuple[str, ...]:
        """Return the strings at which a completion is cut."""
        return self.stop_strings


Rules = BaseProtocol | ExactProtocol

_EVALPLUS_STOP = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
_EVALPLUS_BASE = BaseProtocol(
    name="evalplus-base",
    source="EvalPlus 0.3: codegen.py, provider/utility.py, provider/hf.py; models without a chat template",
    humaneval_stop=(*_EVALPLUS_STOP, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "),
    mbpp_stop=(*_EVALPLUS_STOP, '\n"""', "\nassert"),
    top_p=0.95,
    max_new_tokens=768,
)

PROTOCOLS: dict[str, BaseProtocol] = {
    one.name: one
    for one in (
        # The same as evalplus-base today, because that is what most published numbers are compared with. It has a name
        # of its own so that it can learn more (chat models, say) while evalplus-base stays what it is.
        replace(_EVALPLUS_BASE, name=DEFAULT, source="as evalplus-base"),
        _EVALPLUS_BASE,
    )
}

# What TinyPy's tasks are always run by: their prompts are no functions to complete. The longest answers that count have
# 30 characters, and the longest line has fewer than 128; the authors sample at temperature 1, ours is greedy.
_TINYPY_SOURCE = "the evaluation code of arXiv 2407.10194, but greedy"
EXACT_PROTOCOLS: dict[str, ExactProtocol] = {
    "tinypy-execution": ExactProtocol(name=TINYPY, source=_TINYPY_SOURCE, stop_strings=("\n\n",), max_new_tokens=32),
    "tinypy-completion": ExactProtocol(name=TINYPY, source=_TINYPY_SOURCE, stop_strings=("\n",), max_new_tokens=128),
}


def protocol(name: str) -> BaseProtocol:
    """Return the protocol of that name. Raises `UsageError` with the names there are."""
    if name not in PROTOCOLS:
        raise UsageError(f"no protocol {name!r}: use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def rules_for(name: str, benchmark_name: str) -> Rules:
    """Return the protocol of that name for a benchmark.

    TinyPy has one of its own, which `default` stands for. Raises `UsageError` for any other, which says nothing about
    its tasks.
    """
    exact = EXACT_PROTOCOLS.get(benchmark_name)
    if exact is None:
        return protocol(name)
    if name not in (DEFAULT, exact.name):
        raise UsageError(f"protocol {name!r} has no rules for {benchmark_name}: use {DEFAULT} or {exact.name}")
    return exact


def family_of(benchmark_name: str) -> str:
    """Return the family whose stop strings fit a benchmark: MBPP's own, and HumanEval's for all else.

    A file of one's own counts as HumanEval: its tasks are functions to complete.
    """
    return MBPP if benchmark_name in _MBPP_BENCHMARKS else HUMANEVAL
