"""What a reply's answer is, and what it is compared by. Pure text, bounded work; no mathematics beyond fractions."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Literal

Extract = Literal["boxed", "last_number", "json"]

_NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w.])[-−]?\.\d+")
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL)
_BRACE = re.compile(r"\\boxed\{|\\[{}]|[{}]")
_FRACTION = re.compile(r"(-?)\\frac(?:\{(\d+)\}\{(\d+)\}|(\d)(\d))")
_MIXED = re.compile(r"(-?)(\d+)(?: (\d+/\d+)|(\\frac.+))")
_PLAIN = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|[-+]?\.\d+|[-+]?\d+/0*[1-9]\d*")
# presentation, which makes no answer another
_WRAPPER = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")
_BLANK = re.compile(r"(?:\\[,;:> ]|\s)+")
_DRESS = re.compile(r"\\(?:left|right|displaystyle|!)|\\?[$%]")
_THOUSANDS = re.compile(r"(?<![\d.])(?<!\d )\d{1,3}(?: \d{3})+(?! ?\d)")
_LOOSE = re.compile(r"(?<!\d) | (?!\d)")  # a blank between two numbers keeps them apart
# a plain number longer than this is compared as text
_MAX_DIGITS = 400
_MAX_DRESSED = 5000


def extract(content: str, how: Extract) -> str | None:
    """The answer that `content` (a reply without its thought) gives, as it is written; None where it gives none.

    "boxed": what the last \\boxed{} holds. "last_number": the last number, without thousands separators.
    "json": the whole as JSON in its shortest form, keys sorted; a fenced block or the outermost braces where
    there is text round it.
    """
    if how == "boxed":
        return boxed(content)
    if how == "last_number":
        found = _NUMBER.findall(content)
        return found[-1].replace(",", "").replace("−", "-") if found else None
    return canonical_json(content)


def boxed(text: str) -> str | None:
    """Content of the last complete \\boxed{}; braces inside it may be nested."""
    found: tuple[int, int] | None = None
    open_braces: list[int] = []  # where the content of each box begins that is open; -1 for other braces
    for brace in _BRACE.finditer(text):
        if brace[0] == "\\boxed{":
            open_braces.append(brace.end())
        elif brace[0] == "{":
            open_braces.append(-1)
        elif brace[0] == "}" and open_braces:
            begin = open_braces.pop()
            if begin > (found[0] if found else -1):
                found = begin, brace.start()
    return text[slice(*found)].strip() or None if found else None


def canonical_json(content: str) -> str | None:
    """The JSON value that `content` is or holds, in one form for all ways to write it."""
    fenced = _FENCED.findall(content)
    outermost = content[content.find("{") : content.rfind("}") + 1]
    for text in (content, *fenced[-1:], outermost):
        try:
            value = json.loads(text, parse_constant=_refuse, parse_float=_number)
            shortest = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            shortest.encode()  # half a surrogate is no text: neither a file nor a reply can hold it
            return shortest
        except (ValueError, RecursionError):
            continue
    return None


def comparable(answer: str, how: Extract) -> Fraction | str:
    """What an answer is compared by: the value of a plain number or fraction, else the text without its dress.
    JSON has none.
    """
    if how == "json" or len(answer) > _MAX_DRESSED:
        return answer
    text = _DRESS.sub("", _BLANK.sub(" ", _WRAPPER.sub(r"\1", answer))).replace("−", "-").strip().removesuffix(".")
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    text = _LOOSE.sub("", _THOUSANDS.sub(lambda found: found[0].replace(" ", ""), text))
    number = plain_number(text)
    return text.casefold() if number is None else number


def undressed(answer: str) -> str:
    """Without \\text{} and its like, and the space that TeX writes out: \\textbf{(C)}\\ 12 is (C) 12."""
    return _WRAPPER.sub(r"\1", answer).replace("\\ ", " ")


def plain_number(text: str) -> Fraction | None:
    """12, -1,234.50, 3/4, \\frac{3}{4} and 1 3/4; None for all else."""
    if len(text) > _MAX_DIGITS:
        return None
    if mixed := _MIXED.fullmatch(text):
        part = plain_number(mixed[3] or mixed[4])
        return None if part is None else int(f"{mixed[1]}1") * (int(mixed[2]) + part)
    if match := _FRACTION.fullmatch(text):
        text = f"{match[1]}{match[2] or match[4]}/{match[3] or match[5]}"
    return Fraction(text.replace(",", "").removesuffix(".")) if _PLAIN.fullmatch(text) else None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _number(text: str) -> float | int:
    """2.0 is 2, as in JavaScript, where the format comes from."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is out of range")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
