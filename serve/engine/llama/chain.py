"""llama.cpp's own samplers of a request's parameters: what draw.py is measured against, in tests and in the bench."""

from __future__ import annotations

import secrets

import llama_cpp

from ..request import SamplingParams
from ..sampler import check_bias

# llama.cpp reads this seed as "choose one"
_ANY_SEED = 0xFFFFFFFF


def build_chain(params: SamplingParams, *, n_vocab: int, prompt: list[int]) -> llama_cpp.llama_sampler_p:
    """Penalties and bias on all logits, then the cuts, then temperature and the draw. The caller frees it.

    Raises InvalidRequestError for a bias on a token that the vocabulary lacks.
    """
    check_bias(params, n_vocab)
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
