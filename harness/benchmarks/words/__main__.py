"""`python -m harness.benchmarks.words` writes the test and dev sets again: the files beside this one."""

from __future__ import annotations

from harness.benchmarks.words.generator import SIZES, words_set
from harness.benchmarks.words.problems import FOLDER

if __name__ == "__main__":
    for split in SIZES:
        text = "".join(problem.to_line() for problem in words_set(split))
        (FOLDER / f"{split}.jsonl").write_text(text, encoding="ascii", newline="\n")
