"""What others reported: each row has a source and a date, and a file of another form is refused."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from leaderboards.published import FOLDER, read_published
from leaderboards.runs import Unusable

GOOD = """
source = "A paper"
link = "https://example.org/paper"
date = 2024-01-02
protocol = "greedy"
[[entry]]
model = "m"
parameters_billion = 1.3
pass_1 = { "humaneval" = 12.5 }
"""


def test_every_reported_row_has_a_source_a_date_and_a_sound_score() -> None:
    rows = read_published()
    assert len(rows) > 50
    for row in rows:
        assert row.source
        assert row.protocol
        assert re.fullmatch(r"https://(arxiv\.org|github\.com|huggingface\.co)/\S+", row.link)
        assert datetime.date(2021, 7, 1) < row.date <= datetime.date(2026, 11, 30)
        assert row.pass_1
        assert all(0 < score < 100 for score in (*row.pass_1.values(), *row.pass_10.values()))
        assert all(row.pass_10[name] > row.pass_1[name] for name in row.pass_10)
        assert row.parameters is None or 1e8 < row.parameters < 1e12
    assert len({(row.source, row.model) for row in rows}) == len(rows)


def test_every_file_says_how_its_numbers_were_taken() -> None:
    for path in FOLDER.glob("*.toml"):
        assert path.read_text(encoding="utf-8").startswith(("# How this was taken: ", "# How these were taken: ")), path


@pytest.mark.parametrize(
    ("benchmark", "model", "score"),
    [
        ("humaneval", "IterCoder (CodeLlama-7B)", 65.2),
        ("humaneval", "Code Llama - Python 34B", 53.7),
        ("mbpp", "DeepSeek-Coder-Base 6.7B", 60.6),
        ("humaneval", "StarCoder 15.5B", 33.6),
        ("humaneval+", "WizardCoder-33B-V1.1", 73.2),
        ("humaneval+", "MagicoderS-CL-7B", 66.5),
        ("mbpp+", "CodeGen-16B", 45.5),
    ],
)
def test_scores_are_those_of_the_sources(benchmark: str, model: str, score: float) -> None:
    assert {row.pass_1.get(benchmark) for row in read_published() if row.model == model} == {score}


def test_a_file_of_the_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    (row,) = read_published(tmp_path)
    assert (row.model, row.parameters, row.pass_1, row.date) == (
        "m",
        1.3e9,
        {"humaneval": 12.5},
        datetime.date(2024, 1, 2),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('source = "A paper"\n', ""),
        ("date = 2024-01-02\n", ""),
        ("date = 2024-01-02\n", 'date = "soon"\n'),
        ('link = "https://example.org/paper"', 'link = "javascript:alert(1)"'),
        ("12.5", "125"),
        ("12.5", '"12.5"'),
        ('model = "m"', 'modell = "m"'),
        ("[[entry]]", "[[entry"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert old in GOOD
    (tmp_path / "bad.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(Unusable, match=r"bad\.toml"):
        read_published(tmp_path)
