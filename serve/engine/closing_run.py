"""The tokens with which a thought is closed, or goes on where it would have been: one vocabulary's, read once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..reasoning import CLOSE_TAG

if TYPE_CHECKING:
    from .model_runner import ModelRunner


@dataclass(frozen=True, slots=True)
class ClosingRun:
    """`tag` is the closing tag and an empty line, and `pieces` the text of each of its tokens: a tag may take several.

    `line_break` goes before it, `wait` instead of it where the thought is to go on. `ends` are the tokens
    that end a generation.
    """

    tag: list[int]
    pieces: list[str]
    line_break: list[int]
    wait: list[int]
    ends: list[int]

    def rest(self, begun: str) -> list[int]:
        """The tokens of `tag` that are still missing where `begun` is there already; all of them where it fits none."""
        n = next((n for n in range(len(self.tag)) if "".join(self.pieces[:n]) == begun), 0)
        return self.tag[n:]


def read_closing_run(runner: ModelRunner) -> ClosingRun:
    """Looks at each token of the vocabulary once."""
    tag = runner.tokenize(f"{CLOSE_TAG}\n\n", special=True)
    return ClosingRun(
        tag=tag,
        pieces=[runner.piece(token).decode() for token in tag],
        line_break=runner.tokenize("\n", special=False),
        wait=runner.tokenize("Wait", special=False),
        ends=[token for token in range(runner.info.n_vocab) if runner.is_end(token)],
    )
