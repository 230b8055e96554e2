"""GSM8K: school problems in words, each with a number for an answer, which a program of the model's must compute.

`gsm8k` is the 1,319 test questions, `gsm8k-dev` 500 of the 7,473 training questions, and `gsm8k-train` the others,
which only training may see. The dev split goes by the hash of a question with `DEV_SEED`, so that it is the same
everywhere and does not depend on the order of the file. Labels are numbers with a sign, thousands separators and
decimals where they have them (the published ones are whole numbers); a line with anything else is refused.

Source: Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems"; a dev split of 500 as in arXiv 2211.16740.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from fractions import Fraction

from harness.benchmarks import data
from harness.benchmarks.gsm8k_worked import worked_program
from harness.records import Benchmark, NumberTests, Task
from harness.statement import Shot, Statement

VARIABLE = "answer"  # where a program leaves its number
DEV_SEED = "harness gsm8k dev 1"  # another seed would be another split: it never changes
DEV_QUESTIONS = 500
DEV_NAME, TRAIN_NAME = "gsm8k-dev", "gsm8k-train"
MEDIUM_STEPS, HARD_STEPS = 3, 5  # steps of the worked solution at which medium and hard tasks begin

_OPENAI = "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/{}.jsonl"
_TRAIN = data.Source(
    _OPENAI.format("train"),
    "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
    saved_as="gsm8k_train.jsonl",
)
SOURCES: Mapping[str, data.Source] = {
    "gsm8k": data.Source(
        _OPENAI.format("test"),
        "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
        saved_as="gsm8k_test.jsonl",
    ),
    DEV_NAME: _TRAIN,
    TRAIN_NAME: _TRAIN,
}
_LABEL = re.compile(r"\n#### (-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)\s*\Z")
_STEP = re.compile(r"<<[^<>]*>>")  # the data's own calculations: <<48/2=24>>
_LINE_ENDS = re.compile(r"[\r\n]+")


def load() -> Benchmark:
    """Return the 1,319 test questions. Raises `DataMissing` or `SamplesError`."""
    file = data.find("gsm8k", SOURCES)
    tasks = tuple(task_from(record, "test", n, "test") for n, record in enumerate(data.records_of(file)))
    return Benchmark(name="gsm8k", tasks=tasks, digest=file.sha256, source=str(file.path))


def load_dev() -> Benchmark:
    """Return 500 of the training questions, none of which `load_train` has. Raises `DataMissing` or `SamplesError`."""
    return _of_train(DEV_NAME, "dev")


def load_train() -> Benchmark:
    """Return the training questions that are not in the dev split. Raises `DataMissing` or `SamplesError`."""
    return _of_train(TRAIN_NAME, "train")


def _of_train(name: str, split: str) -> Benchmark:
    file = data.find(name, SOURCES)
    records = tuple(data.records_of(file))
    if len(records) <= DEV_QUESTIONS:
        raise records[0].error(f"{len(records)} questions are too few: {DEV_QUESTIONS} of them are the dev split")
    questions = [record.text("question") for record in records]
    dev = frozenset(sorted(questions, key=_dev_place)[:DEV_QUESTIONS])
    tasks = tuple(
        task_from(record, "train", n, split)
        for n, (record, question) in enumerate(zip(records, questions, strict=True))
        if (question in dev) == (split == "dev")
    )
    source = f"{file.path}, {split} split by {DEV_SEED!r}"
    return Benchmark(name=name, tasks=tasks, digest=file.sha256, source=source)


def _dev_place(question: str) -> bytes:
    return hashlib.sha256(f"{DEV_SEED}:{question}".encode(errors="surrogatepass")).digest()


def task_from(record: data.JsonRecord, file: str, number: int, split: str) -> Task:
    """Return the task of one published line; its reference is empty where its worked solution makes no program.

    Raises `SamplesError` for a line without a question or a label.
    """
    question, solution = record.text("question"), record.text("answer")
    if not question.strip():
        raise record.error("'question' is blank")
    prompt, label = commented(question), label_of(record, solution)
    program = worked_program(solution, label)
    return Task(
        task_id=f"GSM8K/{file}/{number}",
        prompt=prompt,
        entry_point=VARIABLE,
        reference=prompt + program if program else "",
        tests=NumberTests(expected=label),
        split=split,
        tier=tier_of(solution),
        statement=Statement(description=question, tests=()),
    )


def commented(question: str) -> str:
    """Return a question as the one line of comment that a program begins with."""
    return f"# {_LINE_ENDS.sub(' ', question)}\n"


def label_of(record: data.JsonRecord, solution: str) -> Fraction:
    """Return the number behind `####` in a worked solution. Raises `SamplesError` where it is missing or no number."""
    match = _LABEL.search(f"\n{solution}")
    if match is None:
        raise record.error("'answer' must end in a line like '#### 72': a number, such as -7, 0.5 or 1,450,000")
    return Fraction(match[1].replace(",", ""))


def tier_of(solution: str) -> str:
    """Return the tier of a question by the steps of its worked solution: easy to 2, medium to 4, hard from 5.

    Steps are the calculations that are marked as such, or the lines of a solution that marks none.
    """
    steps = len(_STEP.findall(solution)) or solution.strip().count("\n")
    return "easy" if steps < MEDIUM_STEPS else "medium" if steps < HARD_STEPS else "hard"


def shot_of(record: data.JsonRecord) -> Shot:
    """Return a solved question, in `question` and `program`. Raises `SamplesError` for one that shows no answer."""
    question, program = record.text("question"), record.text("program").strip("\n")
    if not question.strip():
        raise record.error("'question' is blank")
    if re.search(rf"^{VARIABLE} *=", program, re.MULTILINE) is None:
        raise record.error(f"'program' must have a line that begins with '{VARIABLE} =', where an answer ends")
    if "\n\n#" in program:
        raise record.error("'program' has a comment behind a blank line, which is where the next question begins")
    return Shot(description=question, tests=(), code=program)
