"""Who waits for another's prompt: what somebody computes just now can be shared once it is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

from .kv_cache import KVCache, common_length
from .sequence import Sequence

# Prompts wait for another that is computing at least this much of them, all that are let in at a time taken together:
# less is computed sooner than waited for.
WORTH_WAITING = 32


@dataclass(frozen=True, slots=True)
class _Lead:
    """The first `n_tokens` of somebody who waits are those of `other`, who computes them; when that was found,
    `n_available` of them were there to be shared.
    """

    other: Sequence
    n_tokens: int
    n_available: int


class Leads:
    """Long prompts are compared once, not at every step: a lead stays one until its prompt is done."""

    def __init__(self, cache: KVCache) -> None:
        self._cache = cache
        self._leads: dict[Sequence, _Lead] = {}

    def n_twice(self, sequence: Sequence, running: Iterable[Sequence]) -> int:
        """Tokens it would compute, if let in now, though one of `running` computes them already and could share them
        then; WORTH_WAITING where that is not to be weighed.
        """
        lead = self._leads.get(sequence)
        if lead is None or lead.other.is_decoding or lead.other.seq_id < 0:
            lead = self._find(sequence, running)
        if lead is None:
            self.forget(sequence)
            return 0
        self._leads[sequence] = lead
        # the last token is always computed
        n_more = min(lead.n_tokens, len(sequence.tokens) - 1) - max(lead.n_available, lead.other.n_computed)
        # the same question several times over, as for a vote, is computed once however short it is
        return WORTH_WAITING if n_more > 0 and lead.n_tokens == len(sequence.tokens) else max(0, n_more)

    def forget(self, sequence: Sequence) -> None:
        """It waits no longer."""
        self._leads.pop(sequence, None)

    def _find(self, sequence: Sequence, running: Iterable[Sequence]) -> _Lead | None:
        """None where nobody computes so much of it that it could be worth waiting for."""
        others = [
            (min(other.n_prompt, common_length(sequence.tokens, other.tokens)), other)
            for other in running
            if not other.is_decoding
            and other.cache_scope == sequence.cache_scope
            and other.priority.rank <= sequence.priority.rank
        ]
        n_tokens, other = max(others, key=itemgetter(0), default=(0, None))
        if other is None or (n_tokens < WORTH_WAITING and n_tokens < len(sequence.tokens)):
            return None
        return _Lead(other, n_tokens, self._cache.n_available(sequence))
