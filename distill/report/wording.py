"""Numbers, names and foreign text as the page writes them."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_SETS = {
    "generated-test": "unseen problems",
    "generated-unseen_words": "unseen problems about unseen names and things",
    "generated-unseen_wording": "unseen problems in unseen wordings",
    "generated-one_more": "unseen problems of one operation more",
    "generated-larger": "unseen problems with larger numbers",
}


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f}\u00a0%"


def points(share: float, *, signed: bool = False) -> str:
    """A difference of two shares, in percentage points."""
    return _minus(f"{share * 100:+.1f}" if signed else f"{share * 100:.1f}")


def span(low: float | None, high: float | None) -> str:
    """An interval of shares, in percent or points, without the unit."""
    return "–" if low is None or high is None else f"{points(low)} to {points(high)}"


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Three significant digits; whole where it is large."""
    if value is None:
        return "–"
    return count(value) if abs(value) >= 1000 else _minus(f"{value:.3g}")


def size(n_bytes: float | None) -> str:
    if n_bytes is None:
        return "–"
    return f"{n_bytes / 1e9:.2f}\u00a0GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f}\u00a0MB"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest:02}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60:02}\u00a0min"


def visible(text: str) -> str:
    """Every character that would be unseen, or would turn others round, written as an escape; the rest as it is.

    Lone surrogates, which no file can hold, too.
    """
    return "".join(char if _plain(char) else _escape(ord(char)) for char in text)


def problems_of(name: str) -> str:
    """What a set holds, to follow "solves 71.2 % of"."""
    plain, _, families = name.partition(":")
    if plain not in _SETS:
        return f"the problems of {visible(name)}"
    return _SETS[plain] + (f" ({visible(families)})" if families else "")


def setting(value: Any) -> str:
    """A setting for others to read: no home folder, and no name or key out of an address."""
    if isinstance(value, list | tuple):
        return ", ".join(map(setting, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return visible(_public(str(value)))


def _public(text: str) -> str:
    if "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError:
            return "(an address that cannot be read)"
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    home = str(Path.home())
    return "~" if text == home else text.replace(f"{home}/", "~/")


def _plain(char: str) -> bool:
    # the two joiners are spelling in many languages
    return char in "\n\t\u200c\u200d" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _minus(text: str) -> str:
    return text.replace("-", "−")
