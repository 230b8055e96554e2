"""Tier 1: one operation on one or two values that are each an argument, a literal or one look-up."""

from __future__ import annotations

from dataclasses import dataclass

from harness.benchmarks.ladder.drafts import Draft, Families, arguments
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.phrases import NUMBER_CONDITIONS, fill


@dataclass(frozen=True, slots=True)
class Operand:
    """A value that needs no more than a look-up; its code binds as tightly as a product."""

    key: str
    words: str
    code: str
    arguments: tuple[str, ...]
    values: tuple[str, ...] = ()


_SMALL = tuple(str(value) for value in range(2, 10))
_SIZES = ("2", "3", "4")
_LETTERS = tuple(f"'{letter}'" for letter in "aeorstnl")
_MARKS = tuple(f"'{mark}'" for mark in "!?-+")
_NUMS, _WORDS, _TEXT, _WORD = ("nums",), ("words",), ("text",), ("word",)

NUMBERS = (
    Operand("n", "n", "n", ("n",)),
    Operand("m", "m", "m", ("m",)),
    Operand("k", "@k", "@k", (), _SMALL),
    Operand("double", "m doubled", "m * 2", ("m",)),
    Operand("square", "m squared", "m ** 2", ("m",)),
    Operand("abs", "m without its sign", "abs(m)", ("m",)),
    Operand("sum", "the sum of nums", "sum(nums)", _NUMS),
    Operand("len", "the length of nums", "len(nums)", _NUMS),
    Operand("first", "the first number in nums", "nums[0]", _NUMS),
    Operand("last", "the last number in nums", "nums[-1]", _NUMS),
    Operand("max", "the largest number in nums", "max(nums)", _NUMS),
    Operand("min", "the smallest number in nums", "min(nums)", _NUMS),
    Operand("words", "the length of words", "len(words)", _WORDS),
    Operand("text", "the length of text", "len(text)", _TEXT),
    Operand("count", "the count of @k in text", "text.count(@k)", _TEXT, _LETTERS),
    Operand("word", "the length of word", "len(word)", _WORD),
)

TEXTS = (
    Operand("text", "text", "text", _TEXT),
    Operand("word", "word", "word", _WORD),
    Operand("mark", "@k", "@k", (), _MARKS),
    Operand("text reversed", "text reversed", "text[::-1]", _TEXT),
    Operand("text upper", "text in upper case", "text.upper()", _TEXT),
    Operand("text cut", "text cut to @k characters", "text[:@k]", _TEXT, _SIZES),
    Operand("text tail", "text without its first character", "text[1:]", _TEXT),
    Operand("text body", "text without its last character", "text[:-1]", _TEXT),
    Operand("text dense", "text without spaces", "text.replace(' ', '')", _TEXT),
    Operand("word reversed", "word reversed", "word[::-1]", _WORD),
    Operand("word upper", "word in upper case", "word.upper()", _WORD),
    Operand("first", "the first word in words", "words[0]", _WORDS),
    Operand("last", "the last word in words", "words[-1]", _WORDS),
    Operand("joined", "words joined by @k", "@k.join(words)", _WORDS, _MARKS),
    Operand("n", "n as text", "str(n)", ("n",)),
)

NUMBER_LISTS = (
    Operand("nums", "nums", "nums", _NUMS),
    Operand("reversed", "nums reversed", "nums[::-1]", _NUMS),
    Operand("sorted", "nums sorted", "sorted(nums)", _NUMS),
    Operand("cut", "the first @k numbers in nums", "nums[:@k]", _NUMS, _SIZES),
    Operand("end", "the last @k numbers in nums", "nums[-@k:]", _NUMS, _SIZES),
    Operand("tail", "nums without its first number", "nums[1:]", _NUMS),
    Operand("body", "nums without its last number", "nums[:-1]", _NUMS),
    Operand("second", "every second number in nums", "nums[::2]", _NUMS),
    Operand("one", "a list of only m", "[m]", ("m",)),
    Operand("range", "the numbers from 0 to n", "list(range(n + 1))", ("n",)),
)

WORD_LISTS = (
    Operand("words", "words", "words", _WORDS),
    Operand("reversed", "words reversed", "words[::-1]", _WORDS),
    Operand("sorted", "words sorted", "sorted(words)", _WORDS),
    Operand("cut", "the first @k words in words", "words[:@k]", _WORDS, _SIZES),
    Operand("end", "the last @k words in words", "words[-@k:]", _WORDS, _SIZES),
    Operand("tail", "words without its first word", "words[1:]", _WORDS),
    Operand("body", "words without its last word", "words[:-1]", _WORDS),
    Operand("second", "every second word in words", "words[::2]", _WORDS),
    Operand("split", "the words of text", "text.split()", _TEXT),
    Operand("one", "a list of only word", "[word]", _WORD),
)

_SAME_MEMBERS = ("one", "range", "reversed", "sorted")  # lists of which a question about members is odd
_HARDLY_MEMBERS = ("square", "mark", "joined", "text dense", "text upper", "text reversed", "word upper")
_SIGNS = {"plus": "+", "minus": "-", "times": "*"}
_RELATIONS = {
    "greater than": ">",
    "less than": "<",
    "at least": ">=",
    "at most": "<=",
    "equal to": "==",
    "different from": "!=",
}


def operand(draw: Draw, operands: tuple[Operand, ...]) -> Operand:
    """Return one of the operands with its number or letter chosen."""
    chosen = draw.one_of(operands)
    if not chosen.values:
        return chosen
    value = draw.one_of(chosen.values)
    return Operand(chosen.key, chosen.words.replace("@k", value), chosen.code.replace("@k", value), chosen.arguments)


def _draft(name: str, choices: tuple[str, ...], parts: tuple[Operand, ...], sentence: str, code: str) -> Draft | None:
    """Return the draft, or None when it says the same thing twice, or nothing about an argument."""
    taken = arguments(*(part.arguments for part in parts))
    if not taken or len({part.words for part in parts}) < len(parts):
        return None
    return Draft(
        family=f"easy-{name}",
        choices=(*choices, *(part.key for part in parts)),
        name=name,
        arguments=taken,
        sentence=f"Return {sentence}.",
        body=f"return {code}",
    )


def _compute(draw: Draw) -> Draft | None:
    one, two = operand(draw, NUMBERS), operand(draw, NUMBERS)
    word, sign = draw.one_of(tuple(_SIGNS.items()))
    return _draft("compute", (word,), (one, two), f"{one.words}, {word} {two.words}", f"{one.code} {sign} {two.code}")


def _compare(draw: Draw) -> Draft | None:
    one, two = operand(draw, NUMBERS), operand(draw, NUMBERS)
    word, sign = draw.one_of(tuple(_RELATIONS.items()))
    return _draft(
        "compare", (word,), (one, two), f"whether {one.words} is {word} {two.words}", f"{one.code} {sign} {two.code}"
    )


def _judge(draw: Draw) -> Draft | None:
    one, condition = operand(draw, NUMBERS), fill(draw, draw.one_of(NUMBER_CONDITIONS))
    return _draft("judge", (condition.key,), (one,), f"whether {one.words} {condition.single}", condition.on(one.code))


def _join(draw: Draw) -> Draft | None:
    one, two = operand(draw, TEXTS), operand(draw, TEXTS)
    return _draft("join", (), (one, two), f"{one.words}, followed by {two.words}", f"{one.code} + {two.code}")


def _chain(draw: Draw) -> Draft | None:
    lists = draw.one_of((NUMBER_LISTS, WORD_LISTS))
    one, two = operand(draw, lists), operand(draw, lists)
    return _draft("chain", (), (one, two), f"{one.words}, followed by {two.words}", f"{one.code} + {two.code}")


def _repeat(draw: Draw) -> Draft | None:
    one, two = operand(draw, TEXTS), operand(draw, NUMBERS)
    return _draft(
        "repeat", (), (one, two), f"{one.words}, repeated as many times as {two.words}", f"{one.code} * {two.code}"
    )


def _pair(draw: Draw) -> Draft | None:
    one, two = operand(draw, draw.one_of((TEXTS, NUMBERS))), operand(draw, draw.one_of((TEXTS, NUMBERS)))
    return _draft("pair", (), (one, two), f"a list with {one.words}, then {two.words}", f"[{one.code}, {two.code}]")


def _member(draw: Draw) -> Draft | None:
    values, lists = draw.one_of(((NUMBERS, NUMBER_LISTS), (TEXTS, WORD_LISTS)))
    one, two = operand(draw, values), operand(draw, lists)
    if two.key in _SAME_MEMBERS or one.key in _HARDLY_MEMBERS:
        return None
    if draw.chance(0.5):
        words, code = f"whether {one.words} is in {two.words}", f"{one.code} in {two.code}"
        return _draft("member", ("in",), (one, two), words, code)
    words, code = f"how many times {one.words} is in {two.words}", f"{two.code}.count({one.code})"
    return _draft("member", ("count",), (one, two), words, code)


FAMILIES: Families = {
    "easy-compute": _compute,
    "easy-compare": _compare,
    "easy-judge": _judge,
    "easy-join": _join,
    "easy-chain": _chain,
    "easy-repeat": _repeat,
    "easy-pair": _pair,
    "easy-member": _member,
}
