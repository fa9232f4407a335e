"""Many wordings from one line: "[a|b]" stands for either, groups may lie within groups, and "[a|]" may be nothing.

Braces stay as they are: fields are filled by str.format after the choice, so what fills them may hold any sign.
"""

from __future__ import annotations

import random
import re
from functools import cache
from math import prod
from typing import NamedTuple

Sequence = tuple["str | Group", ...]


class Group(NamedTuple):
    """Alternatives."""

    options: tuple[Sequence, ...]


def expand(rng: random.Random, pattern: str) -> str:
    """One of the phrases a pattern stands for; every alternative of a group is as likely as the others.

    >>> expand(random.Random(0), "{name} [has|owns] {n} [red |]pens.")
    '{name} owns {n} pens.'
    """
    return _said(rng, _parsed(pattern))


def count(pattern: str) -> int:
    """How many phrases a pattern stands for, those that read alike counted apart.

    >>> count("[a|b [c|d|]]")
    4
    """
    return _counted(_parsed(pattern))


def _said(rng: random.Random, sequence: Sequence) -> str:
    return "".join(part if isinstance(part, str) else _said(rng, rng.choice(part.options)) for part in sequence)


def _counted(sequence: Sequence) -> int:
    return prod(1 if isinstance(part, str) else sum(map(_counted, part.options)) for part in sequence)


@cache
def _parsed(pattern: str) -> Sequence:
    tokens = re.split(r"([\[\]|])", pattern)[::-1]
    sequence = _read(tokens, inside=False)
    if tokens:
        raise ValueError(f"a bracket too many in {pattern!r}")
    return sequence


def _read(tokens: list[str], inside: bool) -> Sequence:
    """The parts up to the end of the text, or of the alternative they are in; the tokens are taken off the list."""
    parts = list[str | Group]()
    while tokens and not (tokens[-1] == "]" or (inside and tokens[-1] == "|")):
        token = tokens.pop()
        parts.append(_read_group(tokens) if token == "[" else token)
    return tuple(part for part in parts if part)


def _read_group(tokens: list[str]) -> Group:
    options = list[Sequence]()
    while True:
        options.append(_read(tokens, inside=True))
        if not tokens:
            raise ValueError("a group of alternatives is not closed")
        if tokens.pop() == "]":
            return Group(tuple(options))
