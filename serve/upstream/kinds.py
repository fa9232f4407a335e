"""Which server answers behind a URL: they share an API and differ in the words for all that OpenAI lacks."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The value is how a person calls it."""

    R1CHAT = "r1chat"
    VLLM = "vLLM"
    LLAMA_SERVER = "llama-server"
    OTHER = "an OpenAI-compatible server"


def kind_by_card(card: dict[str, Any]) -> Kind | None:
    """What an entry of GET /v1/models betrays; None: ask further. Ray Serve's cards are those of its vLLM."""
    owner = card.get("owned_by")
    meta, capabilities = card.get("meta"), card.get("capabilities")
    if isinstance(meta, dict) and "reasoning_efforts" in meta:
        return Kind.R1CHAT
    if isinstance(capabilities, dict) and {"engine", "reasoning"} <= capabilities.keys():
        return Kind.R1CHAT
    if owner == "llamacpp":
        return Kind.LLAMA_SERVER
    # its cards have a max_model_len as vLLM's do, and it has other words
    if owner == "sglang":
        return Kind.OTHER
    if owner == "vllm" or "rayllm_metadata" in card or "max_model_len" in card:
        return Kind.VLLM
    return None
