"""Times the engine with drafts of scripted quality against the engine without drafts. Runs as a child process.

The text is made up beforehand: the engine draws as always, at its usual cost, and the text's next token is
written instead. So every loop computes the same tokens, and a share of the drafts can be made right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import cast

import numpy as np

from ..engine import Engine, SpeculatorFactory
from ..logprobs import Ranking
from ..request import NO_BIAS, GenerateRequest, SamplingParams
from ..sampler import RowSampler
from ..speculation import Proposal, Speculator
from .bench_loop import Measurement, clear
from .runner import LlamaModelRunner

_PROMPT_TOKENS = 32
_LONGEST_DRAFT = 64


def measure_drafts(runner: ReplayRunner, *, shares: list[float], n_tokens: int, turn: int) -> Iterator[Measurement]:
    """Tokens per second as loop "plain", and for each share of right drafts; who begins depends on `turn`."""
    text = _text(runner, _PROMPT_TOKENS + n_tokens + _LONGEST_DRAFT, turn)
    runner.text = text
    loops: list[float | None] = [None, *shares]
    first = turn % len(loops)
    for share in loops[first:] + loops[:first]:
        clear(runner)
        factory = None if share is None else _scripted(text, share, turn)
        rate = _rate(runner, text[:_PROMPT_TOKENS], n_tokens, factory)
        yield Measurement("plain" if share is None else str(share), 1, turn, rate)


class ReplayRunner(LlamaModelRunner):
    """Writes `text`, whatever is drawn."""

    text: list[int]

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> RowSampler:
        return cast(RowSampler, _Replay(super().make_sampler(params, prompt), self.text[len(prompt) :]))


class _Replay:
    def __init__(self, sampler: RowSampler, text: list[int]) -> None:
        self._sampler = sampler
        self._text = iter(text)

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        self._sampler.sample(row, bias, allowed)
        return next(self._text)

    def rank(self, row: int, token: int, n_top: int) -> Ranking:
        return self._sampler.rank(row, token, n_top)

    def accept(self, token: int) -> None:
        self._sampler.accept(token)

    def retract(self, token: int) -> None:
        self._sampler.retract(token)

    def close(self) -> None:
        self._sampler.close()


class _ScriptedLookup:
    """Knows the text. A `share` of its guesses are all right, the others wrong from their first token on."""

    def __init__(self, text: list[int], share: float, seed: int) -> None:
        self._text = text
        self._share = share
        self._random = random.Random(seed)

    def propose(self, tokens: list[int], limit: int) -> Proposal:
        guesses = self._text[len(tokens) : len(tokens) + limit]
        right = self._random.random() < self._share
        return Proposal(guesses if right else [token - 1 for token in guesses])


def _scripted(text: list[int], share: float, seed: int) -> SpeculatorFactory:
    return lambda prompt: Speculator(_ScriptedLookup(text, share, seed))


def _text(runner: LlamaModelRunner, n: int, seed: int) -> list[int]:
    usual = [token for token in range(1, runner.info.n_vocab) if not runner.is_end(token)]
    return random.Random(seed).choices(usual, k=n)


def _rate(runner: LlamaModelRunner, prompt: list[int], n_tokens: int, factory: SpeculatorFactory | None) -> float:
    """Tokens per second from the first token on; cells in use tell how many there are."""
    engine = Engine(runner, make_speculator=factory)
    params = SamplingParams(seed=1)
    engine.add_request(GenerateRequest(request_id="stream", prompt=(), params=params, reasoning_open=True), prompt)
    while engine.stats().kv_cells_used < len(prompt):
        engine.step()
    began = perf_counter()
    while (cells := engine.stats().kv_cells_used - len(prompt)) < n_tokens:
        engine.step()
    seconds = perf_counter() - began
    engine.abort("stream")
    return cells / seconds
