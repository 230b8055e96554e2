"""The vocabulary of the ladder: one phrase and one piece of code for each thing that a task can ask.

In phrases and code `@k` is a number or a quoted letter, in code `@x` is the value at hand. A meaning has one phrase
and one way to write it, throughout: a small model is to learn how the pieces go together, not synonyms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from harness.benchmarks.ladder.draw import Draw

ARGUMENT = "k"  # the argument that can take the place of a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What can hold of a value: "the numbers that `plural`", "the number `single`"."""

    key: str
    plural: str
    single: str
    code: str
    values: tuple[str, ...] = ()

    def on(self, value: str) -> str:
        """Return the code of the condition for a value."""
        return self.code.replace("@x", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What can be done to a value: "each `words`"."""

    key: str
    words: str
    code: str
    values: tuple[str, ...] = ()

    def on(self, value: str) -> str:
        """Return the code of the changed value."""
        return self.code.replace("@x", value)


Phrase = TypeVar("Phrase", Condition, Change)


def fill(draw: Draw, phrase: Phrase, argument: bool = False) -> Phrase:
    """Return the phrase with its `@k` chosen: the argument `k` if asked for and fit, otherwise one of its values.

    A phrase with the argument has another key: it belongs to another skeleton.
    """
    if not phrase.values:
        return phrase
    by_argument = argument and not phrase.values[0].startswith("'")
    value = ARGUMENT if by_argument else draw.one_of(phrase.values)
    key = f"{phrase.key}:{ARGUMENT}" if by_argument else phrase.key
    if isinstance(phrase, Condition):
        plural, single = phrase.plural.replace("@k", value), phrase.single.replace("@k", value)
        return replace(phrase, key=key, plural=plural, single=single, code=phrase.code.replace("@k", value), values=())
    words = phrase.words.replace("@k", value)
    return replace(phrase, key=key, words=words, code=phrase.code.replace("@k", value), values=())


def used_argument(*phrases: Condition | Change) -> tuple[str, ...]:
    """Return the argument if one of the phrases uses it."""
    return (ARGUMENT,) if any(phrase.key.endswith(f":{ARGUMENT}") for phrase in phrases) else ()


def _numbers(low: int, high: int) -> tuple[str, ...]:
    return tuple(str(value) for value in range(low, high + 1))


def _letters(text: str) -> tuple[str, ...]:
    return tuple(f"'{letter}'" for letter in text)


def _is(key: str, words: str, code: str, values: tuple[str, ...] = ()) -> Condition:
    return Condition(key=key, plural=f"are {words}", single=f"is {words}", code=code, values=values)


def _does(key: str, verb: str, rest: str, code: str, values: tuple[str, ...] = ()) -> Condition:
    single = {"have": "has", "do not": "does not"}.get(verb, f"{verb}s")
    return Condition(key=key, plural=f"{verb} {rest}", single=f"{single} {rest}", code=code, values=values)


def _are(key: str, plural: str, single: str, code: str, values: tuple[str, ...] = ()) -> Condition:
    return Condition(key=key, plural=f"are {plural}", single=f"is {single}", code=code, values=values)


def _change(key: str, words: str, code: str, values: tuple[str, ...] = ()) -> Change:
    return Change(key=key, words=words, code=code, values=values)


_COMMON = "aeorstnl"

NUMBER_CONDITIONS = (
    _is("even", "even", "@x % 2 == 0"),
    _is("odd", "odd", "@x % 2 == 1"),
    _is("positive", "positive", "@x > 0"),
    _is("negative", "negative", "@x < 0"),
    _is("greater", "greater than @k", "@x > @k", _numbers(2, 8)),
    _is("less", "less than @k", "@x < @k", _numbers(2, 8)),
    _is("least", "at least @k", "@x >= @k", _numbers(2, 8)),
    _is("most", "at most @k", "@x <= @k", _numbers(2, 8)),
    _is("divisible", "divisible by @k", "@x % @k == 0", _numbers(3, 5)),
    _is("indivisible", "not divisible by @k", "@x % @k != 0", _numbers(3, 5)),
    _is("different", "different from @k", "@x != @k", _numbers(1, 8)),
)

DIGIT_CONDITIONS = tuple(one for one in NUMBER_CONDITIONS if one.key not in ("positive", "negative"))

WORD_CONDITIONS = (
    _does("more", "have", "more than @k letters", "len(@x) > @k", _numbers(2, 5)),
    _does("fewer", "have", "fewer than @k letters", "len(@x) < @k", _numbers(3, 6)),
    _does("even", "have", "an even length", "len(@x) % 2 == 0"),
    _does("odd", "have", "an odd length", "len(@x) % 2 == 1"),
    _does("start", "start", "with @k", "@x.startswith(@k)", _letters(_COMMON)),
    _does("end", "end", "with @k", "@x.endswith(@k)", _letters(_COMMON)),
    _does("contain", "contain", "@k", "@k in @x", _letters(_COMMON)),
    _does("lack", "do not", "contain @k", "@k not in @x", _letters(_COMMON)),
    _does("first", "start", "with a vowel", "@x[0] in 'aeiou'"),
    _does("last", "end", "with a vowel", "@x[-1] in 'aeiou'"),
    _are("mirror", "palindromes", "a palindrome", "@x == @x[::-1]"),
)

CHARACTER_CONDITIONS = (
    _are("vowel", "vowels", "a vowel", "@x in 'aeiou'"),
    _are("unvowel", "not vowels", "not a vowel", "@x not in 'aeiou'"),
    _are("digit", "digits", "a digit", "@x.isdigit()"),
    _are("letter", "letters", "a letter", "@x.isalpha()"),
    _are("unspace", "not spaces", "not a space", "@x != ' '"),
    _is("same", "equal to @k", "@x == @k", _letters(_COMMON)),
    _is("other", "different from @k", "@x != @k", _letters(_COMMON)),
)

INDEX_CONDITIONS = (
    _are("even", "at an even index", "at an even index", "@x % 2 == 0"),
    _are("odd", "at an odd index", "at an odd index", "@x % 2 == 1"),
    _are("divisible", "at an index divisible by @k", "at an index divisible by @k", "@x % @k == 0", _numbers(3, 4)),
    _are("less", "at an index less than @k", "at an index less than @k", "@x < @k", _numbers(2, 5)),
    _are("greater", "at an index greater than @k", "at an index greater than @k", "@x > @k", _numbers(1, 3)),
)

NUMBER_CHANGES = (
    _change("double", "doubled", "@x * 2"),
    _change("square", "squared", "@x ** 2"),
    _change("negate", "negated", "-@x"),
    _change("abs", "without its sign", "abs(@x)"),
    _change("plus", "increased by @k", "@x + @k", _numbers(1, 9)),
    _change("minus", "reduced by @k", "@x - @k", _numbers(1, 9)),
    _change("times", "multiplied by @k", "@x * @k", _numbers(3, 9)),
    _change("floor", "floor-divided by @k", "@x // @k", _numbers(2, 5)),
    _change("modulo", "modulo @k", "@x % @k", _numbers(3, 7)),
    _change("from", "subtracted from @k", "@k - @x", _numbers(5, 15)),
)

WORD_CHANGES = (
    _change("upper", "in upper case", "@x.upper()"),
    _change("title", "capitalized", "@x.capitalize()"),
    _change("reverse", "reversed", "@x[::-1]"),
    _change("twice", "written twice", "@x * 2"),
    _change("tail", "without its first letter", "@x[1:]"),
    _change("body", "without its last letter", "@x[:-1]"),
    _change("cut", "cut to @k letters", "@x[:@k]", _numbers(2, 4)),
    _change("after", "followed by @k", "@x + @k", _letters("xyz!?")),
    _change("before", "with @k in front", "@k + @x", _letters("xyz!?")),
)

CHARACTER_CHANGES = (
    _change("twice", "written twice", "@x * 2"),
    _change("upper", "in upper case", "@x.upper()"),
    _change("mask", "replaced by @k", "@k", _letters("*#-_")),
    _change("after", "followed by @k", "@x + @k", _letters("*#-_")),
    _change("before", "with @k in front", "@k + @x", _letters("*#-_")),
)
