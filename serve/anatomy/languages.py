"""Language mixing: stretches of a thought that are not in its main language, told by script and by common words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from .sentences import Sentence

_SCRIPTS = {
    "Chinese": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f",
    "Japanese": "\u3040-\u30ff\uff66-\uff9f",
    "Korean": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Russian": "\u0400-\u052f",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Hebrew": "\u0590-\u05ff",
    "Hindi": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
}
# Greek letters are mathematics before they are Greek, and so are single Latin ones.
_RUN = re.compile("|".join(f"(?P<{name}>[{ranges}]+)" for name, ranges in _SCRIPTS.items()))
_WORD = re.compile(r"[^\W\d_]+")
_LATIN_WORD = re.compile(r"(?<![\\\w])[A-Za-zÀ-ÿ]{2,}")
# Words that English has, too ("no", "die", "pour"), tell nothing.
_COMMON = {
    "English": "the and is of to that it we so in this for let but if are then not have with what be can on which",
    "German": "der das und ist nicht ich wir ein eine auch es sich dass aber mit für auf wenn dann sind zu",
    "French": "le la les et est une des que nous pas dans qui donc mais avec alors cette sont je il du",
    "Spanish": "el la los las es una que de en por para pero entonces se como si esto lo un",
    "Italian": "il la che di una con ma quindi sono se questo allora anche gli nel della lo è",
    "Portuguese": "os uma que não de em por para com mas então se isso são da um",
}
_WORDS = {name: frozenset(words.split()) for name, words in _COMMON.items()}
# A sentence must have so many different common words of a language, and twice as many as of the main one.
_LEAST_COMMON = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """`text[start:end]` is in `language`, which is not the thought's."""

    start: int
    end: int
    language: str


@dataclass(frozen=True, slots=True)
class Mixing:
    """`main`: the language most of the thought is in. `share`: of its letters that lie in `places`, 0 to 1."""

    main: str
    share: float
    places: tuple[Stretch, ...]


def mixing(text: str, found: list[Sentence], question: str = "") -> Mixing:
    """Where `text` leaves its main language. Words that the question has in that script are quoted, not mixed."""
    letters: Counter[str] = Counter()
    runs: list[Stretch] = []
    for match in _RUN.finditer(text):
        letters[match.lastgroup or ""] += len(match[0])
        runs.append(Stretch(*match.span(), match.lastgroup or ""))
    if letters["Japanese"] * 10 > letters["Chinese"]:  # kanji are written with kana, hanzi never
        runs = [Stretch(run.start, run.end, "Japanese") if run.language == "Chinese" else run for run in runs]
        letters["Japanese"] += letters.pop("Chinese", 0)
    latin = sum(len(match[0]) for match in _LATIN_WORD.finditer(text))
    script, n_script = letters.most_common(1)[0] if letters else ("", 0)
    # a character of these scripts says about as much as two and a half letters
    is_latin = latin >= 2.5 * n_script
    main = _latin_language(text) if is_latin else script
    asked = frozenset(match[0] for match in _RUN.finditer(question))
    quoted = "\n".join(sorted(asked))
    places = [run for run in runs if run.language != main and text[run.start : run.end] not in quoted]
    places += _by_words(text, found, main, question)
    places.sort(key=lambda place: place.start)
    merged = _merged(text, places)
    total = sum(len(match[0]) for match in _WORD.finditer(text))
    foreign = sum(len(match[0]) for place in merged for match in _WORD.finditer(text, place.start, place.end))
    return Mixing(main, foreign / total if total else 0.0, tuple(merged))


def _by_words(text: str, found: list[Sentence], main: str, question: str) -> list[Stretch]:
    places = []
    for sentence in found:
        words = {word.lower() for word in _LATIN_WORD.findall(text, sentence.start, sentence.end)}
        counts = {name: len(words & common) for name, common in _WORDS.items()}
        language = max(counts, key=lambda name: counts[name])
        if language == main or counts[language] < _LEAST_COMMON or counts[language] < 2 * counts.get(main, 0):
            continue
        said = text[sentence.start : sentence.end].strip()
        if said not in question:
            begin = text.index(said, sentence.start, sentence.end)
            places.append(Stretch(begin, begin + len(said), language))
    return places


def _latin_language(text: str) -> str:
    words = Counter(word.lower() for word in _LATIN_WORD.findall(text))
    counts = {name: sum(words[word] for word in common) for name, common in _WORDS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else "English"


def _merged(text: str, places: list[Stretch]) -> list[Stretch]:
    """Stretches of one language with nothing but punctuation and digits between them are one."""
    merged: list[Stretch] = []
    for place in places:
        last = merged[-1] if merged else None
        if last and last.language == place.language and not _WORD.search(text, last.end, max(last.end, place.start)):
            merged[-1] = Stretch(last.start, max(last.end, place.end), last.language)
        else:
            merged.append(place)
    return merged
