"""Kinds of values that options take, for argparse, which puts the option's name in front of what is wrong."""

from __future__ import annotations

import math
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
Value = TypeVar("Value")


def whole(least: int, most: int = 2**32 - 1) -> Callable[[str], int]:
    """Whole numbers within bounds."""

    def value(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is no whole number") from None
        _check(text, number, least, most)
        return number

    return value


def real(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Finite numbers within bounds."""

    def value(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ArgumentTypeError(f"{text!r} is no number")
        _check(text, number, least, most)
        return number

    return value


def positive(most: float = math.inf) -> Callable[[str], float]:
    """Finite numbers above 0."""
    any_of_them = real(0, most)

    def value(text: str) -> float:
        if (number := any_of_them(text)) == 0:
            raise ArgumentTypeError(f"{text} is not more than 0")
        return number

    return value


def or_none(kind: Callable[[str], Value]) -> Callable[[str], Value | None]:
    """The word `none`, too, which takes back what an earlier command asked for."""
    return lambda text: None if text == "none" else kind(text)


count = whole(1)
repeats = whole(1, 1000)  # in a measurement, which with more would never end
context = whole(64)  # tokens; fewer hold no conversation
port = whole(0, 65535)


def duration(text: str) -> float:
    """Seconds: 90, 90s, 30m, 2h, forever."""
    if text.lower() in ("forever", "-1"):
        return math.inf
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smh]?)", text.lower())
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no time; times are 90s, 30m, 2h or forever")
    return float(match[1]) * _SECONDS[match[2]]


def size(text: str) -> int:
    """Bytes: 0, 512M, 1.5G; the units are powers of 1024."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMGT]?)(?:I?B)?", text.upper())
    if match is None:
        raise ArgumentTypeError(f"{text!r} is no size; sizes are 0, 512M or 1.5G")
    return int(float(match[1]) * _BYTES[match[2]])


def new_file(text: str) -> Path:
    """One that can be written, as far as its folder tells: what is to stand in it takes long."""
    path = Path(os.path.expanduser(text))
    if not os.path.isdir(path.parent):
        raise ArgumentTypeError(f"there is no folder {path.parent} for {path.name}")
    return path


def _check(text: str, number: float, least: float, most: float) -> None:
    if number < least:
        raise ArgumentTypeError(f"{text} is too small; {least} is the least")
    if number > most:
        raise ArgumentTypeError(f"{text} is too large; {most} is the most")
