"""The difficulty metric against numbers counted by hand and radon, and the tiers made of it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from harness.benchmarks import load_benchmark
from harness.difficulty import Halstead, Weights, familiar_constructs, measure
from harness.errors import UsageError
from harness.scores import TierKind, TierSource
from harness.tiers import TierRule, static_tiers, tertiles, tiers_of

RADON = Weights(halstead=Halstead.RADON)


def test_token_halstead_counts_punctuation_and_keywords_as_operators() -> None:
    # operators = = () +, three of them distinct; operands a 1 b 2 print a b, seven with five distinct
    found = measure("a=1\nb=2\nprint(a+b)\n")
    assert found is not None
    assert found.halstead == pytest.approx(3 / 2 * 7 / 5)
    assert found.cyclomatic == 1
    assert found.overall == pytest.approx((1 + 2.1) / 2)
    assert found.tokens == 12


def test_radon_sees_no_difficulty_in_a_loop() -> None:
    loop = "for i in range(2, 9):\n    print(i)\n"
    by_radon, by_token = measure(loop, RADON), measure(loop)
    assert by_radon is not None
    assert by_token is not None
    assert (by_radon.cyclomatic, by_radon.halstead) == (2, 0.0)
    assert by_token.halstead == 3.0


@pytest.mark.parametrize(
    ("source", "complexity"),
    [
        ("x = 1", 1),
        ("if a:\n    b\nelif c:\n    d\nelse:\n    e", 3),
        ("while a and b or c:\n    pass", 4),
        ("y = [i for i in z if i if not i]", 4),
        ("y = a if b else c", 2),
        ("try:\n    a\nexcept E:\n    b\nexcept F:\n    c", 3),
        ("assert a", 2),
        ("match a:\n    case 1:\n        b\n    case _:\n        c", 2),
    ],
)
def test_cyclomatic_complexity_is_one_and_the_decisions(source: str, complexity: int) -> None:
    found = measure(source)
    assert found is not None
    assert found.cyclomatic == complexity


@pytest.mark.parametrize(
    "source",
    ["def f(x):\n    '''Long\n    text.'''\n    return x", "# a comment\ndef f( x ):\n\n    return x  # another"],
)
def test_docstrings_comments_and_layout_do_not_count(source: str) -> None:
    assert measure(source) == measure("def f(x):\n    return x")


@pytest.mark.parametrize("source", ["def f(:", "x = '\0'", "(" * 100_000, "\ud800", "1" + "+1" * 100_000])
def test_what_does_not_parse_has_no_difficulty(source: str) -> None:
    assert measure(source) is None


@pytest.mark.slow
def test_the_time_grows_with_the_text_and_no_faster() -> None:
    def seconds(lines: int) -> float:
        source = "".join(f"x{i} = [a for a in range({i}) if a > {i}]\n" for i in range(lines))
        start = time.process_time()
        measure(source)
        return time.process_time() - start

    seconds(200)
    assert min(seconds(4000) for _ in range(3)) < 12 * min(seconds(800) for _ in range(3))


def test_length_and_unfamiliar_constructs_join_by_their_weights() -> None:
    source = "with open('f') as g:\n    pass\n"
    plain = measure(source)
    long = measure(source, Weights(length=10.0))
    odd = measure(source, Weights(unfamiliar=1.0), familiar_constructs(["x = 1", "open('f')"]))
    assert plain is not None
    assert long is not None
    assert odd is not None
    assert long.overall == pytest.approx(plain.overall + 10 * plain.tokens / 100)
    assert odd.unfamiliar >= 2  # With, withitem, Pass, Store
    assert odd.overall == pytest.approx(plain.overall + odd.unfamiliar)


def test_tertiles_begin_the_second_and_last_third() -> None:
    assert tertiles([5, 1, 4, 2, 3, 6]) == (3, 5)
    assert tertiles([]) == (0.0, 0.0)


def test_every_task_of_humaneval_has_a_tier_and_the_thirds_are_equal() -> None:
    tiers = tiers_of(load_benchmark("humaneval"))
    sizes = [sum(one.tier == name for one in tiers) for name in ("easy", "medium", "hard")]
    assert sum(sizes) == 164
    assert max(sizes) - min(sizes) <= 2


def test_absolute_thresholds_are_possible_and_must_be_in_order() -> None:
    humaneval = load_benchmark("humaneval")
    assert {one.tier for one in tiers_of(humaneval, TierRule(thresholds=(0.0, 0.5)))} == {"hard"}
    with pytest.raises(UsageError, match="smaller"):
        tiers_of(humaneval, TierRule(thresholds=(4.0, 2.0)))


def test_tiers_of_the_benchmark_itself_hold_unless_thresholds_are_given() -> None:
    humaneval = load_benchmark("humaneval")
    first, second = humaneval.tasks[:2]
    own = replace(humaneval, tasks=(replace(first, tier="expert"), second))
    assert [one.tier for one in tiers_of(own)] == ["expert", tiers_of(replace(own, tasks=(first, second)))[1].tier]
    assert [one.tier for one in tiers_of(own, TierRule(thresholds=(0.0, 0.5)))] == ["hard", "hard"]


def test_static_tiers_say_where_they_come_from() -> None:
    humaneval = load_benchmark("humaneval")
    plain = static_tiers(humaneval)
    assert plain.source == TierSource(settings={"cut": "tertiles", "halstead": "token"}, digest=humaneval.digest)
    rule = TierRule(weights=Weights(halstead=Halstead.RADON, length=2.0), thresholds=(2.0, 4.0))
    assert static_tiers(humaneval, rule).source.settings == {
        "cut": "thresholds 2 and 4",
        "halstead": "radon",
        "length": "2",
    }
    assert plain.by_task() == {one.task_id: one.tier for one in tiers_of(humaneval)}
    assert plain.digest() == static_tiers(humaneval).digest() != static_tiers(humaneval, rule).digest()
    assert [one.hardness for one in plain.tasks] == [one.difficulty and one.difficulty.overall for one in plain.tasks]


def test_a_benchmark_that_was_made_in_tiers_is_their_source() -> None:
    ladder = load_benchmark("ladder")
    assert static_tiers(ladder).source == TierSource(kind=TierKind.OWN, digest=ladder.digest)
    assert static_tiers(ladder, TierRule(thresholds=(2.0, 4.0))).source.kind is TierKind.STATIC
