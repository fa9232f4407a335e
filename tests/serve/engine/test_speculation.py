"""What prompt lookup finds, when the gate lets it draft by costs as measured, and that drafts change no text."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from engine_tools import bundled_model, finish_of, request, run
from hypothesis import given
from hypothesis import strategies as st
from recording_runner import K_ROUNDING, Record, RecordingRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.request import GenerateRequest, Usage
from r1chat.serve.engine.row_costs import RowCosts
from r1chat.serve.engine.speculation import LONGEST, MIN_MATCH, VERBATIM, PromptLookup, Proposal, Proposer, Speculator
from r1chat.serve.engine.step_sizes import StepSizes
from r1chat.serve.models.gguf.shapes import make_random_gguf

# milliseconds by rows: a 0.5B on two cores, where four rows cost 3.6 steps, and a 1.5B where they cost 1.7
DEAR: dict[int, float] = {1: 15.2, 2: 43, 3: 50, 4: 54, 8: 67, 12: 81, 16: 82, 24: 128}
CHEAP: dict[int, float] = {1: 25, 2: 41, 3: 55, 4: 43, 8: 88, 12: 100, 16: 112, 24: 170}


def step_sizes(milliseconds: dict[int, float]) -> StepSizes:
    sizes = StepSizes(RowCosts(max_rows=32, piece_rows=64))
    points = sorted(milliseconds)

    def time_rows(n_rows: int, n_outputs: int) -> float:
        above = next((n for n in points if n >= n_rows), points[-1])
        return milliseconds[above] / 1000

    sizes.costs.calibrate(time_rows, budget_s=60.0)
    return sizes


class Scripted:
    """Proposes what will follow; of its proposals `share` are right, the others wrong from their first token."""

    def __init__(self, truth: list[int], share: float, seed: int = 0) -> None:
        self.truth, self.share = truth, share
        self._random = random.Random(seed)

    def propose(self, tokens: list[int], limit: int) -> Proposal:
        following = self.truth[len(tokens) : len(tokens) + limit]
        right = self._random.random() < self.share
        return Proposal(following if right else [token ^ 1 for token in following])


def seconds_to_write(speculator: Speculator, truth: list[int], n_prompt: int, sizes: StepSizes) -> tuple[float, int]:
    """As the engine does it: draft, verify, keep what is right and one token more. With the number of drafts."""
    n, seconds, n_drafts = n_prompt, 0.0, 0
    while n < len(truth):
        draft = speculator.draft(truth[:n], 1, sizes, len(truth) - n - 1)
        n_right = next((i for i, guess in enumerate(draft) if guess != truth[n + i]), len(draft))
        seconds += sizes.costs.seconds(1 + len(draft), 1 + len(draft))
        n += n_right + 1
        if draft:
            n_drafts += 1
    return seconds, n_drafts


def gain(speculator: Speculator, truth: list[int], n_prompt: int, sizes: StepSizes) -> float:
    plain = (len(truth) - n_prompt) * sizes.costs.seconds(1, 1)
    return plain / seconds_to_write(speculator, truth, n_prompt, sizes)[0]


def text(n: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(10**6), k=n)


def test_tokens_that_were_taken_back_are_guessed_no_more() -> None:
    lookup = PromptLookup()
    assert lookup.propose([7] * 20, 4).tokens == [7] * 4
    assert lookup.propose([7] * 16 + [1, 2], 4).tokens == []
    assert lookup.propose([7] * 16 + [1, 2, 3, 1, 2, 3, 1, 2], 4).tokens == [3, 1, 2, 3]


def test_what_followed_the_last_tokens_before_is_proposed() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 5, 6, 9, 2, 3, 4], 2) == Proposal([5, 6], 3)
    assert PromptLookup().propose([1, 2, 3, 4, 5, 6, 9, 3, 4], 2).tokens == []
    assert PromptLookup().propose([1, 2], 2).tokens == []


def test_of_several_occurrences_the_newest_is_followed() -> None:
    assert PromptLookup().propose([1, 2, 3, 40, 1, 2, 3, 50, 1, 2, 3], 1).tokens == [50]


def test_an_occurrence_is_followed_past_another_until_it_is_wrong() -> None:
    lookup = PromptLookup()
    tokens = [7, 1, 2, 3, 40, 8, 1, 2, 3, 50, 7, 1, 2, 3]
    assert lookup.propose(tokens, 1).tokens == [50]
    tokens += [40]
    assert lookup.propose(tokens, 1) == Proposal([8], 5)
    tokens += [8, 1, 2, 3]
    # the newest 1, 2, 3 was followed by 40, that which is followed by 50
    assert lookup.propose(tokens, 1).tokens == [50]


def test_the_length_of_the_match_is_told() -> None:
    copy = text(40)
    assert PromptLookup().propose([*copy, 5, *copy[:20]], 3) == Proposal(copy[20:23], VERBATIM)
    lookup = PromptLookup()
    tokens = [*copy, 5, *copy[:4]]
    for n in range(4, 30):
        assert lookup.propose(tokens, 1).n_matched == n
        tokens.append(copy[n])


def test_a_repetition_goes_on_as_it_was() -> None:
    assert PromptLookup().propose([1, 2, 3, 1, 2, 3], 8).tokens == [1, 2, 3, 1, 2, 3, 1, 2]
    assert PromptLookup().propose([4, 4, 4, 4], 5).tokens == [4] * 5


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.data())
def test_it_does_not_matter_how_often_it_looks(tokens: list[int], data: st.DataObject) -> None:
    lookup, n = PromptLookup(), 0
    while n < len(tokens):
        n = data.draw(st.integers(n + 1, len(tokens)))
        guesses, n_matched = lookup.propose(tokens[:n], 6)
        if not guesses:
            # then the last tokens are new
            last = tokens[max(0, n - MIN_MATCH) : n]
            starts = range(n - MIN_MATCH)
            assert len(last) < MIN_MATCH or all(tokens[i : i + MIN_MATCH] != last for i in starts)
            continue
        # some earlier occurrence of as many last tokens is followed by just this
        going_on = tokens[:n] + guesses
        assert any(
            going_on[end - n_matched : end] == tokens[n - n_matched : n] and going_on[end : end + 6] == guesses
            for end in range(n_matched, n)
        )


@pytest.mark.parametrize("milliseconds", [DEAR, CHEAP])
def test_a_proposer_that_is_always_wrong_costs_nothing(milliseconds: dict[int, float]) -> None:
    truth = text(400)
    assert seconds_to_write(Speculator(Scripted(truth, 0.0)), truth, 10, step_sizes(milliseconds))[1] == 0


@pytest.mark.parametrize("milliseconds", [DEAR, CHEAP])
@pytest.mark.parametrize(("share", "least"), [(0.5, 1.1), (0.9, 1.5)])
def test_drafts_that_are_often_right_pay(milliseconds: dict[int, float], share: float, least: float) -> None:
    truth, table = text(400), step_sizes(milliseconds)
    gains = sorted(gain(Speculator(Scripted(truth, share, seed)), truth, 10, table) for seed in range(9))
    assert gains[4] >= least
    assert gains[0] >= 0.97


def test_one_that_turns_wrong_is_dropped_soon_and_one_that_turns_right_is_noticed() -> None:
    truth, table = text(900), step_sizes(DEAR)
    proposer = Scripted(truth, 1.0)
    speculator = Speculator(proposer)
    seconds_to_write(speculator, truth[:300], 10, table)
    proposer.share = 0.0
    assert seconds_to_write(speculator, truth[:600], 300, table)[1] <= 6
    proposer.share = 1.0
    assert gain(speculator, truth, 600, table) > 1.5


@pytest.mark.parametrize(("milliseconds", "least"), [(DEAR, 2.0), (CHEAP, 2.5)])
def test_a_copy_from_the_prompt_is_drafted_in_long_pieces(milliseconds: dict[int, float], least: float) -> None:
    """Also where short drafts pay from the first: they would give at most 2.3."""
    document = text(300)
    truth = [*document, *text(20, seed=1), *document]
    assert gain(Speculator(PromptLookup()), truth, 320, step_sizes(milliseconds)) > least


def test_text_without_repetition_costs_nothing() -> None:
    truth = text(600)
    assert seconds_to_write(Speculator(PromptLookup()), truth, 300, step_sizes(CHEAP))[1] == 0


def test_steps_with_a_draft_have_the_sizes_that_rows_are_cheap_at() -> None:
    document = text(100)
    tokens = [*document, 5, *document[:VERBATIM]]
    for n_rows, sizes in ((1, {3, 7, 15}), (2, {2, 6, 14}), (3, {1, 5, 13})):
        assert len(Speculator(PromptLookup()).draft(tokens, n_rows, step_sizes(CHEAP), 31)) in sizes


def test_nothing_is_drafted_where_the_batch_is_busy_or_rows_cost_what_steps_cost() -> None:
    document = text(100)
    tokens = [*document, 5, *document[:50]]
    assert Speculator(PromptLookup()).draft(tokens, 1, step_sizes(CHEAP), 31)
    assert Speculator(PromptLookup()).draft(tokens, 4, step_sizes(CHEAP), 31) == []
    no_groups: dict[int, float] = {n: 15.0 * n for n in (1, 2, 3, 4, 8, 12, 16, 24)}
    assert Speculator(PromptLookup()).draft(tokens, 1, step_sizes(no_groups), 31) == []


def test_a_draft_is_never_longer_than_it_may_be() -> None:
    document = text(100)
    tokens = [*document, 5, *document[:50]]
    for limit in range(LONGEST + 3):
        assert len(Speculator(PromptLookup()).draft(tokens, 1, step_sizes(CHEAP), limit)) <= limit


def test_a_draft_that_was_never_verified_is_judged_by_what_came() -> None:
    truth, table = text(400), step_sizes(DEAR)
    proposer = Scripted(truth, 1.0)
    speculator = Speculator(proposer)
    # the batch lost its drafts for want of room
    assert any(speculator.draft(truth[:n], 1, table, 31) for n in range(10, 60))
    proposer.share = 0.0
    drafts = [speculator.draft(truth[:n], 1, table, 31) for n in range(60, 200)]
    assert sum(map(bool, drafts)) < 10


class Eager(Speculator):
    """Drafts whatever is proposed, as if rows were free."""

    def __init__(self, proposer: Proposer, length: int) -> None:
        super().__init__(proposer)
        self._eager, self._length = proposer, length

    def draft(self, tokens: list[int], n_rows: int, sizes: StepSizes, limit: int) -> list[int]:
        return self._eager.propose(tokens, min(limit, self._length)).tokens


def generated(
    path: Path, asked: GenerateRequest, make_speculator: Callable[[list[int]], Speculator] | None = None
) -> tuple[Record, Usage]:
    runner = RecordingRunner(EngineConfig(model_path=path, n_threads=1))
    usage = finish_of(run(Engine(runner, make_speculator=make_speculator), [asked])["r"]).usage
    runner.close()
    return runner.records[0], usage


@pytest.mark.model
@pytest.mark.parametrize("length", [3, LONGEST])
@pytest.mark.parametrize("params", [{"temperature": 0.0}, {"seed": 4, "temperature": 0.9, "repetition_penalty": 1.1}])
def test_the_bundled_models_text_is_the_same_with_drafts(params: dict[str, float], length: int) -> None:
    asked = request("r", "How many times does the letter b appear in albcabbbabab?", max_tokens=300, **params)
    plain, none = generated(bundled_model(), asked)
    drafted, usage = generated(bundled_model(), asked, lambda prompt: Eager(PromptLookup(), length))
    assert drafted.tokens[: len(plain.tokens)] == plain.tokens
    assert 0 < usage.accepted_tokens < usage.drafted_tokens
    assert usage.completion_tokens == none.completion_tokens
    # all that was drawn was written: rows behind a wrong guess are not drawn from
    assert len(drafted.tokens) == len(plain.tokens)


def test_with_k_quants_drafts_change_tokens_only_between_close_logits(tmp_path: Path) -> None:
    path = make_random_gguf("tiny-qwen2-256", tmp_path / "k.gguf", "Q4_K_M")
    asked = request("r", "one and two", max_tokens=60, temperature=0.0)
    plain, _ = generated(path, asked)

    def half_right(prompt: list[int]) -> Speculator:
        return Eager(Scripted([*prompt, *plain.tokens], 0.5), 7)

    drafted, usage = generated(path, asked, half_right)
    pairs = list(zip(plain.tokens, drafted.tokens, plain.margins, strict=False))
    n_same = next((i for i, (a, b, _) in enumerate(pairs) if a != b), len(pairs))
    assert usage.accepted_tokens < usage.drafted_tokens
    assert usage.accepted_tokens or n_same < 16, "what is proposed is right only as long as the two go one way"
    # behind the first difference the two go different ways
    assert next((margin for a, b, margin in pairs if a != b), 0.0) < 2 * K_ROUNDING
