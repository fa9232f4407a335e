"""Draws a request's next token from a row of logits, through a chain of llama.cpp's samplers."""

from __future__ import annotations

import ctypes
import secrets

import llama_cpp
import numpy as np

from ..errors import InvalidRequestError, NonFiniteLogitsError
from .request import SamplingParams

# llama.cpp reads this seed as "choose one"
_ANY_SEED = 0xFFFFFFFF


class LlamaSampler:
    """One request's chain. It remembers what it drew, for the penalties: one draw a row."""

    def __init__(
        self, context: llama_cpp.llama_context_p, n_vocab: int, params: SamplingParams, prompt: list[int]
    ) -> None:
        self._context = context
        self._shape = (n_vocab,)
        self._chain = build_chain(params, n_vocab=n_vocab, prompt=prompt)

    def sample(self, row: int) -> int:
        """The next token; sampling accepts it too, so it must not be accepted again."""
        check_finite(llama_cpp.llama_get_logits_ith(self._context, row), self._shape)
        return int(llama_cpp.llama_sampler_sample(self._chain, self._context, row))

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._chain)


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
    if bad := [token for token in params.logit_bias if not 0 <= token < n_vocab]:
        raise InvalidRequestError(f"There is no token {bad[0]}; the vocabulary has {n_vocab}.", param="logit_bias")
    samplers = [*_penalties(params, n_vocab, prompt), *_bias(params, n_vocab), *_draw(params)]
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for sampler in samplers:
        llama_cpp.llama_sampler_chain_add(chain, sampler)
    return chain


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
