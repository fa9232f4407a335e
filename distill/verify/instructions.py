"""Instructions about the form of an answer, under the ids of IFEval (Zhou et al. 2023, arXiv 2311.07911), and some
of our own, `answer:...`.

In the paper's strict reading: on the whole answer, as it stands. Written from the paper's list of instructions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ...serve.answers.extraction import canonical_json, comparable, extract
from .ruling import Ruling, right, unknown, wrong

MAX_TEXT = 200_000
Check = Callable[[str, dict[str, Any]], bool]
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n?```\Z", re.DOTALL | re.IGNORECASE)
_BULLET = re.compile(r"^[ \t]*(?:[*•-])[ \t]+\S", re.MULTILINE)
_HIGHLIGHT = re.compile(r"\*\*([^\n*]*)\*\*|\*([^\n*]*)\*")
_TITLE = re.compile(r"<<([^\n<>]*)>>")
_PLACEHOLDER = re.compile(r"\[[^\[\]]*\]")
# each begins where its signs begin, so that a long row of them is read once
_SENTENCE_END = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s|$)")
_CHOICES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def rule_instructions(check: dict[str, Any] | None, prompt: str, text: str) -> Ruling:
    """Right where every instruction of `check["instructions"]`, a list of {"id", "kwargs"}, is followed.

    One that is broken makes it wrong whatever the others are; else one that is not known here, "unknown". Where
    `check["gold"]` is given, a number, the last number of the answer must be that one.
    """
    asked = (check or {}).get("instructions") or []
    if not asked:
        return unknown("no instructions")
    if len(text) > MAX_TEXT or not text.strip():
        return wrong("empty, or too long")
    answer, others = text.strip(), []
    for instruction in asked:
        name = str(instruction.get("id"))
        # data sets fill what an instruction does not take with nulls
        settings = {key: value for key, value in (instruction.get("kwargs") or {}).items() if value is not None}
        follows = CHECKS.get(name)
        try:
            if follows is None:
                others.append(name)
            elif not follows(answer, {"prompt": prompt, **settings}):
                return wrong(f"does not follow {name}")
        except (KeyError, TypeError, ValueError):
            others.append(name)
    gold = (check or {}).get("gold")
    if gold is not None and not _ends_on_number(answer, str(gold)):
        return wrong("another number")
    return unknown(f"not checked here: {others[0]}") if others else right("follows all instructions")


def _ends_on_number(text: str, gold: str) -> bool:
    found = extract(text, "last_number")
    return found is not None and comparable(found, "boxed") == comparable(gold, "boxed")


def _compared(count: int, asked: int, relation: str) -> bool:
    if relation not in ("at least", "less than"):
        raise ValueError(relation)
    return count >= asked if relation == "at least" else count < asked


def _words(text: str, s: dict[str, Any]) -> bool:
    return _compared(len(re.findall(r"\w+(?:['’-]\w+)*", text)), s["num_words"], s["relation"])


def _sentences(text: str, s: dict[str, Any]) -> bool:
    ends = len(_SENTENCE_END.findall(text))
    unfinished = bool(_SENTENCE_END.split(text)[-1].strip())
    return _compared(ends + unfinished, s["num_sentences"], s["relation"])


def _paragraphs(text: str, s: dict[str, Any]) -> bool:
    """Apart by ***, as the prompts say."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == s["num_paragraphs"]


def _nth_paragraph(text: str, s: dict[str, Any]) -> bool:
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    if len(parts) != s["num_paragraphs"] or not 1 <= s["nth_paragraph"] <= len(parts):
        return False
    first = parts[s["nth_paragraph"] - 1].split()[0].strip("\"'“”‘’.,!?;:*_")
    return first.casefold() == str(s["first_word"]).casefold()


def _holds(text: str, word: str) -> bool:
    # no \b, which finds no end of what ends in a sign, such as C++
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _frequency(text: str, s: dict[str, Any]) -> bool:
    found = re.findall(re.escape(str(s["keyword"])), text, re.IGNORECASE)
    return _compared(len(found), s["frequency"], s["relation"])


def _letter_frequency(text: str, s: dict[str, Any]) -> bool:
    return _compared(text.lower().count(str(s["letter"]).lower()), s["let_frequency"], s["let_relation"])


def _capital_words(text: str, s: dict[str, Any]) -> bool:
    count = sum(word.isupper() for word in re.findall(r"\w+(?:['’-]\w+)*", text))
    return _compared(count, s["capital_frequency"], s["capital_relation"])


def _json(text: str, s: dict[str, Any]) -> bool:
    """The whole answer, which may be fenced."""
    fenced = _FENCE.match(text)
    inner = (fenced[1] if fenced else text).strip()
    return inner[:1] in ("{", "[", '"') and inner[-1:] in ("}", "]", '"') and canonical_json(inner) is not None


def _highlights(text: str, s: dict[str, Any]) -> bool:
    marked = ("".join(groups).strip() for groups in _HIGHLIGHT.findall(text))
    return sum(map(bool, marked)) >= s["num_highlights"]


def _sections(text: str, s: dict[str, Any]) -> bool:
    return len(re.findall(rf"\s?{re.escape(s['section_spliter'])}\s?\d+\s?", text)) >= s["num_sections"]


def _postscript(text: str, s: dict[str, Any]) -> bool:
    marker = {"P.S.": r"\bp\.\s?s\.", "P.P.S": r"\bp\.\s?p\.\s?s"}.get(s["postscript_marker"])
    return re.search(marker or re.escape(s["postscript_marker"]), text, re.IGNORECASE) is not None


def _two_responses(text: str, s: dict[str, Any]) -> bool:
    parts = [part.strip() for part in text.split("******")]
    named = [part for part in parts if part]
    return all(parts[1:-1]) and len(named) == 2 and named[0] != named[1]


def _quoted(text: str, s: dict[str, Any]) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'


def _ends(text: str, s: dict[str, Any]) -> bool:
    return text.strip().strip('"').casefold().endswith(str(s["end_phrase"]).strip().casefold())


def _repeats(text: str, s: dict[str, Any]) -> bool:
    return text.casefold().startswith(str(s["prompt_to_repeat"]).strip().casefold())


def _number_only(text: str, s: dict[str, Any]) -> bool:
    return re.fullmatch(r"-?\d+(?:\.\d+)?", text, re.ASCII) is not None


def _repeated(text: str, s: dict[str, Any]) -> bool:
    """The same number again and again, and nothing else."""
    numbers = re.split(r"[\s,]+", text)
    return len(numbers) == s["times"] and len(set(numbers)) == 1 and _number_only(numbers[0], s)


def _json_keys(text: str, s: dict[str, Any]) -> bool:
    """An object with these keys only, whose values are numbers, in a fence or without."""
    fenced = _FENCE.match(text)
    try:
        read = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(read, dict)
        and sorted(read) == sorted(s["keys"])
        and all(type(v) in (int, float) for v in read.values())
    )


CHECKS: dict[str, Check] = {
    "punctuation:no_comma": lambda text, s: "," not in text,
    "length_constraints:number_words": _words,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph,
    "keywords:existence": lambda text, s: all(_holds(text, word) for word in s["keywords"]),
    "keywords:forbidden_words": lambda text, s: not any(_holds(text, word) for word in s["forbidden_words"]),
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter_frequency,
    "change_case:english_capital": lambda text, s: text.isupper(),
    "change_case:english_lowercase": lambda text, s: text.islower(),
    "change_case:capital_word_frequency": _capital_words,
    "detectable_format:json_format": _json,
    "detectable_format:title": lambda text, s: any(title.strip() for title in _TITLE.findall(text)),
    "detectable_format:number_bullet_lists": lambda text, s: len(_BULLET.findall(text)) == s["num_bullets"],
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:constrained_response": lambda text, s: any(choice in text for choice in _CHOICES),
    "detectable_content:number_placeholders": lambda text, s: len(_PLACEHOLDER.findall(text)) >= s["num_placeholders"],
    "detectable_content:postscript": _postscript,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
    "answer:number_only": _number_only,
    "answer:repeated": _repeated,
    "answer:json_keys": _json_keys,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeats,
}
