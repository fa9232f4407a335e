"""StarSet: stars a turn, takes a person's edits and word, and says each time anew what the gates make of it.

Sync; any thread may call. Owns the order of things: judge first, which may take seconds, then look for the same text
and keep, which no other call may come between.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec

from ..conversations.store import ConversationStore
from .gates import gates_of, state_of
from .gather import gather
from .judging import AnswerChecks
from .likeness import similar_to, text_key
from .records import Gate, Similar, Star, StarState, Turn
from .store import StarStore


class StarSet:
    """The distil set of every owner of one server."""

    def __init__(self, conversations: ConversationStore, stars: StarStore) -> None:
        self._conversations = conversations
        self._stars = stars
        self._checks = AnswerChecks()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ends the child that compares mathematics."""
        self._checks.close()

    def star(self, owner: str, message: str, *, agreed: bool = False) -> Star | None:
        """Stars a message, or gives the star that it has. None where its conversation does not collect and nobody
        agreed that it may; with `agreed` it does from now on. Raises NotFoundError, InvalidRequestError.
        """
        known = self._stars.of_message(owner, message)
        if known is not None:
            return known
        star = gather(self._conversations, owner, message)
        conversation = self._conversations.get(owner, star.source.conversation)
        if not conversation.collects:
            if not agreed:
                return None
            self._conversations.update(owner, conversation.id, collects=True)
        with self._lock:
            return self._stars.of_message(owner, message) or self._judged(star)

    def change(self, owner: str, star_id: str, turn: dict[str, str], **word: Any) -> Star:
        """Takes edits of the turn and the person's word (gold, checked, alone). An edit takes back that the answer was
        looked at, unless that is said with it. Raises NotFoundError.
        """
        with self._lock:
            star = self._stars.get(owner, star_id)
            edited: Turn = msgspec.structs.replace(star.turn, **turn)
            if edited != star.turn:
                word = {"checked": False} | word
                if edited.question != star.turn.question:
                    # who words a question words it to stand alone
                    word = {"alone": True} | word
            changed = msgspec.structs.replace(star, turn=edited, updated=time.time(), **word)
            kept = self._judged(changed)
            self._look_again(kept, {text_key(star.turn), text_key(kept.turn)})
            return kept

    def remove(self, owner: str, star_id: str) -> Star:
        """Takes a star out of the set. Raises NotFoundError."""
        with self._lock:
            star = self._stars.get(owner, star_id)
            self._stars.remove(owner, star_id)
            self._look_again(star, {text_key(star.turn)})
        return star

    def get(self, owner: str, star_id: str) -> tuple[Star, list[Similar]]:
        """A star, and others that ask nearly the same. Raises NotFoundError."""
        star = self._stars.get(owner, star_id)
        return star, similar_to(star, self._stars.list(owner))

    def list(self, owner: str, state: StarState | None = None) -> list[Star]:
        """The newest first."""
        return self._stars.list(owner, state)

    def counts(self, owner: str) -> dict[str, int]:
        return self._stars.counts(owner)

    def marks(self, owner: str, conversation: str) -> dict[str, tuple[str, StarState]]:
        """Message -> id and state of its star."""
        return self._stars.states(owner, conversation)

    def _judged(self, star: Star) -> Star:
        judged, answer = self._checks.look(star)
        key = text_key(star.turn)
        gates = (*gates_of(star), answer, self._unique(star, key))
        star = msgspec.structs.replace(star, gates=gates, judged=judged, state=state_of(gates))
        self._stars.put(star, key)
        return star

    def _unique(self, star: Star, key: str) -> Gate:
        """Of the same text, the star that was there first stays, unless it is refused by itself."""
        for other in self._stars.all_with(star.owner, key):
            if (other.created, other.id) < (star.created, star.id) and other.state != "refused":
                return Gate(name="unique", state="failed", reason="duplicate", detail={"of": other.id})
        return Gate(name="unique", state="passed", reason="unique")

    def _look_again(self, changed: Star, keys: set[str]) -> None:
        """What was another's double may be none any more, or be one now."""
        for key in keys:
            for other in self._stars.all_with(changed.owner, key):
                if other.id != changed.id:
                    self._judged(other)
