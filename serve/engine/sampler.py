"""Draws a request's next token from llama.cpp's logits: penalties and bias, the cuts, temperature, the draw.

`build_chain` makes llama.cpp's own samplers of the same parameters; what is drawn here has its distribution.
"""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Iterable, Mapping

import llama_cpp
import numpy as np

from ..errors import InvalidRequestError, NonFiniteLogitsError
from .draw import Draw, Scratch
from .logprobs import Ranking, rank
from .request import NO_BIAS, SamplingParams

# llama.cpp reads this seed as "choose one"
_ANY_SEED = 0xFFFFFFFF


class LlamaSampler:
    """One request's sampler. It remembers what it drew, for the penalties: one draw a row.

    `scratch` may serve all samplers of a thread; without it the sampler has its own.
    """

    def __init__(
        self,
        context: llama_cpp.llama_context_p,
        n_vocab: int,
        params: SamplingParams,
        prompt: list[int],
        scratch: Scratch | None = None,
    ) -> None:
        _check_bias(params, n_vocab)
        self._context = context
        self._shape = (n_vocab,)
        self._scratch = scratch or Scratch(n_vocab)
        self._changes = Changes(params, prompt)
        self._draw = Draw(params, self._scratch)

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        """The next token; sampling accepts it too, so it must not be accepted again."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        check_finite(pointer, self._shape)
        logits = self._changes.apply(np.ctypeslib.as_array(pointer, self._shape), self._scratch.row)
        logits = biased(logits, bias, self._scratch.row) if bias else logits
        token = self._draw(logits) if allowed is None else self._draw.among(allowed, logits)
        self._changes.count(token)
        return token

    def rank(self, row: int, token: int, n_top: int) -> Ranking:
        """Log probabilities before any change: of `token`, and of the `n_top` likeliest."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        return rank(np.ctypeslib.as_array(pointer, self._shape), token, n_top, self._scratch.mass)

    def accept(self, token: int) -> None:
        """`token` was put there without a draw; the penalties count it all the same."""
        self._changes.count(token)

    def close(self) -> None:
        """Nothing outside of Python is held."""


class Changes:
    """What a request adds to logits: repetition penalty for prompt and output, frequency and presence, as
    OpenAI has them, for the output only, then its bias.
    """

    def __init__(self, params: SamplingParams, prompt: list[int]) -> None:
        self._repetition = params.repetition_penalty
        self._frequency, self._presence = params.frequency_penalty, params.presence_penalty
        self._seen = TokenCounts(prompt) if params.repetition_penalty != 1.0 else None
        self._written = TokenCounts() if params.frequency_penalty or params.presence_penalty else None
        self._biased = np.fromiter(params.logit_bias, np.intp, len(params.logit_bias))
        self._bias = np.fromiter(params.logit_bias.values(), np.float32, len(params.logit_bias))

    def apply(self, logits: np.ndarray, into: np.ndarray) -> np.ndarray:
        """`logits` where there is nothing to change, else `into`. They stay as they are."""
        if self._seen is None and self._written is None and not len(self._bias):
            return logits
        np.copyto(into, logits)
        if self._seen is not None:
            seen = into[self._seen.tokens]
            # dividing would make what is negative likelier
            into[self._seen.tokens] = np.where(seen <= 0, seen * self._repetition, seen / self._repetition)
        if self._written is not None:
            into[self._written.tokens] -= self._written.counts * self._frequency + self._presence
        into[self._biased] += self._bias
        return into

    def count(self, token: int) -> None:
        for counts in (self._seen, self._written):
            if counts is not None:
                counts.add(token)


class TokenCounts:
    """How often each token occurred; as arrays, because the changes to a row are made in one go."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._places: dict[int, int] = {}
        self._tokens = np.zeros(64, np.intp)
        self._counts = np.zeros(64, np.float32)
        for token in tokens:
            self.add(token)

    @property
    def tokens(self) -> np.ndarray:
        return self._tokens[: len(self._places)]

    @property
    def counts(self) -> np.ndarray:
        return self._counts[: len(self._places)]

    def add(self, token: int) -> None:
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._tokens[place] = token
        self._counts[place] += 1


def biased(logits: np.ndarray, bias: Mapping[int, float], into: np.ndarray) -> np.ndarray:
    """`into`, which may be `logits` already, with `bias` added; -inf forbids a token."""
    if logits is not into:
        np.copyto(into, logits)
    for token, value in bias.items():
        into[token] += value
    return into


def check_finite(logits: ctypes._Pointer[ctypes.c_float], shape: tuple[int]) -> None:
    """The greatest logit tells: NaN spreads to it, and all -inf leaves nothing greater.

    Raises NonFiniteLogitsError. Costs some ten microseconds for 150,000 logits.
    """
    if not np.isfinite(np.ctypeslib.as_array(logits, shape).max()):
        raise NonFiniteLogitsError(
            "The model produced non-finite logits: its file is damaged, or its numbers overflowed."
        )


def build_chain(params: SamplingParams, *, n_vocab: int, prompt: list[int]) -> llama_cpp.llama_sampler_p:
    """Penalties and bias on all logits, then the cuts, then temperature and the draw. The caller frees it.

    Raises InvalidRequestError for a bias on a token that the vocabulary lacks.
    """
    _check_bias(params, n_vocab)
    samplers = [*_penalties(params, n_vocab, prompt), *_bias(params, n_vocab), *_draw(params)]
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for sampler in samplers:
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    return chain


def _check_bias(params: SamplingParams, n_vocab: int) -> None:
    if bad := [token for token in params.logit_bias if not 0 <= token < n_vocab]:
        raise InvalidRequestError(f"There is no token {bad[0]}; the vocabulary has {n_vocab}.", param="logit_bias")


def _penalties(params: SamplingParams, n_vocab: int, prompt: list[int]) -> list[llama_cpp.llama_sampler_p]:
    """Repetition counts from the prompt on; frequency and presence, as OpenAI has them, the output only."""
    window = 1 << 16
    samplers = []
    if params.repetition_penalty != 1.0:
        repetition = llama_cpp.llama_sampler_init_penalties(n_vocab, window, params.repetition_penalty, 0.0, 0.0)
        for token in prompt:
            llama_cpp.llama_sampler_accept(repetition, token)
        samplers.append(repetition)
    if params.frequency_penalty or params.presence_penalty:
        samplers.append(
            llama_cpp.llama_sampler_init_penalties(
                n_vocab, window, 1.0, params.frequency_penalty, params.presence_penalty
            )
        )
    return samplers


def _bias(params: SamplingParams, n_vocab: int) -> list[llama_cpp.llama_sampler_p]:
    if not params.logit_bias:
        return []
    biases = (llama_cpp.llama_logit_bias * len(params.logit_bias))(*params.logit_bias.items())
    return [llama_cpp.llama_sampler_init_logit_bias(n_vocab, len(biases), biases)]


def _draw(params: SamplingParams) -> list[llama_cpp.llama_sampler_p]:
    if params.temperature <= 0:
        return [llama_cpp.llama_sampler_init_greedy()]
    samplers = []
    if params.top_k > 0:
        samplers.append(llama_cpp.llama_sampler_init_top_k(params.top_k))
    if params.top_p < 1:
        samplers.append(llama_cpp.llama_sampler_init_top_p(params.top_p, 1))
    if params.min_p > 0:
        samplers.append(llama_cpp.llama_sampler_init_min_p(params.min_p, 1))
    seed = secrets.randbits(32) if params.seed is None else params.seed
    return [
        *samplers,
        llama_cpp.llama_sampler_init_temp(params.temperature),
        llama_cpp.llama_sampler_init_dist(seed % _ANY_SEED),
    ]
