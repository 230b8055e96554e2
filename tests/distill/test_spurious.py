"""Which programs compute with the numbers of their question, and which reach its answer by luck."""

from __future__ import annotations

from fractions import Fraction

import pytest

from distill.spurious import is_spurious, numbers_told, numbers_used

CLIPS = "# Natalia sold 48 clips in April, and half as many in May. How many clips did she sell altogether?\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("48 clips and 7.", "48 7"),
        ("$1,450,000 or $.25 or 0.5", "1450000 0.25 0.5"),
        ("twenty-five boys, two hundred and fifty girls, three hundred dogs", "25 250 300"),
        ("fourteen thousand, 2 million", "14000 2000000"),
        ("two hundred thousand", "200000"),
        ("20% off", "20 0.2 0.8 1.2"),
        ("20 percent", "20 0.2 0.8 1.2"),
        ("two thirds of them", "2 3 2/3 1/3 5/3 4/3"),
        ("1/4 of 12", "1 4 1/4 3/4 5/4 12"),
        ("twice the 2 dozen", "2 12 24"),
        ("half of it", "2 0.5 1.5"),
        ("no number at all, someone said, nothing", ""),
        ("1" * 50, f"{'1' * 40} {'1' * 10}"),
        ("5 / 0 and 3 /", "5 0 3"),
    ],
)
def test_the_numbers_that_a_question_tells(text: str, told: str) -> None:
    assert numbers_told(text) == {Fraction(number) for number in told.split()}


@pytest.mark.parametrize(
    ("program", "used"),
    [
        ("n0 = 48\nn1 = 2\nt0 = n0 / n1\nanswer = n0 + t0\n", "48 2"),
        ("n0 = 48\nn1 = 9\nanswer = n0 * 1.5\n", "48 1.5"),  # nothing follows from n1
        ("a = 1\na = 48\nanswer = a\n", "48"),
        ('"""Sum 3."""\nanswer = -5\n', "5"),
        ("answer = True + 3\n", "3"),
        ("x = 7\nfor i in range(9):\n    x += i\nanswer = x\n", "7 9"),  # no straight line
        ("x = 7\nx += 3\nanswer = x\n", "7 3"),
        ("answer = 1e400\n", ""),
        ("answer = (\n", ""),
        ("x = 4\n", ""),
        ("answer = " + "(" * 5000 + "1" + ")" * 5000, ""),
    ],
)
def test_the_numbers_that_an_answer_follows_from(program: str, used: str) -> None:
    assert numbers_used(program) == {Fraction(number) for number in used.split()}


@pytest.mark.parametrize(
    ("program", "spurious"),
    [
        ("n0 = 48\nt0 = n0 / 2\nanswer = n0 + t0\n", False),
        ("n0 = 48\nn1 = 0.5\nanswer = n0 + n0 * n1\n", False),
        ("answer = 48 * 1.5\n", False),
        ("answer = 72\n", True),  # the answer alone
        (
            "n0 = 1.0\nn1 = 7.0\nn2 = 9.0\nt0 = n0 + n1\nanswer = t0 * n2\n",
            True,
        ),  # the scaffold of a shot
        ("n0 = 48\nanswer = 60 + 12\n", True),  # the question's number is there, and nothing follows from it
        ("answer = 48 + 24\n", False),  # worked out in the head, and by chance a number that everybody knows
        ("answer = 48 + 6 * 4\n", True),
        ("answer =", True),
    ],
)
def test_a_lucky_program_is_told_by_its_numbers(program: str, spurious: bool) -> None:
    assert is_spurious(CLIPS, CLIPS + program) is spurious


def test_a_question_without_numbers_makes_no_program_spurious() -> None:
    assert not is_spurious("# How many legs do spiders have?\n", "answer = 8\n")
