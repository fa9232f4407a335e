"""The R1 models people ask for by size, `r1:7b` and the like: where they lie and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .hub.ids import HubId, parse

PAPER = "DeepSeek-R1 model card (2025-01), pass@1 from 64 samples of up to 32,768 tokens"
CARD_0528 = "DeepSeek-R1-0528 model card (2025-05), pass@1 from 16 samples of up to 64k tokens"
MAX_TOKENS = 32768


@dataclass(frozen=True)
class R1Model:
    """`sizes` in bytes by quantisation, to three digits: tensor shapes and llama.cpp's choice of types per
    tensor give them; the hub's own are asked before a download. `kv_bytes_per_token` is for 16-bit caches.
    `scores` in percent, as the makers published them, for the full-width weights.
    """

    alias: str
    repo: str
    original: str
    parameters: str
    licence: str
    n_ctx: int
    kv_bytes_per_token: int
    sizes: Mapping[str, int]
    scores: Mapping[str, float]
    scores_from: str = PAPER
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = MAX_TOKENS


def _model(
    alias: str,
    repo: str,
    original: str,
    *,
    parameters: str,
    licence: str,
    kv: int,
    gigabytes: tuple[float, float, float, float],
    scores: tuple[float, float | None, float],
    scores_from: str = PAPER,
) -> R1Model:
    quants = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
    names = ("AIME 2024", "MATH-500", "GPQA Diamond")
    return R1Model(
        alias=alias,
        repo=repo,
        original=original,
        parameters=parameters,
        licence=licence,
        n_ctx=131072,
        kv_bytes_per_token=kv,
        sizes=MappingProxyType({quant: round(size * 1e9) for quant, size in zip(quants, gigabytes, strict=True)}),
        scores=MappingProxyType({name: s for name, s in zip(names, scores, strict=True) if s is not None}),
        scores_from=scores_from,
    )


R1_MODELS: Mapping[str, R1Model] = MappingProxyType(
    {
        model.alias: model
        for model in (
            _model(
                "r1:1.5b",
                "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF",
                "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
                parameters="1.8 B",
                licence="MIT (base Qwen2.5-Math-1.5B: Apache-2.0)",
                kv=28672,
                gigabytes=(1.12, 1.29, 1.46, 1.89),
                scores=(28.9, 83.9, 33.8),
            ),
            _model(
                "r1:7b",
                "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF",
                "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
                parameters="7.6 B",
                licence="MIT (base Qwen2.5-Math-7B: Apache-2.0)",
                kv=57344,
                gigabytes=(4.68, 5.44, 6.25, 8.10),
                scores=(55.5, 92.8, 49.1),
            ),
            _model(
                "r1:8b",
                "bartowski/DeepSeek-R1-Distill-Llama-8B-GGUF",
                "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
                parameters="8.0 B",
                licence="MIT (base Llama-3.1-8B: Llama 3.1 Community License)",
                kv=131072,
                gigabytes=(4.92, 5.73, 6.60, 8.54),
                scores=(50.4, 89.1, 49.0),
            ),
            _model(
                "r1:14b",
                "bartowski/DeepSeek-R1-Distill-Qwen-14B-GGUF",
                "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
                parameters="14.8 B",
                licence="MIT (base Qwen2.5-14B: Apache-2.0)",
                kv=196608,
                gigabytes=(8.99, 10.5, 12.1, 15.7),
                scores=(69.7, 93.9, 59.1),
            ),
            _model(
                "r1:32b",
                "bartowski/DeepSeek-R1-Distill-Qwen-32B-GGUF",
                "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
                parameters="32.8 B",
                licence="MIT (base Qwen2.5-32B: Apache-2.0)",
                kv=262144,
                gigabytes=(19.9, 23.3, 26.9, 34.8),
                scores=(72.6, 94.3, 62.1),
            ),
            _model(
                "r1:70b",
                "bartowski/DeepSeek-R1-Distill-Llama-70B-GGUF",
                "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
                parameters="70.6 B",
                licence="MIT (base Llama-3.3-70B-Instruct: Llama 3.3 Community License)",
                kv=327680,
                gigabytes=(42.5, 50.0, 57.9, 75.0),
                scores=(70.0, 94.5, 65.2),
            ),
            _model(
                "r1-0528:8b",
                "bartowski/deepseek-ai_DeepSeek-R1-0528-Qwen3-8B-GGUF",
                "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
                parameters="8.2 B",
                licence="MIT (base Qwen3-8B: Apache-2.0)",
                kv=147456,
                gigabytes=(5.03, 5.85, 6.73, 8.71),
                scores=(86.0, None, 61.1),
                scores_from=CARD_0528,
            ),
        )
    }
)


def hub_id(name: str) -> HubId | None:
    """Where `r1:7b`, `r1:7b:q8_0` or `r1:7b@REVISION` lies on the hub; None for other names."""
    for alias, model in R1_MODELS.items():
        if name.lower().startswith(alias) and name[len(alias) : len(alias) + 1] in ("", ":", "@"):
            return parse(model.repo + name[len(alias) :])
    return None


def alias_of(repo: str) -> str | None:
    """The short name of a repository, where it has one."""
    return next((alias for alias, model in R1_MODELS.items() if model.repo == repo), None)
