"""Messages -> prompt segments through a chat template. Knows no tokens; message text never becomes special ones."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jinja2

from ..engine.request import ModelInfo, Segment
from ..errors import InvalidRequestError
from ..models.templates import R1_DISTILL
from .sandbox import compile_template, fill, is_bounded

logger = logging.getLogger(__name__)

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


class Turn(NamedTuple):
    """One message as a template sees it: system, user or assistant, and its text."""

    role: str
    content: str


@dataclass(frozen=True)
class RenderedPrompt:
    """`reasoning_open`: the prompt ends inside the thought, so the reply starts there."""

    segments: tuple[Segment, ...]
    reasoning_open: bool

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)


def render(turns: Sequence[Turn], info: ModelInfo) -> RenderedPrompt:
    """The prompt for a reply to `turns`. Raises InvalidRequestError where the template refuses them."""
    turns = [_without_old_thought(turn) for turn in turns]
    template = _template_for(info.chat_template)

    def text_of(contents: Sequence[str]) -> str:
        messages = [{"role": turn.role, "content": text} for turn, text in zip(turns, contents, strict=True)]
        return _fill(template, messages, info)

    segments = _segments(text_of, [turn.content for turn in turns])
    tail = segments[-1] if segments else Segment("", True)
    return RenderedPrompt(segments, tail.special and tail.text.rstrip().endswith(OPEN_TAG))


def _without_old_thought(turn: Turn) -> Turn:
    """Drops a thought written into an old answer, exactly as the R1 template does it."""
    if turn.role != "assistant":
        return turn
    return turn._replace(content=turn.content.split(CLOSE_TAG)[-1])


def _segments(text_of: Callable[[Sequence[str]], str], contents: list[str]) -> tuple[Segment, ...]:
    """Renders with placeholders nobody can guess in place of the texts, then puts the texts back as such.

    Templates that trim the texts see only placeholders, hence the second try with trimmed texts.
    """
    nonce = secrets.token_hex(16)
    marked = text_of([f"r1chat-{nonce}-{i}-" for i in range(len(contents))])
    pieces = re.split(rf"r1chat-{nonce}-(\d+)-", marked)
    expected = text_of(contents)
    for texts in (contents, [text.strip() for text in contents]):
        segments = _assemble(pieces, texts)
        if "".join(segment.text for segment in segments) == expected:
            return segments
    return _assemble(pieces, contents)


def _assemble(pieces: list[str], texts: list[str]) -> tuple[Segment, ...]:
    """`pieces` alternates template text and the number of a message."""
    segments = [Segment(texts[int(piece)], False) if i % 2 else Segment(piece, True) for i, piece in enumerate(pieces)]
    return tuple(segment for segment in segments if segment.text)


@lru_cache(maxsize=8)
def _template_for(own: str | None) -> jinja2.Template:
    """The model's own template, unless it is one of R1's, does not parse or is a bomb."""
    if own is None or _is_r1(own):
        return compile_template(R1_DISTILL)
    # Before anything else: compiling alone evaluates constants, however large.
    if not is_bounded(own):
        logger.warning("the model's chat template is broken or takes too much time or memory, using R1's")
        return compile_template(R1_DISTILL)
    try:
        return compile_template(own)
    except jinja2.TemplateError as error:
        logger.warning("the model's chat template does not parse, using R1's: %s", error)
        return compile_template(R1_DISTILL)


def _is_r1(template: str) -> bool:
    """R1's, in any of its forms: files made before February 2025 lack the opening tag, ours always has it.

    DeepSeek V3.1 shares the role tokens; it alone tracks the last user turn.
    """
    return "<｜User｜>" in template and "<｜Assistant｜>" in template and "is_last_user" not in template


def _fill(template: jinja2.Template, messages: list[dict[str, str]], info: ModelInfo) -> str:
    try:
        return fill(template, messages, bos_token=info.bos_token, eos_token=info.eos_token)
    except jinja2.TemplateError as error:
        raise InvalidRequestError(
            f"The model's chat template refuses these messages: {error}", param="messages"
        ) from error
    except Exception as error:  # the template is somebody's program and may raise anything
        logger.warning("the model's chat template failed: %s: %s", type(error).__name__, error)
        raise InvalidRequestError("The model's chat template failed on these messages.", param="messages") from error
