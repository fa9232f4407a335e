"""The seam to whatever computes logits. The engine sees only this protocol; tests and replays fill it too."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Protocol, cast

import numpy as np

from ..errors import EngineError, ModelLoadError
from .batch import Batch
from .config import EngineConfig
from .logprobs import Ranking
from .request import NO_BIAS, ModelInfo, SamplingParams


class KVFullError(EngineError):
    """No room in the cache for this batch; nothing was computed and nothing changed."""


class InvalidBatchError(EngineError):
    """The backend refused the batch; nothing was computed and nothing changed."""


class InterruptedStep(EngineError):
    """interrupt() ended the forward pass early. Some rows may be computed: ask n_computed()."""


class Sampler(Protocol):
    """Draws one request's tokens. It remembers what it drew, so each row is drawn from once."""

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        """The next token, from the logits of batch row `row` with `bias` added; one of `allowed` (ids, ascending).

        Raises NonFiniteLogitsError, and InvalidRequestError where nothing is left to choose from.
        """
        ...

    def rank(self, row: int, token: int, n_top: int) -> Ranking:
        """Log probabilities in batch row `row` before any change: of `token`, and of the `n_top` likeliest."""
        ...

    def accept(self, token: int) -> None:
        """`token` was not drawn but put there; it counts for the penalties all the same."""
        ...

    def retract(self, token: int) -> None:
        """`token`, drawn or put there, is not part of the text after all; the penalties count it no more."""
        ...

    def close(self) -> None: ...


class ModelRunner(Protocol):
    """One loaded model with one cache of `n_cells` tokens, used by one thread; by any: `tokenize`, `piece`,
    `token_text`, `interrupt`.

    Sequence ids are 0 to `n_resident` - 1. Positions of a sequence are consecutive from 0. From `piece_rows` on, a
    step has all that makes a row cheap.
    """

    info: ModelInfo
    n_batch: int
    piece_rows: int
    n_cells: int
    n_resident: int

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Without a BOS. `special` False: text that looks like a special token stays text."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes `token` stands for; they may be part of a character. Control tokens: empty."""
        ...

    def token_text(self, token: int) -> bytes:
        """As piece(), but control tokens are written out."""
        ...

    def is_end(self, token: int) -> bool:
        """True for tokens that end a generation."""
        ...

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> Sampler:
        """Raises InvalidRequestError for what only the vocabulary can refuse."""
        ...

    def forward(self, batch: Batch) -> None:
        """Computes the rows, idle ones too, which leave nothing behind.

        Raises KVFullError, InvalidBatchError or InterruptedStep; any other error is the end of the runner.
        """
        ...

    def interrupt(self) -> None:
        """Ends the forward pass that runs now, if one does. From any thread."""
        ...

    def n_computed(self, seq_id: int) -> int:
        """How many tokens of the sequence lie in the cache."""
        ...

    def remove(self, seq_id: int, start: int) -> None:
        """Drops the cells of sequence `seq_id` from position `start` on."""
        ...

    def copy(self, source: int, target: int, n_tokens: int) -> None:
        """Gives `target`, which must be empty, the first `n_tokens` cells of `source` as well; nothing is copied."""
        ...

    def save(self, seq_id: int) -> np.ndarray:
        """The sequence's state as uint8, fit for restore()."""
        ...

    def restore(self, seq_id: int, state: np.ndarray) -> bool:
        """Fills the empty sequence `seq_id` with cells of its own. False, and nothing changed, where that failed."""
        ...

    def time_rows(self, n_rows: int, n_outputs: int) -> float:
        """Seconds of a forward pass over `n_rows` made-up rows, `n_outputs` of them with logits. Leaves no trace.

        For measuring at the start, while no sequence is in use.
        """
        ...

    def set_threads(self, n_threads: int) -> None:
        """From the next forward pass on."""
        ...

    def close(self) -> None: ...


def load_runner(config: EngineConfig) -> ModelRunner:
    """Imports and loads what `config.runner` names. Raises ModelLoadError."""
    bound_native_threads()
    module, _, name = config.runner.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModelLoadError(f'This engine needs {error.name}: pip install "r1chat[distill]"') from error
    return cast(ModelRunner, getattr(loaded, name)(config))


def bound_native_threads() -> None:
    """Settings that native code reads once, when it is loaded; a user's own choice wins.

    OpenMP's default spins at barriers: beside one busy neighbour a step took 40 times as long.
    A crash inside ggml forks a debugger for its backtrace, which holds up the restart by a second.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
