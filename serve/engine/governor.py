"""The thought under control: when it ends, why, and that an answer follows it. Knows neither logits nor HTTP.

One governor per request, on the engine's thread. It counts nothing that the detokenizer counts. The engine
    asks `verdict` before the first draw and after each token that was drawn; a Force is carried out at once,
        and asked again; the first of all belongs to the prompt, so that it costs no max_tokens;
    asks `review` of each drawn token before it is appended: a Force then comes in the token's place;
    calls `accept` for each token appended, drawn or forced, after the detokenizer was fed with it.
To carry out a Force: take back the last `n_dropped` tokens (the cache's cells too, and the sampler retracts them; the
detokenizer has forgotten them), then append `tokens`, feed them, have the sampler and the governor accept them. They
and the token before them are computed in the next step, in one chunk.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .closing_run import ClosingRun
from .detokenizer import Detokenizer
from .loop_detector import Loop, LoopDetector

_MAX_RESERVE = 1024
_MIN_RESERVE = 16
# A close may come so many tokens early, to end between characters and on a line of its own.
_MARGIN = 4
# Where only the reserve ends the thought, a sentence that ends so many tokens before is taken.
_RESERVE_WINDOW = 32
_SOFT_SHARE = 0.8
# Logit bias on the closing tag at the budget, at the end of a sentence and of a paragraph; within a sentence
# it grows by so much a token behind the budget. R1's thoughts close about ten nats above where they go on.
_SENTENCE_BIAS = 12.0
_PARAGRAPH_BIAS = 16.0
_BIAS_PER_TOKEN = 0.5
# A point behind a digit may be a decimal one, or that of a list: what comes next tells, or the line.
_SENTENCE_END = re.compile(r"""(?:[^\d\s][.!?…]["'”’)\]*]*\s?|[。！？]|\n)$""")
_POINT_IN_LINE = re.compile(r"[^\d\s][^\n]*\d\.$")
_TAIL = 16


class ReasoningEnd(StrEnum):
    """Why the thought ended. `length`: it was still open when the generation ended."""

    NATURAL = "natural"
    BUDGET = "budget"
    SOFT_LANDING = "soft_landing"
    LOOP = "loop"
    RESERVE = "reserve"
    USER = "user"
    EOS_IN_THINK = "eos_in_think"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class ReasoningPlan:
    """`max_new`: tokens that the thought and the answer have together, by max_tokens and by the context.

    The thought takes at most `budget` tokens (None: no limit, 0: no thought) and up to `grace` more, but
    never more than a quarter of the budget, to end with a sentence. With `closes_cleanly` the closing run
    takes the place of the token that would close the thought, so that nothing else comes with it. With
    `lets_be` nothing is ever forced, forbidden or made likelier.
    """

    max_new: int
    budget: int | None = None
    grace: int = 32
    closes_cleanly: bool = False
    lets_be: bool = False

    @property
    def limit(self) -> float:
        return math.inf if self.budget is None else self.budget + self.grace_tokens

    @property
    def grace_tokens(self) -> int:
        return min(self.grace, (self.budget or 0) // 4)

    @property
    def reserve(self) -> int:
        """Tokens that stay for the answer."""
        return min(_MAX_RESERVE, max(_MIN_RESERVE, self.max_new // 4))


@dataclass(frozen=True, slots=True)
class Sample:
    """Draw the next token, with these biases added to the logits."""

    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Force:
    """Append `tokens` without drawing, after the last `n_dropped` were taken back."""

    tokens: list[int]
    n_dropped: int = 0


Verdict = Sample | Force
_FREELY = Sample()


class Governor:
    """`end` is why the thought ended, None while it has not or where there is none; `loop` is what was noticed.

    Of a reply that goes on from something, `detokenizer` stands behind that and `written` ends as it does; it
    counts towards the budget, not for loops. A thought that had ended there has no `end`.
    """

    def __init__(self, plan: ReasoningPlan, run: ClosingRun, detokenizer: Detokenizer, written: str = "") -> None:
        self.end: ReasoningEnd | None = None
        self.loop: Loop | None = None
        self._plan = plan
        self._run = run
        self._detokenizer = detokenizer
        self._detector = LoopDetector()
        self._no_ends = Sample(dict.fromkeys(run.ends, -math.inf))
        self._cause: ReasoningEnd | None = None
        self._answer_now = False
        self._n_swallow = 0
        self._had_thought = detokenizer.state != "start"
        self._is_over = detokenizer.state == "content"
        self._begun = False
        self._tail = written[-_TAIL:]
        self._bias = 0.0
        self._biased_tag = False
        self._in_tag = False

    def reasoning_end(self, *, is_over: bool = True) -> ReasoningEnd | None:
        """None while the thought goes on, and where there is none, as with a budget of 0. `is_over`: nothing comes
        any more.
        """
        if self._plan.budget == 0 and not self._n_thought:
            return None
        return ReasoningEnd.LENGTH if self._thinking and is_over else self.end

    @property
    def evidence(self) -> str | None:
        """What the loop detector noticed, in words."""
        return self.loop.in_words() if self.loop else None

    def answer_now(self) -> bool:
        """The thought ends with the next verdict. False: it has ended already, or there is none."""
        self._answer_now = self._may_be_steered
        return self._answer_now

    def think_more(self) -> bool:
        """When the model wants to end its thought, it goes on once more. False as for `answer_now`."""
        self._n_swallow += self._may_be_steered
        return self._may_be_steered

    def verdict(self, n_left: int) -> Verdict:
        """How the next token comes about; `n_left` tokens may still be appended."""
        self._bias = 0.0
        if self._plan.lets_be:
            return _FREELY
        if not self._thinking:
            return self._no_ends if self._had_thought and not self._detokenizer.has_answer else _FREELY
        cause = self._due(n_left)
        if cause and self._has_room(n_left):
            return self._close(cause, n_left)
        self._bias = self._soft_bias()
        return Sample({self._run.rest(self._begun_tag)[0]: self._bias}) if self._bias else _FREELY

    def review(self, piece: bytes, *, is_end: bool, n_left: int) -> Force | None:
        """Of a drawn token's bytes: what comes in its place, if it must not come. `n_left` as before it."""
        if not self._thinking or self._plan.lets_be:
            return None
        if piece[:1].isspace() and _POINT_IN_LINE.search(self._tail) and (cause := self._due_at_sentence_end(n_left)):
            return self._close(cause, n_left) if self._has_room(n_left) else None
        looks = self._n_swallow or self._plan.closes_cleanly
        closes = looks and self._detokenizer.closes_with(piece)
        if not (is_end or closes):
            return None
        n_wait = len(self._run.line_break) + len(self._run.wait)
        if self._n_swallow and self._n_more(n_left)[0] >= n_wait + _MARGIN:
            self._n_swallow -= 1
            return self._wait()
        if closes and self._plan.closes_cleanly:
            return Force(self._run.rest(self._begun_tag))
        return self._close(ReasoningEnd.EOS_IN_THINK, n_left) if is_end and self._has_room(n_left) else None

    def accept(self, token: int) -> None:
        """`token` was appended, and the detokenizer was fed with it."""
        detokenizer = self._detokenizer
        self._begun = True
        if not self._in_tag:
            self._biased_tag = self._bias > 0
        self._in_tag = bool(self._begun_tag)
        self._tail = (self._tail + detokenizer.text)[-_TAIL:]
        if detokenizer.state == "reasoning":
            self._had_thought = True
            self.loop = self.loop or self._detector.accept(token, has_word=any(map(str.isalnum, detokenizer.text)))
        elif detokenizer.state == "content" and not self._is_over:
            self._is_over = True
            self._had_thought = True
            self.end = self._cause or (ReasoningEnd.SOFT_LANDING if self._biased_tag else ReasoningEnd.NATURAL)

    @property
    def _thinking(self) -> bool:
        return self._detokenizer.state == "reasoning"

    @property
    def _may_be_steered(self) -> bool:
        return self._thinking and not self._plan.lets_be

    @property
    def _begun_tag(self) -> str:
        return self._detokenizer.partial_tag

    @property
    def _n_thought(self) -> int:
        return self._detokenizer.reasoning_tokens

    def _has_room(self, n_left: int) -> bool:
        """A thought that no answer could follow may as well go on; before the first draw the prompt has the room."""
        return not self._begun or n_left > len(self._run.tag)

    def _due(self, n_left: int) -> ReasoningEnd | None:
        """Why the thought must end now, if it must."""
        if self._answer_now:
            return ReasoningEnd.USER
        if self.loop:
            return ReasoningEnd.LOOP
        n_more, cause = self._n_more(n_left)
        if n_more > 0 and self._at_sentence_end and (softly := self._due_at_sentence_end(n_left)):
            return softly
        margin = min(_MARGIN, self._plan.grace_tokens) if cause is ReasoningEnd.BUDGET else _MARGIN
        return cause if n_more <= 0 or (n_more <= margin and not self._detokenizer.in_character) else None

    def _due_at_sentence_end(self, n_left: int) -> ReasoningEnd | None:
        if self._plan.budget is not None and self._n_thought >= self._plan.budget:
            return ReasoningEnd.SOFT_LANDING
        n_more, cause = self._n_more(n_left)
        window = min(_RESERVE_WINDOW, self._plan.max_new // 8)
        return cause if cause is ReasoningEnd.RESERVE and n_more <= window else None

    def _n_more(self, n_left: int) -> tuple[float, ReasoningEnd]:
        """Tokens that the thought may still take, and what bounds them."""
        by_budget = self._plan.limit - self._n_thought
        by_reserve = n_left - self._plan.reserve - len(self._run.tag)
        if by_budget <= max(0, by_reserve):
            return by_budget, ReasoningEnd.BUDGET
        return by_reserve, ReasoningEnd.RESERVE

    def _close(self, cause: ReasoningEnd, n_left: int) -> Force:
        self._cause = cause
        # a model that was cut short may go on to think, and close its thought once more
        self._detokenizer.hide_later_tags()
        line_break = self._line_break()
        if self._begun_tag or len(line_break) > self._n_more(n_left)[0]:
            line_break = []
        return Force([*line_break, *self._run.rest(self._begun_tag)])

    def _wait(self) -> Force:
        text = self._tail.removesuffix(self._begun_tag)
        n_dropped = self._detokenizer.drop_partial_tag()
        if n_dropped:
            self._tail = text
        return Force(self._line_break() + self._run.wait, n_dropped)

    def _line_break(self) -> list[int]:
        """The run that begins a line, unless one has begun."""
        return [] if not self._n_thought or self._tail.endswith("\n") else self._run.line_break

    @property
    def _at_sentence_end(self) -> bool:
        return not self._in_tag and _SENTENCE_END.search(self._tail) is not None

    def _soft_bias(self) -> float:
        """Grows towards the budget at sentence ends, and behind it everywhere."""
        budget, n = self._plan.budget, self._n_thought
        if not budget or n < _SOFT_SHARE * budget or self._n_swallow:
            return 0.0
        if self._in_tag:
            return _PARAGRAPH_BIAS if self._biased_tag else 0.0
        if not self._at_sentence_end:
            return _BIAS_PER_TOKEN * max(0, n - budget)
        share = (n + 1 - _SOFT_SHARE * budget) / (budget + 1 - _SOFT_SHARE * budget)
        return share * (_PARAGRAPH_BIAS if self._tail.endswith("\n") else _SENTENCE_BIAS)
