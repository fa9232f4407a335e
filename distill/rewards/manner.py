"""How something is said: format, language, length, repetition. Every function takes one completion; pure text."""

from __future__ import annotations

import re

from ...serve.reasoning import CLOSE_TAG, OPEN_TAG
from ..filter.language import language_share
from .said import Said

RUN = 8  # words in a row; shorter runs come back in any honest calculation
_TAG = re.compile(r"<\s*/?\s*think\s*>", re.IGNORECASE)
_WORD = re.compile(r"[\u2e80-\uffff]|[^\W\u2e80-\uffff]{1,16}|[^\w\s]")  # a character, where there are no spaces


def format_reward(said: Said) -> float:
    """1 where thought and answer stand where the prompt wants them, else 0 (arXiv:2501.12948, section 2.2.2).

    One closing tag, and an opening one only if the prompt did not write it; something before the closing tag and
    something after it; and an end of the model's own.
    """
    tags = [CLOSE_TAG] if said.opened else [OPEN_TAG, CLOSE_TAG]
    if said.cut or _TAG.findall(said.text) != tags:
        return 0.0
    before, _, answer = said.text.partition(CLOSE_TAG)
    start, _, thought = ("", "", before) if said.opened else before.partition(OPEN_TAG)
    return float(not start.strip() and _says_something(thought) and _says_something(answer))


def language_reward(said: Said, language: str) -> float:
    """The share of the thought's words that are of the language, 0..1 (arXiv:2501.12948, section 2.3.2).

    A thought without a word, such as 3 + 4 = 7, mixes no languages; one that says nothing at all earns nothing.
    """
    return language_share(said.thought, language) if _says_something(said.thought) else 0.0


def length_reward(said: Said, max_tokens: int, soft_tokens: int) -> float:
    """0 for what ends in time, falling from there to -1 at the limit: the soft overlong punishment of DAPO
    (arXiv:2503.14476, equation 13), whose expected length is `max_tokens - soft_tokens`.
    """
    if said.cut or said.n_tokens > max_tokens:
        return -1.0
    over = said.n_tokens - (max_tokens - soft_tokens)
    return -over / soft_tokens if over > 0 else 0.0


def repetition_reward(said: Said) -> float:
    """Minus the share of the runs of RUN words that came before, -1..0: the n-gram penalty of arXiv:2502.03373
    as a share of the whole.
    """
    words = _WORD.findall(said.text.casefold())
    runs = [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]
    return len(set(runs)) / len(runs) - 1.0 if runs else 0.0


def _says_something(text: str) -> bool:
    return any(sign.isalnum() for sign in text)
