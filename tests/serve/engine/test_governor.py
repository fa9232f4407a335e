"""The governor with simulated models: every way to end a thought, its bounds, and an answer after each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.engine.closing_run import ClosingRun
from r1chat.serve.engine.detokenizer import Detokenizer, TextDelta
from r1chat.serve.engine.governor import Force, Governor, ReasoningEnd, ReasoningPlan, Sample
from r1chat.serve.engine.request import Channel

EOS = 0
SHEEP = "🐑".encode()
PIECES = [b"", b"\n", b"</think>", b"\n\n", b"</", b"think", b">\n\n", b">", b"Wait", b"<think>", SHEEP[:2], SHEEP[2:]]
WORDS = [b" and", b" so", b" ten", b".", b".\n\n", b" 3", b"!", b" ", b"3"]
PIECES += WORDS
N_VARIED = 10_000
PIECES += [f" w{n}".encode() for n in range(N_VARIED)]
ID = {piece: token for token, piece in enumerate(PIECES)}

# R1's own vocabularies have the tag as one token; in others it takes several, and the last holds more.
ONE_TOKEN_TAG = ClosingRun(tag=[2, 3], pieces=["</think>", "\n\n"], line_break=[1], wait=[8], ends=[EOS])
SPREAD_TAG = ClosingRun(tag=[4, 5, 6], pieces=["</", "think", ">\n\n"], line_break=[1], wait=[8], ends=[EOS])
both_tags = pytest.mark.parametrize("run", [ONE_TOKEN_TAG, SPREAD_TAG], ids=["one token", "spread"])

Model = Callable[[int, Sample], int]


@dataclass
class Generation:
    """Carries out what the governor says, as the engine does; `model` is asked with the number of its draw."""

    model: Model
    run: ClosingRun = field(default_factory=lambda: ONE_TOKEN_TAG)
    budget: int | None = None
    grace: int = 32
    max_new: int = 1_000
    reasoning_open: bool = True

    def __post_init__(self) -> None:
        self.tokens: list[int] = []
        self.deltas: list[TextDelta] = []
        self.forced: list[Force] = []
        self.n_draws = 0
        self.detokenizer = Detokenizer(reasoning_open=self.reasoning_open)
        plan = ReasoningPlan(max_new=self.max_new, budget=self.budget, grace=self.grace)
        self.governor = Governor(plan, self.run, self.detokenizer)
        self.ended = False
        verdict = self.governor.verdict(self.max_new)
        if isinstance(verdict, Force):
            self.carry_out(verdict)
        self.prompt, self.tokens = self.tokens, []

    @property
    def n_left(self) -> int:
        return self.max_new - len(self.tokens)

    def text(self, channel: Channel) -> str:
        return "".join(delta.text for delta in self.deltas if delta.channel is channel)

    @property
    def thought(self) -> str:
        return self.text(Channel.REASONING)

    @property
    def answer(self) -> str:
        return self.text(Channel.CONTENT)

    def play(self, n_draws: int = 100_000) -> Generation:
        while not self.ended and n_draws:
            self.step()
            n_draws -= 1
        return self

    def step(self) -> None:
        verdict = self.governor.verdict(self.n_left)
        if isinstance(verdict, Force):
            self.carry_out(verdict)
            verdict = self.governor.verdict(self.n_left)
        assert isinstance(verdict, Sample)
        self.draw(verdict)
        if self.ended or self.n_left <= 0:
            self.ended = True
            self.deltas += self.detokenizer.finish()

    def draw(self, sample: Sample) -> None:
        token = self.model(self.n_draws, sample)
        self.n_draws += 1
        instead = self.governor.review(PIECES[token], is_end=token == EOS, n_left=self.n_left)
        if instead:
            self.carry_out(instead)
        elif token == EOS:
            self.ended = True
        else:
            self.append(token)

    def carry_out(self, force: Force) -> None:
        self.forced.append(force)
        if force.n_dropped:
            del self.tokens[-force.n_dropped :]
        for token in force.tokens:
            self.append(token)

    def append(self, token: int) -> None:
        self.tokens.append(token)
        self.deltas += self.detokenizer.feed(PIECES[token])
        self.governor.accept(token)


def says(*pieces: bytes | str, then: bytes | str = " and") -> Model:
    """Draws these and after them always the same, whatever the biases, but for a ban."""
    tokens = [ID[piece.encode() if isinstance(piece, str) else piece] for piece in pieces]
    last = ID[then.encode() if isinstance(then, str) else then]

    def draw(n: int, sample: Sample) -> int:
        token = tokens[n] if n < len(tokens) else last
        return token if sample.bias.get(token) != -math.inf else ID[b" so"]

    return draw


def varied(n: int, sample: Sample) -> int:
    """Goes on for ever, in no circle."""
    return len(PIECES) - N_VARIED + n


def test_a_thought_that_ends_by_itself_is_left_alone() -> None:
    generation = Generation(says(" so", ".\n\n", "</think>", "\n\n", " ten", "", then=" and")).play()
    assert (generation.thought, generation.answer) == (" so.", " ten")
    assert generation.governor.reasoning_end() is ReasoningEnd.NATURAL
    assert not generation.forced


@both_tags
def test_a_hard_budget_is_kept_to_the_token(run: ClosingRun) -> None:
    generation = Generation(says(), run=run, budget=10, grace=0, max_new=100).play()
    assert generation.detokenizer.reasoning_tokens == 10
    assert generation.thought == " and" * 10
    assert generation.governor.reasoning_end() is ReasoningEnd.BUDGET
    assert generation.answer.strip()
    assert len(generation.forced) == 1, "closing takes one run"


@both_tags
def test_grace_lets_the_sentence_end(run: ClosingRun) -> None:
    generation = Generation(says(*[" and"] * 65, ".", " so"), run=run, budget=60, grace=20).play()
    assert generation.thought == " and" * 65 + "."
    assert generation.governor.reasoning_end() is ReasoningEnd.SOFT_LANDING


@both_tags
def test_grace_that_sees_no_sentence_end_closes_hard(run: ClosingRun) -> None:
    generation = Generation(says(), run=run, budget=70, grace=17).play()
    assert 70 < generation.detokenizer.reasoning_tokens <= 87
    assert generation.governor.reasoning_end() is ReasoningEnd.BUDGET


def test_grace_is_at_most_a_quarter_of_the_budget() -> None:
    assert [ReasoningPlan(max_new=500, budget=budget).limit for budget in (0, 3, 16, 400)] == [0, 3, 20, 432]


@both_tags
def test_the_bias_grows_towards_the_budget_at_sentence_ends_and_the_model_may_follow_it(run: ClosingRun) -> None:
    biases: list[float] = []
    words = [" and", " so", "."]

    def model(n: int, sample: Sample) -> int:
        (token, bias), *_ = sample.bias.items() or [(ID[words[n % 3].encode()], 0.0)]
        if generation.detokenizer.state == "reasoning":
            biases.append(bias)
        return token if bias > 8 else ID[words[n % 3].encode()]

    generation = Generation(model, run=run, budget=60, max_new=300)
    generation.play()
    assert generation.governor.reasoning_end() is ReasoningEnd.SOFT_LANDING
    assert 48 < generation.detokenizer.reasoning_tokens < 60
    assert not generation.forced, "the model closed it itself"
    at_ends = [bias for bias in biases[:60] if 0 < bias < 16]
    assert at_ends == sorted(at_ends) and len(at_ends) > 1


def test_a_decimal_point_ends_no_sentence() -> None:
    generation = Generation(says(*[" and"] * 50, " 3", ".", "3", " so", "."), budget=50, grace=10).play()
    assert generation.thought.endswith(" 3.3 so.")


def test_a_point_behind_a_digit_ends_a_sentence_once_a_blank_follows_it_but_not_in_a_list() -> None:
    words = [*[" and"] * 50, " 3", ".", " so"]
    generation = Generation(says(*words), budget=50, grace=10).play()
    assert generation.thought == " and" * 50 + " 3."
    assert generation.governor.reasoning_end() is ReasoningEnd.SOFT_LANDING
    words = [*[" and"] * 50, "\n", " 3", ".", " so", "!"]
    assert Generation(says(*words), budget=53, grace=10).play().thought.endswith("\n 3. so!")


@both_tags
def test_no_budget_is_no_thought_at_all_and_costs_no_max_tokens(run: ClosingRun) -> None:
    generation = Generation(says(), run=run, budget=0, max_new=1).play()
    assert generation.prompt == run.tag
    assert (generation.thought, generation.answer) == ("", " and")
    assert generation.detokenizer.reasoning_tokens == 0
    assert generation.governor.reasoning_end() is None


@both_tags
def test_a_thought_that_the_model_opens_itself_is_closed_at_once_without_a_budget(run: ClosingRun) -> None:
    generation = Generation(says("<think>"), run=run, budget=0, reasoning_open=False, max_new=20).play()
    assert (generation.thought, generation.answer[:4]) == ("", " and")
    assert generation.detokenizer.reasoning_tokens == 0


def test_a_generation_without_a_thought_is_left_alone() -> None:
    generation = Generation(says(""), budget=0, reasoning_open=False).play()
    assert (generation.answer, generation.forced, generation.governor.reasoning_end()) == ("", [], None)


@both_tags
@pytest.mark.parametrize(("max_new", "reserve"), [(20, 16), (100, 25), (400, 100), (8_000, 1_024)])
def test_the_answer_keeps_its_reserve(run: ClosingRun, max_new: int, reserve: int) -> None:
    generation = Generation(varied, run=run, max_new=max_new).play()
    assert generation.governor.reasoning_end() is ReasoningEnd.RESERVE
    n_answer = max_new - generation.detokenizer.reasoning_tokens - len(run.tag) + len(generation.prompt)
    assert reserve <= n_answer <= reserve + 40
    assert generation.answer.strip()


@both_tags
def test_an_end_inside_the_thought_closes_the_thought(run: ClosingRun) -> None:
    generation = Generation(says(" so", "", " ten", ""), run=run).play()
    assert (generation.thought, generation.answer) == (" so", " ten")
    assert generation.governor.reasoning_end() is ReasoningEnd.EOS_IN_THINK


def test_ends_are_banned_until_the_answer_has_begun() -> None:
    generation = Generation(says("</think>", "\n\n", "", " ", "", "")).play()
    assert generation.answer.strip() == "so"


@both_tags
def test_a_model_that_was_cut_short_and_closes_its_thought_again_leaves_no_tag_in_the_answer(run: ClosingRun) -> None:
    closing = [PIECES[token] for token in run.tag]
    generation = Generation(says(*[" and"] * 12, *closing, " ten", ""), run=run, budget=8, grace=0).play()
    assert (generation.thought, generation.answer) == (" and" * 8, " and" * 4 + "\n\n ten")


@both_tags
def test_a_tag_in_the_answer_of_a_model_that_was_left_alone_is_text(run: ClosingRun) -> None:
    closing = [PIECES[token] for token in run.tag]
    generation = Generation(says(*closing, " ten", *closing, ""), run=run).play()
    assert generation.answer == " ten</think>\n\n"


@both_tags
def test_a_loop_ends_the_thought_and_is_reported(run: ClosingRun) -> None:
    generation = Generation(says(then=" so"), run=run, max_new=5_000).play()
    assert generation.governor.reasoning_end() is ReasoningEnd.LOOP
    assert generation.governor.evidence == "the same token over and over, noticed at token 97"
    assert generation.governor.loop and generation.governor.loop.period == 1
    assert generation.detokenizer.reasoning_tokens < 300


@both_tags
def test_answer_now_ends_the_thought_with_the_next_step(run: ClosingRun) -> None:
    generation = Generation(says(), run=run).play(5)
    assert generation.governor.answer_now()
    generation.step()
    assert generation.governor.reasoning_end() is ReasoningEnd.USER
    assert generation.detokenizer.reasoning_tokens == 6, "with the line break that was put in"
    assert not generation.governor.answer_now()


def test_a_thought_that_is_let_be_cannot_be_steered_and_says_so() -> None:
    detokenizer = Detokenizer(reasoning_open=True)
    governor = Governor(ReasoningPlan(100, lets_be=True), ONE_TOKEN_TAG, detokenizer)
    assert not governor.answer_now() and not governor.think_more()


@both_tags
def test_think_more_swallows_the_closing_tag_once(run: ClosingRun) -> None:
    closing = [PIECES[token] for token in run.tag]
    generation = Generation(says(" so", *closing[:-1], ">" if len(closing) == 3 else "\n\n", " ten"), run=run).play(1)
    assert generation.governor.think_more()
    generation.play()
    assert generation.thought.startswith(" so\nWait")
    assert "<" not in generation.thought
    assert "</think>" not in "".join(PIECES[token].decode() for token in generation.tokens[:6])


@both_tags
def test_think_more_does_not_outdo_the_budget(run: ClosingRun) -> None:
    generation = Generation(says(*[" so"] * 9, *(PIECES[token] for token in run.tag)), run=run, budget=10, grace=0)
    generation.governor.think_more()
    generation.play()
    assert generation.governor.reasoning_end() in (ReasoningEnd.NATURAL, ReasoningEnd.BUDGET)
    assert generation.detokenizer.reasoning_tokens <= 10


def test_think_more_instead_of_an_end_in_the_thought() -> None:
    generation = Generation(says(" so", "", " ten", "</think>", "\n\n", " and", ""))
    generation.governor.think_more()
    generation.play()
    assert (generation.thought, generation.answer) == (" so\nWait ten", " and")


def test_a_tag_that_the_model_has_begun_is_completed_not_doubled() -> None:
    generation = Generation(says(*[" so"] * 9, "</"), run=SPREAD_TAG, budget=10, grace=0, max_new=40).play()
    assert generation.thought == " so" * 9
    assert "<" not in generation.answer


def test_half_a_character_behind_a_tag_that_was_begun_makes_it_no_tag() -> None:
    for think_more in (0, 1):
        generation = Generation(says(" so", "</", SHEEP[:2], "", " ten", ""), run=SPREAD_TAG, max_new=60)
        for _ in range(think_more):
            generation.governor.think_more()
        generation.play()
        assert generation.thought.startswith(" so</�")
        assert generation.answer.strip()


def test_a_character_is_not_cut_in_two_where_there_is_grace() -> None:
    halves = [SHEEP[:2], SHEEP[2:]] * 200
    for budget in range(40, 60):
        thought = Generation(says(*halves), budget=budget, grace=10, max_new=300).play().thought
        assert "�" not in thought


@both_tags
def test_a_thought_that_leaves_no_room_for_an_answer_goes_on_and_says_length(run: ClosingRun) -> None:
    late = Generation(says("<think>"), run=run, reasoning_open=False, max_new=3).play()
    assert (late.thought, late.answer, len(late.tokens)) == (" and and", "", 3)
    assert late.governor.reasoning_end() is ReasoningEnd.LENGTH


def without_tags(text: str) -> str:
    return without_tags(text.replace("</think>", "")) if "</think>" in text else text


TOKENS = st.lists(st.integers(0, 25), min_size=1, max_size=60)


@given(
    stream=TOKENS,
    budget=st.none() | st.integers(0, 400),
    grace=st.integers(0, 40),
    max_new=st.integers(20, 600),
    run=st.sampled_from([ONE_TOKEN_TAG, SPREAD_TAG]),
    obeys=st.floats(1, 20),
    think_more=st.integers(0, 3),
    answer_now_at=st.none() | st.integers(0, 100),
)
def test_whatever_the_model_says_the_bounds_hold_and_there_is_an_answer(
    stream: list[int],
    budget: int | None,
    grace: int,
    max_new: int,
    run: ClosingRun,
    obeys: float,
    think_more: int,
    answer_now_at: int | None,
) -> None:
    def model(n: int, sample: Sample) -> int:
        wanted = [token for token, bias in sample.bias.items() if bias > obeys]
        token = wanted[0] if wanted else stream[n % len(stream)]
        # blanks and tags for ever are no want of tokens
        says_something = n % 5 == 0 and generation.detokenizer.state == "content"
        return ID[b" so"] if says_something or sample.bias.get(token) == -math.inf else token

    generation = Generation(model, run=run, budget=budget, grace=grace, max_new=max_new)
    for _ in range(think_more):
        generation.governor.think_more()
    if answer_now_at is not None:
        generation.play(answer_now_at).governor.answer_now()
    generation.play()
    assert generation.answer.strip()
    assert generation.detokenizer.reasoning_tokens <= (math.inf if budget is None else budget + grace)
    assert len(generation.tokens) <= max_new
    end = generation.governor.reasoning_end()
    assert end is not ReasoningEnd.LENGTH and (end is None) == (budget == 0)
    natural = generation.governor.reasoning_end() in (ReasoningEnd.NATURAL, ReasoningEnd.SOFT_LANDING) and not any(
        force.tokens[-1] == run.tag[-1] for force in generation.forced
    )
    whole = b"".join(PIECES[token] for token in generation.prompt + generation.tokens)
    again = Detokenizer(reasoning_open=True)
    deltas = [*again.feed(whole), *again.finish()]
    assert generation.thought == "".join(d.text for d in deltas if d.channel is Channel.REASONING)
    answer = "".join(d.text for d in deltas if d.channel is Channel.CONTENT)
    assert generation.answer == (answer if natural else without_tags(answer))
