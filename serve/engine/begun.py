"""Replies that go on from something: which tokens of an earlier one stay, and in what state its text then is.

May be used by any thread, with one runner. Knows neither requests nor the governor.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from ..errors import InvalidRequestError
from ..reasoning import CLOSE_TAG, OPEN_TAG, ReasoningParser
from .closing_run import ClosingRun
from .constraint import Constraint
from .detokenizer import Detokenizer, TextDelta
from .model_runner import ModelRunner
from .request import Begun

PARAM = "at"  # as a fork says it


@dataclass(frozen=True, slots=True)
class Beginning:
    """`tokens` stand behind the prompt and `detokenizer` behind them; `echo` is the text that is to be said again.

    `answer` are those of the tokens that are in the answer, from its first that is no blank; `constraint` is what binds
    what follows.
    """

    tokens: list[int]
    detokenizer: Detokenizer
    echo: list[TextDelta] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)
    constraint: Constraint | None = None


def begin(begun: Begun, detokenizer: Detokenizer, runner: ModelRunner, run: ClosingRun) -> Beginning:
    """`detokenizer` stands behind the prompt. Raises InvalidRequestError."""
    _check(begun, runner)
    written = _Written(begun.tokens, runner, reasoning_open=detokenizer.state == "reasoning")
    tokens = [*_kept(begun, written, runner, run)]
    for segment in begun.segments:
        tokens += runner.tokenize(segment.text, special=segment.special)
    if len(tokens) >= runner.info.n_ctx:
        return Beginning(tokens, detokenizer)  # to be refused; reading it would keep others waiting
    echo: list[TextDelta] = []
    n_before = 0
    for at, token in enumerate(tokens):
        piece = runner.piece(token)
        if at == 0 and detokenizer.quotes_tags and detokenizer.state == "start" and piece == OPEN_TAG.encode():
            detokenizer.begin_thought()
        else:
            echo += detokenizer.take_over(piece, echo=begun.echo)
        n_before += not detokenizer.has_answer
        if detokenizer.state == "content":
            # a thought that the model did not close may be closed by it once more
            detokenizer.hide_later_tags()
    return Beginning(tokens, detokenizer, echo, tokens[n_before:])


def _check(begun: Begun, runner: ModelRunner) -> None:
    n_vocab = runner.info.n_vocab
    if not all(0 <= token < n_vocab for token in begun.tokens):
        raise InvalidRequestError("The reply's tokens are not of this model.", param=PARAM)
    if any(map(runner.is_end, begun.tokens)):
        raise InvalidRequestError("The reply has ended; it cannot go on behind its end.", param=PARAM)


def _kept(begun: Begun, written: _Written, runner: ModelRunner, run: ClosingRun) -> list[int]:
    if begun.cut == "end":
        return list(begun.tokens)
    if begun.cut == "char":
        if not written.in_thought and written.closed_at is None:
            raise InvalidRequestError("The reply has no thought.", param=PARAM)
        if not 0 <= begun.n_chars <= len(written.thought):
            raise InvalidRequestError(f"The thought has {len(written.thought)} characters.", param=PARAM)
        return written.until(written.thought_at + begun.n_chars, runner)
    if written.closed_at is None:
        return [*begun.tokens, *_closing(written, run)]
    end = written.closed_at + len(CLOSE_TAG)
    behind = len(written.text) - len(written.text[end:].lstrip("\n"))
    tokens = written.until(behind, runner)
    return tokens if behind > end else tokens + runner.tokenize("\n\n", special=False)


def _closing(written: _Written, run: ClosingRun) -> list[int]:
    """What ends a thought that is still open. Raises InvalidRequestError where there is none."""
    if not written.in_thought:
        raise InvalidRequestError("The reply has no thought.", param=PARAM)
    if written.partial_tag or not written.thought or written.thought.endswith("\n"):
        return run.rest(written.partial_tag)
    return [*run.line_break, *run.tag]


class _Written:
    """The text of `tokens`: where in it the thought lies, and each token ends.

    `closed_at` is where its closing tag begins, None while there is none.
    """

    def __init__(self, tokens: tuple[int, ...], runner: ModelRunner, *, reasoning_open: bool) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        parser = ReasoningParser(reasoning_open=reasoning_open)
        self._tokens = tokens
        self._ends: list[tuple[int, int]] = []  # (tokens, characters) wherever no character is cut in two
        texts, pieces, n_chars = [], [], 0
        for n_tokens, token in enumerate(tokens, 1):
            text = decoder.decode(runner.piece(token))
            texts.append(text)
            n_chars += len(text)
            pieces += parser.feed(text)
            if not decoder.getstate()[0]:
                self._ends.append((n_tokens, n_chars))
        texts.append(decoder.decode(b"", final=True))
        pieces += parser.feed(texts[-1])
        self.text = "".join(texts)
        self.in_thought, self.partial_tag = parser.in_reasoning, parser.partial_tag
        self.closed_at = parser.thought_end if parser.state == "content" else None
        pieces += parser.flush()
        self.thought = "".join(piece.text for piece in pieces if piece.channel == "reasoning")
        end = len(self.text) if self.closed_at is None else len(self.text[: self.closed_at].rstrip("\n"))
        self.thought_at = end - len(self.thought)

    def until(self, at: int, runner: ModelRunner) -> list[int]:
        """The tokens of the text before character `at`; one that it cuts in two is tokenised again."""
        n_tokens, n_chars = max((ends for ends in self._ends if ends[1] <= at), default=(0, 0))
        rest = self.text[n_chars:at]
        return [*self._tokens[:n_tokens], *(runner.tokenize(rest, special=False) if rest else [])]
