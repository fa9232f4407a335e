"""LlamaModelRunners for tests of what is said: one whose times are made up, and one that keeps what it sampled
and by what margin, to compare runs token by token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import llama_cpp
import numpy as np

from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.logprobs import Ranking
from r1chat.serve.engine.request import NO_BIAS, SamplingParams
from r1chat.serve.engine.sampler import RowSampler

# Products of K-quants round differently alone and in fours, and by machine: by this much may a logit of
# "tiny-qwen2-256" in Q4_K_M move. Either of two tokens may win whose logits lie less than twice as far apart;
# seen: 0.138. Six in ten positions lie further apart.
K_ROUNDING = 0.2


@dataclass
class Record:
    """Tokens of one request, and how far the best logit lay above the second at each."""

    tokens: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)


class UntimedRunner(LlamaModelRunner):
    """Every engine times its runner for up to two seconds first; where each test has an engine of its own and
    none looks at times, these are as good.
    """

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        return 1e-4 * (4 + n_rows + n_outputs)


class RecordingRunner(UntimedRunner):
    """`records` in order of admission to the engine."""

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> RowSampler:
        self.records: list[Record] = getattr(self, "records", [])
        record = Record()
        self.records.append(record)
        return _RecordingSampler(self, super().make_sampler(params, prompt), record)  # type: ignore[return-value]

    def logits(self, row: int) -> np.ndarray:
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, (self.info.n_vocab,))


class _RecordingSampler:
    def __init__(self, runner: RecordingRunner, sampler: RowSampler, record: Record) -> None:
        self._runner, self._sampler, self._record = runner, sampler, record

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        second, best = np.partition(self._runner.logits(row), -2)[-2:]
        token = self._sampler.sample(row, bias, allowed)
        self._record.tokens.append(token)
        self._record.margins.append(float(best - second))
        return token

    def rank(self, row: int, token: int, n_top: int) -> Ranking:
        return self._sampler.rank(row, token, n_top)

    def accept(self, token: int) -> None:
        self._sampler.accept(token)

    def retract(self, token: int) -> None:
        self._sampler.retract(token)

    def close(self) -> None:
        self._sampler.close()
