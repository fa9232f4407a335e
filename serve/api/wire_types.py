"""Types of single values that all bodies share: texts, counts and ids, each finite and bounded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

MAX_TEXT = 2_000_000
MAX_INT = 2**31 - 1
MAX_CHOICES = 64
# llama.cpp reads the largest 32-bit seed as "draw one at random".
SEEDS = 2**32 - 1
# vLLM and llama-server draw one at random, too.
NO_SEED = -1


def _no_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair, which is no character") from None
    return text


# Parts, blocks and items. Of many wrong ones the first is told alone: a million errors would be a gigabyte.
Many = Field(max_length=10_000, fail_fast=True)
Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_no_lone_surrogates)]
StopText = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_no_lone_surrogates)]
TokenId = Annotated[str, Field(pattern="^[0-9]{1,10}$")]
TokenCount = Annotated[int, Field(ge=1, le=MAX_INT)]
# llama-server's word for as many as fit
NO_LIMIT = -1
OpenTokenCount = TokenCount | Literal[-1]
Budget = Annotated[int, Field(ge=0, le=MAX_INT)]
