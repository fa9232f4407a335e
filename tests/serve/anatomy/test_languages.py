"""Where a thought leaves its language."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.anatomy.languages import Mixing, mixing
from r1chat.serve.anatomy.sentences import sentences

ENGLISH = "I need to find the sum of the two numbers, and then it is clear that we have what we want. "


def _mixing(text: str, question: str = "") -> Mixing:
    return mixing(text, sentences(text), question)


def _places(text: str, question: str = "") -> list[tuple[str, str]]:
    return [(place.language, text[place.start : place.end]) for place in _mixing(text, question).places]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("Chinese", "堪培拉"),
        ("Russian", "потому"),
        ("Japanese", "ところで"),
        ("Korean", "그래서"),
        ("Arabic", "لذلك"),
        ("Hindi", "इसलिए"),
    ],
)
def test_another_script_is_found_where_it_stands(language: str, words: str) -> None:
    assert _places(f"{ENGLISH}I think it's {words}, right? {ENGLISH}") == [(language, words)]


def test_a_sentence_in_another_language_of_the_same_script_is_found() -> None:
    german = "Also ist das nicht die Lösung, und wir müssen eine andere finden."
    assert _places(f"{ENGLISH}{german} {ENGLISH}") == [("German", german)]
    french = "Donc la somme est égale à deux, et nous avons une solution pour cette question."
    assert _places(f"{ENGLISH}{french} {ENGLISH}") == [("French", french)]


def test_the_main_language_is_the_one_that_most_of_it_is_in() -> None:
    chinese = "我们需要求出这两个数的和，然后我们就可以得到答案。" * 5
    mixed = _mixing(f"{chinese}So we have to find the sum of the two, and that is it.{chinese}")
    assert mixed.main == "Chinese"
    assert [place.language for place in mixed.places] == ["English"]
    assert _mixing("Wir suchen die Summe, und das ist nicht schwer, aber auch eine Frage.").main == "German"


@pytest.mark.parametrize(
    "text",
    [
        ENGLISH,
        "Let α and β be angles with sin(α) = 0.5, and \\(\\frac{x}{y}\\) the ratio of das and die.",
        "A says no, L says no, so both say no. As I said: no, no, no.",
        "1. Fill 6-liter, pour into 12. Now 12 has 6. 2. Fill 6 again, pour on.",
        "x = 3\n\ny = 4",
        "",
    ],
)
def test_formulas_lists_and_english_are_no_mixing(text: str) -> None:
    assert _places(text) == []


def test_words_that_the_question_has_are_quoted_not_mixed() -> None:
    text = f"{ENGLISH}The word 你好 means hello, and 世界 means world. {ENGLISH}"
    assert _places(text, "What does 你好 mean?") == [("Chinese", "世界")]
    assert _places(f"{ENGLISH} 水果 is fruit. {ENGLISH}", "What are 水 and 果?") == [("Chinese", "水果")]


def test_the_share_counts_letters() -> None:
    assert _mixing("abcdef gh the 你好").share == pytest.approx(2 / 13)


@given(st.text(max_size=300), st.text(max_size=40))
def test_places_lie_in_the_text_and_apart(text: str, question: str) -> None:
    mixed = _mixing(text, question)
    assert 0 <= mixed.share <= 1
    ends = [0, *(place.end for place in mixed.places)]
    assert all(end <= place.start < place.end <= len(text) for place, end in zip(mixed.places, ends, strict=False))
