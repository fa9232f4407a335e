"""What a grammar lets through, asked of the library that binds replies to it, byte by byte."""

from __future__ import annotations

import json
import random

from llguidance import LLMatcher, LLTokenizer

from r1chat.serve.engine.request import Grammar


def matcher(grammar: Grammar) -> LLMatcher:
    """Fails the test where the grammar cannot be compiled."""
    compiled = {
        "lark": LLMatcher.grammar_from_lark,
        "regex": LLMatcher.grammar_from_regex,
        "json_schema": LLMatcher.grammar_from_json_schema,
    }[grammar.kind](grammar.text)
    made = LLMatcher(LLTokenizer("byte"), compiled)
    assert not made.is_error(), made.get_error()
    return made


def accepts(grammar: Grammar | None, text: str) -> bool:
    """True where the whole text may stand as a reply."""
    assert grammar is not None
    state = matcher(grammar)
    tokens = list(text.encode())
    return state.try_consume_tokens(tokens) == len(tokens) and state.is_accepting()


def compile_error(grammar: Grammar) -> str:
    """Empty where it compiles."""
    compiled = LLMatcher.grammar_from_json_schema(grammar.text) if grammar.kind == "json_schema" else grammar.text
    return str(LLMatcher(LLTokenizer("byte"), compiled).get_error())


def written_by_chance(grammar: Grammar, seed: int, likely: bytes = b'"}], 0123', limit: int = 2000) -> str:
    """A reply of a model that knows nothing, with some taste for what ends things."""
    draw = random.Random(seed)
    state, text = matcher(grammar), bytearray()
    while not state.is_accepting() and len(text) < limit:
        allowed = [byte for byte, bias in enumerate(state.compute_logit_bias()[:256]) if bias]
        byte = draw.choice([byte for byte in allowed if byte in likely and draw.random() < 0.9] or allowed)
        state.consume_token(byte)
        text.append(byte)
    return text.decode(errors="replace")


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
