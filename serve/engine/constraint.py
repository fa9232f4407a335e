"""The answer's form: a grammar compiled for one vocabulary by llguidance, and how far an answer has got in it.

`Grammars` may be used by any thread, a `Constraint` by the engine's. Neither knows logits or requests.
llguidance never raises for a bad grammar and bounds its own work, but for multiples: those are bounded here.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from threading import Lock
from typing import Protocol

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from ..errors import InvalidRequestError
from .request import Grammar, ModelInfo

MAX_TEXT = 256 << 10
# An automaton for multiples has as many states; the time to make it grows faster.
MAX_MULTIPLE = 10_000
_MULTIPLE_OF = re.compile(r'"multipleOf":\s*(-?[0-9.]+(?:[eE][-+]?[0-9]+)?)')
_TAGS = (b"<think>", b"</think>")
_N_COMPILED = 8
_MAX_MESSAGE = 300
_FITS_NOTHING = "it fits no text"
# So much work is done for one token, some tens of milliseconds at the worst; a state takes 1 to 2 kB.
_LIMITS = LLParserLimits(
    initial_lexer_fuel=300_000,
    step_lexer_fuel=100_000,
    step_max_items=20_000,
    max_lexer_states=30_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)


class Vocabulary(Protocol):
    """What is asked of a ModelRunner."""

    info: ModelInfo

    def tokenize(self, text: str, *, special: bool) -> list[int]: ...

    def piece(self, token: int) -> bytes: ...

    def is_end(self, token: int) -> bool: ...


class Grammars:
    """Compiles grammars for one vocabulary, which is read with the first of them. Keeps the last few."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._tokenizer: LLTokenizer | None = None
        self._compiled: dict[Grammar, LLMatcher] = {}
        self._compiling = Lock()

    def compile(self, grammar: Grammar) -> None:
        """So that `constraint` has nothing left to do. Takes a second with the first grammar of a large vocabulary.

        Raises InvalidRequestError for what cannot be compiled, is too large, or fits no text.
        """
        self._matcher(grammar)

    def constraint(self, grammar: Grammar) -> Constraint:
        """For one request. Raises as `compile` does."""
        return Constraint(self._matcher(grammar).deep_copy(), self._vocabulary.info.n_vocab)

    def _matcher(self, grammar: Grammar) -> LLMatcher:
        # without the lock, so that nobody waits for the grammars of others
        if matcher := self._compiled.get(grammar):
            return matcher
        with self._compiling:
            self._tokenizer = self._tokenizer or _read_vocabulary(self._vocabulary)
            matcher = _compile(grammar, self._tokenizer)
            while len(self._compiled) >= _N_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[grammar] = matcher
            return matcher


class Constraint:
    """One answer's way through its grammar; it begins with `bind`, behind the thought."""

    def __init__(self, matcher: LLMatcher, n_vocab: int) -> None:
        self.bound = False
        self._matcher = matcher
        self._n_vocab = n_vocab
        self._forced: deque[int] = deque()

    @property
    def done(self) -> bool:
        """Nothing but the end may follow."""
        return self.bound and self._matcher.is_stopped()

    def bind(self, tokens: Sequence[int] = ()) -> None:
        """The answer begins, with `tokens` where some of it is there already.

        Raises InvalidRequestError where they do not fit.
        """
        self.bound = True
        for token in tokens:
            self.accept(token)

    def allowed(self) -> np.ndarray:
        """The tokens that may come next, ascending; those that end the generation only where the answer may end.

        Raises InvalidRequestError where the work for it exceeds its bounds.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        return np.flatnonzero(np.unpackbits(bits, count=self._n_vocab, bitorder="little"))

    def accept(self, token: int) -> None:
        """`token` was appended. Raises InvalidRequestError for one that may not come."""
        if self._forced and self._forced.popleft() != token:
            self._forced.clear()
        self._matcher.consume_token(token)
        self._check()

    def forced(self, limit: int) -> list[int]:
        """Up to `limit` tokens in whose places no others are allowed."""
        if not self._forced and not self._matcher.is_stopped():
            self._forced.extend(self._matcher.compute_ff_tokens())
        return list(self._forced)[:limit]

    def _check(self) -> None:
        if self._matcher.is_error():
            raise _refusal(self._matcher.get_error())


def _compile(grammar: Grammar, tokenizer: LLTokenizer) -> LLMatcher:
    """Lets the first token be chosen, too: some grammars turn out to be too large, or to fit nothing, only then."""
    matcher = LLMatcher(tokenizer, _source(grammar), log_level=0, limits=_LIMITS)
    if not matcher.is_error():
        trial = Constraint(matcher.deep_copy(), tokenizer.vocab_size)
        first = trial.allowed()
        if all(int(token) in tokenizer.eos_tokens for token in first[: len(tokenizer.eos_tokens) + 1]):
            raise _refusal(_FITS_NOTHING)
        trial.accept(int(first[0]))
    if matcher.is_error():
        raise _refusal(matcher.get_error())
    return matcher


def _source(grammar: Grammar) -> str:
    """The grammar as llguidance reads it. Raises InvalidRequestError."""
    if len(grammar.text) > MAX_TEXT:
        raise _refusal(f"it has more than {MAX_TEXT} characters")
    if grammar.kind == "regex":
        return LLMatcher.grammar_from_regex(grammar.text)
    if grammar.kind == "lark":
        _check_multiples(grammar.text)
        return LLMatcher.grammar_from_lark(grammar.text)
    try:
        # in one spelling only, so that the keyword cannot hide
        schema = json.dumps(json.loads(grammar.text))
        _check_multiples(schema)
        return LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
    except (ValueError, RecursionError) as error:
        raise _refusal(str(error)) from None


def _check_multiples(text: str) -> None:
    """Multiples of one number within another's become those of the least common one."""
    least_common = 1
    for match in set(_MULTIPLE_OF.findall(text)):
        try:
            digits = int("".join(map(str, Decimal(match).normalize().as_tuple().digits)))
        except InvalidOperation:
            raise _refusal(f"multipleOf is no number: {match}") from None
        least_common = math.lcm(least_common, digits)
        if least_common > MAX_MULTIPLE:
            raise _refusal(f"its values of multipleOf have a least common multiple above {MAX_MULTIPLE}")


def _refusal(message: str) -> InvalidRequestError:
    reason = " ".join(message.replace("<non-verbose/>", "").replace("NoExtensionBias", _FITS_NOTHING).split())
    return InvalidRequestError(f"The answer's form cannot be used: {reason[:_MAX_MESSAGE]}", param="response_format")


def _read_vocabulary(vocabulary: Vocabulary) -> LLTokenizer:
    """Tags and control tokens stand for no text, so that no grammar lets them into the answer."""
    pieces = [vocabulary.piece(token) for token in range(vocabulary.info.n_vocab)]
    ends = [token for token in range(len(pieces)) if vocabulary.is_end(token)]
    return LLTokenizer(TokenizerWrapper(_Pieces(vocabulary, pieces, ends[0])), eos_token=ends)


class _Pieces:
    """The vocabulary as llguidance wants it; it is called with forced text, to learn in which tokens that comes."""

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary, pieces: list[bytes], end: int) -> None:
        self.tokens = [b"" if piece in _TAGS else piece for piece in pieces]
        self.eos_token_id = end
        self._vocabulary = vocabulary

    def __call__(self, text: bytes) -> list[int]:
        return self._vocabulary.tokenize(text.decode(), special=False)
