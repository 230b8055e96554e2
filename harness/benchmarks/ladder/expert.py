"""Tier 4: loops within loops, a loop with a state, and three or more steps one after the other."""

from __future__ import annotations

from harness.benchmarks.ladder import loops
from harness.benchmarks.ladder.drafts import Draft, Families, indented, lines
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.loops import are_alike, draft, one_argument, when
from harness.benchmarks.ladder.nested import NESTED
from harness.benchmarks.ladder.phrases import (
    NUMBER_CHANGES,
    NUMBER_CONDITIONS,
    WORD_CHANGES,
    WORD_CONDITIONS,
    Change,
    Condition,
    fill,
)

_ARGUMENT_SHARE = 0.5


def _update(draw: Draw, argument: bool) -> Change:
    """Return what a step does to `total` with the number `x`."""
    # "add it negated" and "subtract it" would be the same
    change = fill(draw, draw.one_of([one for one in NUMBER_CHANGES if one.key != "negate"]), argument)
    value = draw.one_of(("2", "3", "4", "5"))
    return draw.one_of(
        (
            Change(key="add", words="add it", code="total += x"),
            Change(key="subtract", words="subtract it", code="total -= x"),
            Change(key=f"add {change.key}", words=f"add it {change.words}", code=f"total += {change.on('x')}"),
            Change(key="set", words="set total to it", code="total = x"),
            Change(key="zero", words="set total to 0", code="total = 0"),
            Change(key="double", words="double total", code="total *= 2"),
            Change(key="down", words=f"reduce total by {value}", code=f"total -= {value}"),
            Change(key="up", words=f"increase total by {value}", code=f"total += {value}"),
        )
    )


def _state(draw: Draw) -> Draft | None:
    """A total that each number changes in one of three ways."""
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    one, two = draw.two_of(NUMBER_CONDITIONS)
    one, two = fill(draw, one, first), fill(draw, two)
    updates = (_update(draw, second), _update(draw, False), _update(draw, False))
    if are_alike(one, two) or len({update.words for update in updates}) < len(updates):
        return None
    if not any("x" in update.code for update in updates):
        return None
    key, words, start, after, result = draw.one_of(
        (
            ("end", "total", "", "", "total"),
            ("list", "a list of total after each number", "out = []", "out.append(total)", "out"),
            ("best", "the largest total at any time", "best = 0", "best = max(best, total)", "best"),
        )
    )
    choice = lines(
        f"if {one.on('x')}:",
        indented(updates[0].code),
        f"elif {two.on('x')}:",
        indented(updates[1].code),
        "else:",
        indented(updates[2].code),
    )
    body = lines("total = 0", start, "for x in nums:", indented(lines(choice, after)), f"return {result}")
    sentence = lines(
        f"Start total at 0. For each number in nums: if it {one.single}, {updates[0].words};",
        f"else if it {two.single}, {updates[1].words}; else {updates[2].words}.",
        f"Return {words}.",
    )
    return draft("expert", "track", (key,), ("nums",), (one, two, *updates), sentence, body)


_GROUPED = (  # key, words, first value, next value
    ("count", "the count of its @these", "0", "+ 1"),
    ("list", "a list of its @these", "[]", "+ [@y]"),
    ("length", "the total length of its @these", "0", "+ len(@y)"),
    ("sum", "the sum of its @these", "0", "+ @y"),
)
_WORD_KEYS = (("first", "first letter", "w[0]"), ("last", "last letter", "w[-1]"), ("length", "length", "len(w)"))
_NUMBER_KEYS = (
    ("modulo", "value modulo 3", "x % 3"),
    ("ten", "value floor-divided by 5", "x // 5"),
    ("abs", "value without its sign", "abs(x)"),
)


def _group(draw: Draw) -> Draft | None:
    """A dict from a property of values to a value of each group."""
    plural, name, keys, conditions, changes, unfit = draw.one_of(
        (
            ("words", "w", _WORD_KEYS, WORD_CONDITIONS, WORD_CHANGES, "sum"),
            ("numbers", "x", _NUMBER_KEYS, NUMBER_CONDITIONS, NUMBER_CHANGES, "length"),
        )
    )
    source = "words" if name == "w" else "nums"
    key, key_words, key_code = draw.one_of(keys)
    value, words, start, step = draw.one_of([one for one in _GROUPED if one[0] != unfit])
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(conditions), first)
    change = fill(draw, draw.one_of(changes), second)
    phrases: list[Condition | Change] = [condition]
    these = plural
    if value in ("list", "sum"):
        these += f", each {change.words}"
        phrases.append(change)
    code = step.replace("@y", change.on(name) if value in ("list", "sum") else name)
    inside = lines(f"key = {key_code}", f"out[key] = out.get(key, {start}) {code}")
    loop = lines(f"for {name} in {source}:", indented(when(condition.on(name), inside)))
    sentence = lines(
        f"Group the {plural} in {source} that {condition.plural} by {key_words}.",
        f"Return a dict from each {key_words} to {words.replace('@these', these)}.",
    )
    return draft(
        "expert", "group", (source, key, value), (source,), phrases, sentence, lines("out = {}", loop, "return out")
    )


_SHRINKING = tuple(one for one in NUMBER_CHANGES if one.key in ("minus", "floor"))


def _countdown(draw: Draw) -> Draft | None:
    """A number that becomes smaller in one of two ways until it is small enough."""
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS))
    one, two = (fill(draw, draw.one_of(_SHRINKING)) for _ in range(2))
    gather = draw.one_of((loops.COUNT, loops.LIST, loops.SUM))
    change = fill(draw, draw.one_of(NUMBER_CHANGES))
    phrases: list[Condition | Change] = [condition, one, two]
    these = "steps"
    if gather is not loops.COUNT:
        these = f"values of n before each step, each {change.words}"
        phrases.append(change)
    if one.words == two.words or condition.key in ("positive", "negative"):
        return None
    step = lines(gather.on(change.on("n")), when(condition.on("n"), f"n = {one.on('n')}", f"n = {two.on('n')}"))
    body = lines(gather.start, "while n > k:", indented(step), f"return {gather.result}")
    sentence = lines(
        f"While n is greater than k, make a step: n becomes n {one.words} if it {condition.single}, "
        f"otherwise n {two.words}.",
        f"Return {gather.said(f'the {these}')}.",
    )
    return draft("expert", "countdown", (gather.key,), ("n", "k"), phrases, sentence, body)


_ORDERS = (
    ("sorted", "Sort them", "sorted(out)"),
    ("falling", "Sort them in descending order", "sorted(out, reverse=True)"),
    ("reversed", "Reverse them", "out[::-1]"),
    ("distinct", "Drop repeats", "list(dict.fromkeys(out))"),
)


def _steps(draw: Draw) -> Draft | None:
    """Values chosen, changed, put in order, and chosen again."""
    word = draw.chance(0.5)
    conditions = WORD_CONDITIONS if word else NUMBER_CONDITIONS
    changes = WORD_CHANGES if word else NUMBER_CHANGES
    name, source, plural = ("w", "words", "words") if word else ("x", "nums", "numbers")
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(conditions), first)
    change = fill(draw, draw.one_of(changes), second)
    key, order, code = draw.one_of(_ORDERS)
    last = fill(draw, draw.one_of(conditions))
    loop = lines(f"for {name} in {source}:", indented(when(condition.on(name), f"out.append({change.on(name)})")))
    those = f"[{name} for {name} in out if {last.on(name)}]"
    result, words, code_last = draw.one_of(
        (("list", "a list of those", those), ("count", "the count of those", f"len({those})"))
    )
    if result == "count" and key != "distinct":
        return None  # the order would not matter
    body = lines("out = []", loop, f"out = {code}", f"return {code_last}")
    sentence = lines(
        f"Take the {plural} in {source} that {condition.plural}, each {change.words}.",
        f"{order}. Return {words} that {last.plural}.",
    )
    return draft("expert", "steps", (source, key, result), (source,), (condition, change, last), sentence, body)


FAMILIES: Families = {
    **NESTED,
    "expert-track": _state,
    "expert-countdown": _countdown,
    "expert-group": _group,
    "expert-steps": _steps,
}
