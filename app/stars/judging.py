"""Whether a starred answer is right, by the judge that a run asks too: what is called right here is right there."""

from __future__ import annotations

import threading

from ...distill.errors import DistillError
from ...distill.rows import ProblemRow, Verifier
from ...distill.verify.config import VerifyConfig
from ...distill.verify.judge import Judge
from ...distill.verify.mathematics import MAX_ANSWER
from ...distill.verify.ruling import Ruling, after_thought
from ...distill.verify.text import final_answer
from ...serve.answers.extraction import boxed
from .gates import answer_gate
from .records import Gate, Judged, Star

# As distill asks of a consensus (VerifyConfig).
_RULES = VerifyConfig(workers=1)


class AnswerChecks:
    """Owns the child that compares mathematics, begun when it is first needed; may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._judge: Judge | None = None

    def close(self) -> None:
        """Ends the child."""
        with self._lock:
            if self._judge is not None:
                self._judge.__exit__(None, None, None)

    def look(self, star: Star) -> tuple[Judged | None, Gate]:
        """The person's word counts most, then a known answer, then a vote. What is said of the answer, and the gate."""
        if star.checked:
            return self._by_itself(star, "person")
        if star.gold:
            return self._by_gold(star)
        if star.vote is not None and "answer" not in star.edited:
            return self._by_vote(star)
        return None, answer_gate(None, "unchecked", wrong=False)

    def _by_gold(self, star: Star) -> tuple[Judged | None, Gate]:
        said = ""
        for verifier in ("math", "exact"):
            try:
                ruling = self._ruling(star, verifier, star.gold)
            except DistillError:  # without math-verify only what is the same to the letter is known to be right
                return None, answer_gate(None, "no_math", wrong=False)
            said = said or ruling.extracted or ""
            if ruling.verdict == "right":
                judged = Judged(by="gold", verifier=verifier, gold=star.gold)
                return judged, answer_gate(judged, "gold", wrong=False)
        return None, answer_gate(None, "against_gold", wrong=True, said=said)

    def _by_vote(self, star: Star) -> tuple[Judged | None, Gate]:
        vote = star.vote
        assert vote is not None
        if not vote.agrees:
            return None, answer_gate(None, "against_vote", wrong=True, said=vote.answer)
        few, share = vote.n < _RULES.consensus_samples, vote.votes / max(1, vote.n)
        if few or vote.tied or share < _RULES.consensus_share:
            return None, answer_gate(None, "no_majority", wrong=False, said=vote.answer)
        return self._by_itself(star, "vote")

    def _by_itself(self, star: Star, by: str) -> tuple[Judged | None, Gate]:
        """Its own answer becomes the gold, by which a run finds it right again."""
        text = after_thought(star.turn.answer)
        choices: tuple[tuple[Verifier, str | None], ...] = (("math", boxed(text)), ("exact", final_answer(text)))
        for verifier, gold in choices:
            if gold and len(gold) <= MAX_ANSWER and self._is_right(star, verifier, gold):
                judged = Judged(by="vote" if by == "vote" else "person", verifier=verifier, gold=gold)
                return judged, answer_gate(judged, by, wrong=False)
        return None, answer_gate(None, "unreadable", wrong=True)

    def _is_right(self, star: Star, verifier: Verifier, gold: str) -> bool:
        try:
            return self._ruling(star, verifier, gold).verdict == "right"
        except DistillError:
            return False

    def _ruling(self, star: Star, verifier: Verifier, gold: str) -> Ruling:
        problem = ProblemRow(id=star.id, prompt=star.turn.question, gold=gold, source="chat", verifier=verifier)
        with self._lock:
            if self._judge is None:
                self._judge = Judge(_RULES)
            return self._judge.verdict(problem, star.turn.answer)
