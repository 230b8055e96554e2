"""Programs that reach a right number by luck: those that do not compute with the numbers of their question.

A program that was found by its answer alone may have come to it in any way (arXiv 2211.16740 keeps such programs). The
numbers that its `answer` follows from are compared with those that the question tells, in figures or in words. Without
running anything: what is no straight line of assignments counts with all of its numbers.

Not found out is a program with the right numbers and the wrong steps; and a right one that was worked out in the head
is taken for a lucky one. How many are left out is counted.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction

from distill.texts import tree_of

# What nobody has to be told: counts of days, hours, minutes and cents, and numbers to count, halve and turn round with.
_KNOWN = "0 1 2 3 4 5 7 10 12 14 24 28 30 31 52 60 100 360 365 1000 3600 0.5 0.25 0.1 0.05 0.01"
KNOWN = frozenset(map(Fraction, _KNOWN.split()))
_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: number for number, word in enumerate(f"{_UNITS} seventeen eighteen nineteen".split())}
_WORDS |= {word: 10 * number for number, word in enumerate(_TENS.split(), 2)}
_TIMES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_PARTS = {"half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7}
_PARTS |= {"eighth": 8, "ninth": 9, "tenth": 10, "twentieth": 20, "hundredth": 100}
_SEVERAL = {"once": 1, "single": 1, "twice": 2, "double": 2, "doubled": 2, "couple": 2, "pair": 2, "both": 2, "twin": 2}
_SEVERAL |= {"thrice": 3, "triple": 3, "tripled": 3, "triplet": 3, "quadruple": 4, "dozen": 12, "score": 20}
_DIGITS = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40}"
_TOKEN = re.compile(rf"(?:{_DIGITS})?\.[0-9]{{1,40}}|(?:{_DIGITS})|[a-z]+|%|/|-", re.IGNORECASE)
_PERCENT = frozenset({"%", "percent"})


def is_spurious(question: str, program: str) -> bool:
    """Say whether a program uses none of its question's numbers, or one that neither question nor world knows.

    Never fails, whatever the texts, and takes time that is linear in them.
    """
    told = numbers_told(question)
    used = numbers_used(program)
    if not told:
        return False
    return not used & told or not used <= told | KNOWN


def numbers_told(question: str) -> frozenset[Fraction]:
    """Return the numbers that a question tells, and those that follow from shares and percentages of it.

    Of 20 % these are 20, 0.2, 1.2 and 0.8; of two thirds, 2, 3, 2/3, 5/3 and 1/3; of two dozen, 2, 12 and 24.
    """
    return frozenset(_told(_TOKEN.findall(question.lower())))


def _told(tokens: list[str]) -> Iterator[Fraction]:
    place = 0
    while place < len(tokens):
        number, end = _number_at(tokens, place)
        if number is None:
            place += 1
            continue
        yield number
        behind = tokens[end] if end < len(tokens) else ""
        if behind in _PERCENT:
            yield from _with_complements(number / 100)
        elif behind == "/" and (over := _number_at(tokens, end + 1)[0]):
            yield from _with_complements(number / over)
        elif (word := behind.removesuffix("s")) in _PARTS or behind in _PARTS:
            yield from _with_complements(number / _PARTS.get(behind, _PARTS.get(word, 1)))
        elif behind in _SEVERAL:
            yield number * _SEVERAL[behind]
        place = end
    for token in tokens:
        word = token if token in _PARTS else token.removesuffix("s")
        if word in _PARTS:
            yield Fraction(_PARTS[word])
            yield from _with_complements(Fraction(1, _PARTS[word]))
        elif word in _SEVERAL:
            yield Fraction(_SEVERAL[word])


def _with_complements(share: Fraction) -> tuple[Fraction, ...]:
    """Return a share, what it leaves of the whole, and the whole with it."""
    return share, 1 - share, 1 + share


def _number_at(tokens: list[str], place: int) -> tuple[Fraction | None, int]:
    """Return the number that begins at a token, with the place behind it; None where none does."""
    if place >= len(tokens):
        return None, place
    if tokens[place][0] in "0123456789." and tokens[place] != ".":
        number, place = Fraction(tokens[place].replace(",", "")), place + 1
    elif tokens[place] in _WORDS:
        number, place = _in_words(tokens, place)
    else:
        return None, place
    while place < len(tokens) and tokens[place] in _TIMES:
        number, place = number * _TIMES[tokens[place]], place + 1
    return number, place


def _in_words(tokens: list[str], place: int) -> tuple[Fraction, int]:
    """Return a number below a thousand that begins with a word: `five`, `twenty-five`, `two hundred and fifty`."""
    total = 0
    word = tokens[place]
    if place + 1 < len(tokens) and tokens[place + 1] == "hundred":
        total, place = 100 * _WORDS[word], place + 2
        place += place < len(tokens) and tokens[place] == "and"
        word = tokens[place] if place < len(tokens) else ""
        if word not in _WORDS:
            return Fraction(total), place
    value, place = _WORDS[word], place + 1
    ahead = place + (place < len(tokens) and tokens[place] == "-")
    if value >= 20 and ahead < len(tokens) and 0 < _WORDS.get(tokens[ahead], 0) < 10:
        value, place = value + _WORDS[tokens[ahead]], ahead + 1
    return Fraction(total + value), place


def numbers_used(program: str) -> frozenset[Fraction]:
    """Return the numbers that a program's `answer` follows from, signs aside; of what is no program, none."""
    tree = tree_of(program)
    if tree is None:
        return frozenset()
    nodes = [node for part in _needed(tree.body) for node in ast.walk(part)]
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return frozenset(Fraction(str(value)) for value in values if _is_number(value))


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and abs(value) < 1e300 and value == value)


def _needed(body: list[ast.stmt]) -> list[ast.AST]:
    """Return the expressions that `answer` follows from; all statements of what is no straight line of assignments."""
    lines: list[tuple[str, ast.expr]] = []
    for statement in body:
        match statement:
            case ast.Assign([ast.Name(name)], value):
                lines.append((name, value))
            case ast.Expr(ast.Constant(str())):
                continue
            case _:
                return list(body)
    wanted, needed = {"answer"}, list[ast.AST]()
    for name, value in reversed(lines):
        if name in wanted:
            needed.append(value)
            wanted.discard(name)
            wanted.update(node.id for node in ast.walk(value) if isinstance(node, ast.Name))
    return needed
