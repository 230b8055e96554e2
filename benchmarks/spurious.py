"""How well programs that are right by luck are told: on GSM8K's worked solutions, and on word problems' programs.

    python -m benchmarks.spurious

A question's own program should count as one that computes with its numbers. A program of another question with the same
answer stands for one that is right by luck: it is drawn at random, by seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from distill.spurious import is_spurious
from harness import Task, gsm8k_train, words_train

WORDS, SEED = 1500, 1


def main() -> None:
    """Print how many of either kind are called spurious."""
    for name, tasks in (("gsm8k", gsm8k_train().tasks), ("words", tuple(words_train(SEED, WORDS)))):
        solved = [task for task in tasks if task.reference]
        own = sum(is_spurious(task.prompt, task.reference) for task in solved)
        lucky = list(with_another_program(solved))
        told = sum(is_spurious(task.prompt, program) for task, program in lucky)
        print(f"{name}: {own} of {len(solved)} own programs ({own / len(solved):.1%}) are called spurious,")
        print(
            f"  and {told} of {len(lucky)} programs of other questions with the same answer ({told / len(lucky):.1%})"
        )


def with_another_program(solved: Sequence[Task]) -> list[tuple[Task, str]]:
    """Return the tasks beside others with the same answer, each with the program of one of these."""
    by_answer = defaultdict(list)
    for task in solved:
        by_answer[task.tests].append(task)
    chance = random.Random(SEED)
    pairs = []
    for task in solved:
        if others := [one for one in by_answer[task.tests] if one is not task]:
            other = chance.choice(others)
            pairs.append((task, task.prompt + other.reference.removeprefix(other.prompt)))
    return pairs


if __name__ == "__main__":
    main()
