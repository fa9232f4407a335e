"""The answer's form: a grammar compiled for one vocabulary by llguidance, and how far an answer has got in it.

`Grammars` may be used by any thread, a `Constraint` by the engine's. Neither knows logits or requests.
llguidance never raises for a bad grammar and bounds its own work, but not all of it: multiples are bounded
here, and what may combine patterns is tried in another process first.
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
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from ..errors import InvalidRequestError
from ..reasoning import TAGS
from .grammar_check import LIMITS, refusal
from .request import Grammar, ModelInfo

MAX_TEXT = 256 << 10
# An automaton for multiples has as many states; the time to make it grows faster.
MAX_MULTIPLE = 10_000
_MULTIPLE_OF = re.compile(r'"multipleOf":\s*(-?[0-9.]+(?:[eE][-+]?[0-9]+)?)')
_TAGS = tuple(tag.encode() for tag in TAGS)
_N_COMPILED = 8
_MAX_MESSAGE = 300
_FITS_NOTHING = "it fits no text"
# Patterns may be combined, which may take for ever, and so may telling many of them apart.
_COMBINES = ('"pattern', '"allOf"', '"$ref"', "&")
_PLAIN_TEXT = 16 << 10


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

    def has(self, grammar: Grammar) -> bool:
        """It is compiled already."""
        return grammar in self._compiled

    def constraint(self, grammar: Grammar) -> Constraint:
        """For one request. With the first grammar of a large vocabulary it takes a second, a fifth of it during which
        nothing else happens in this process; other new ones take milliseconds, or some seconds at the worst.

        Raises InvalidRequestError for what cannot be compiled, is too large, or fits no text.
        """
        return Constraint(self._matcher(grammar).deep_copy(), self._vocabulary.info.n_vocab, grammar.field)

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
    """One answer's way through its grammar; it begins with `bind`, behind the thought.

    `opening` is the token that may stand in place of the answer's first, and then opens a thought.
    """

    def __init__(self, matcher: LLMatcher, n_vocab: int, field: str) -> None:
        self.bound = False
        self.opening: int | None = None
        self._field = field
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
        if self._forced:
            return np.array([self._forced[0]])
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        tokens = np.flatnonzero(np.unpackbits(bits, count=self._n_vocab, bitorder="little").view(np.bool_))
        return tokens if self.bound or self.opening is None else np.union1d(tokens, [self.opening])

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
            raise _refusal(self._matcher.get_error(), self._field)


def _compile(grammar: Grammar, tokenizer: LLTokenizer) -> LLMatcher:
    """Lets the first token be chosen, too: some grammars turn out to be too large, or to fit nothing, only then."""
    try:
        source = _source(grammar)
    except (ValueError, RecursionError) as error:
        raise _refusal(str(error), grammar.field) from None
    if _may_take_for_ever(source, grammar.kind) and (message := refusal(source)):
        raise _refusal(message, grammar.field)
    matcher = LLMatcher(tokenizer, source, log_level=0, limits=LIMITS)
    if matcher.is_error():
        raise _refusal(matcher.get_error(), grammar.field)
    trial = Constraint(matcher.deep_copy(), tokenizer.vocab_size, grammar.field)
    first = trial.allowed()
    if all(int(token) in tokenizer.eos_tokens for token in first[: len(tokenizer.eos_tokens) + 1]):
        raise _refusal(_FITS_NOTHING, grammar.field)
    trial.accept(int(first[0]))
    return matcher


def _source(grammar: Grammar) -> str:
    """The grammar as llguidance reads it. Raises ValueError, RecursionError."""
    if len(grammar.text) > MAX_TEXT:
        raise ValueError(f"it has more than {MAX_TEXT} characters")
    if grammar.kind == "regex":
        return LLMatcher.grammar_from_regex(grammar.text)
    if grammar.kind == "lark":
        _check_multiples(grammar.text)
        return LLMatcher.grammar_from_lark(grammar.text)
    # in one spelling only, so that no keyword can hide
    schema = json.dumps(json.loads(grammar.text))
    _check_multiples(schema)
    return LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})


def _may_take_for_ever(source: str, kind: str) -> bool:
    """Regular expressions alone cannot."""
    return kind != "regex" and (len(source) > _PLAIN_TEXT or any(word in source for word in _COMBINES))


def _check_multiples(text: str) -> None:
    """Multiples of one number within another's become those of the least common one. Raises ValueError."""
    least_common = 1
    for number in sorted(set(_MULTIPLE_OF.findall(text))):
        try:
            digits = int("".join(map(str, Decimal(number).normalize().as_tuple().digits)))
        except InvalidOperation:
            digits = 0
        if not digits:
            raise ValueError(f"nothing is a multiple of {number}")
        least_common = math.lcm(least_common, digits)
        if least_common > MAX_MULTIPLE:
            raise ValueError(f"its values of multipleOf have a least common multiple above {MAX_MULTIPLE}")


def _refusal(message: str, field: str) -> InvalidRequestError:
    """`message` is llguidance's, in several lines; its panics come with a backtrace."""
    reason = message.partition("<backtrace>")[0].replace("<non-verbose/>", "").replace("NoExtensionBias", _FITS_NOTHING)
    return InvalidRequestError(f"The answer's form cannot be used: {' '.join(reason.split())[:_MAX_MESSAGE]}", field)


def _read_vocabulary(vocabulary: Vocabulary) -> LLTokenizer:
    """Tags and control tokens stand for no text, so that no grammar lets them into the answer."""
    pieces = [vocabulary.piece(token) for token in range(vocabulary.info.n_vocab)]
    ends = [token for token in range(len(pieces)) if vocabulary.is_end(token)]
    if not ends:
        raise InvalidRequestError(
            "This model has no token that ends a reply, so no form can be given.", "response_format"
        )
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
