"""What a model says to a query or pair, as the completion of a sample, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evidence import clean
from harness.findings import Finding
from harness.lines import from_json
from harness.records import Evidence, Outcome, Sample
from harness.retrieval.measures import ranking_measures
from harness.retrieval.records import RANKED, PairTests, RankTests

POSITIVES = ("true_positive", "false_positive", "false_negative", "true_negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Documents by exit of the model, best first. `exit` is the one that decides whether the sample passes."""

    exit: int
    exits: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How similar a pair is to a model, and from where on it calls pairs clones (chosen on other pairs)."""

    similarity: float
    threshold: float

    @property
    def are_clones(self) -> bool:
        """Whether the model calls them clones."""
        return self.similarity >= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnswer:
    """Likeness by exit of the model. `exit` is the one that decides whether the sample passes."""

    exit: int
    exits: dict[str, Likeness]


def examine_ranking(tests: RankTests | PairTests, sample: Sample) -> Finding:
    """Return what becomes of an answer: it passes with a right document at rank 1, or by telling clones from others.

    What cannot be read as an answer has no code. `exits` of the finding has the measures of each exit.
    """
    kind: type[Ranking | PairAnswer] = Ranking if isinstance(tests, RankTests) else PairAnswer
    try:
        answer = from_json(kind, sample.completion)
        if str(answer.exit) not in answer.exits:
            raise ValueError(f"there is nothing of exit {answer.exit}")
    except ValueError as error:
        return Finding(Outcome.NO_CODE, 1, 1, Evidence(reason=f"not an answer: {clean(str(error), 300)}"))
    if isinstance(answer, Ranking) and isinstance(tests, RankTests):
        return _examine_ranked(answer, tests)
    assert isinstance(answer, PairAnswer)
    assert isinstance(tests, PairTests)
    return _examine_pair(answer, tests)


def _examine_ranked(answer: Ranking, tests: RankTests) -> Finding:
    exits = {name: ranking_measures(ranked[:RANKED], tests.relevant) for name, ranked in answer.exits.items()}
    ranked = answer.exits[str(answer.exit)][:RANKED]
    places = [rank for rank, doc_id in enumerate(ranked, 1) if tests.relevant.get(doc_id, 0) > 0]
    if places[:1] == [1]:
        return Finding(Outcome.PASSED, 1, 1, Evidence(), exits=exits)
    where = f"at rank {places[0]}" if places else f"not among the first {RANKED}"
    right = ", ".join(doc_id for doc_id, gain in tests.relevant.items() if gain > 0)
    top = ranked[0] if ranked else "nothing"
    evidence = Evidence(reason=f"the right one is {where}", expected=clean(right), actual=clean(top))
    return Finding(Outcome.FAILED, 1, 1, evidence, exits=exits)


def _examine_pair(answer: PairAnswer, tests: PairTests) -> Finding:
    exits = {name: {_kind(one.are_clones, tests.are_clones): 1.0} for name, one in answer.exits.items()}
    chosen = answer.exits[str(answer.exit)]
    if chosen.are_clones == tests.are_clones:
        return Finding(Outcome.PASSED, 1, 1, Evidence(), exits=exits)
    said = f"similarity {chosen.similarity:.4f}, clones from {chosen.threshold:.4f} on"
    words = {True: "clones", False: "not clones"}
    expected, actual = words[tests.are_clones], words[chosen.are_clones]
    return Finding(Outcome.FAILED, 1, 1, Evidence(reason=said, expected=expected, actual=actual), exits=exits)


def _kind(said: bool, true: bool) -> str:
    if said:
        return POSITIVES[0] if true else POSITIVES[1]
    return POSITIVES[2] if true else POSITIVES[3]
