"""A conversation as the server keeps it: the page holds none of it and sends only the question."""

from __future__ import annotations

from dataclasses import dataclass, field

from .turn import Turn


@dataclass
class Conversation:
    """Turns in order. One per browser tab; it ends with the tab."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether a reply is still being written."""
        return any(turn.live for turn in self.turns)

    def ask(self, question: str) -> tuple[Turn, list[dict[str, str]]]:
        """Adds a turn and returns it with the messages to send: no old reasoning, no unanswered question."""
        messages = []
        for turn in self.turns:
            if turn.answer.whole:
                messages.append({"role": "user", "content": turn.question})
                messages.append({"role": "assistant", "content": turn.answer.whole})
        turn = Turn(question)
        self.turns.append(turn)
        return turn, [*messages, {"role": "user", "content": question}]

    def stop(self) -> None:
        """Stops what is still being written."""
        for turn in self.turns:
            turn.stop()

    def clear(self) -> None:
        """Begins anew."""
        self.stop()
        self.turns = []
