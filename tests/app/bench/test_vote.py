"""bench vote: the books are right, and a real vote on a real server fills them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from r1chat.app.bench.vote import Trial, _parts, majority, mcnemar, measure_votes, table, worth
from r1chat.app.cli import main
from r1chat.app.commands import bench_vote
from r1chat.distill.evaluate.accuracy import Sample
from r1chat.distill.problems import Problem
from r1chat.serve.client import ServerUnreachableError


def trial(i: int, right: bool, samples: list[bool], **fields: Any) -> Trial:
    problem = Problem("sums", f"problem {i}", "1", "", "")
    drawn = [Sample(problem, each, False, 50) for each in samples]
    values = {"answered": "1", "as_decided": True, "n_stopped": 2, "tokens": 150, "reasoning_tokens": 90}
    return Trial(problem, right, drawn, **{**values, "prompt_tokens": 20, "computed_tokens": 23, **fields})


def test_the_majority_is_the_commonest_and_among_equals_the_first() -> None:
    assert majority(["2", "1", "1", None]) == 1
    assert majority(["2", "1", "1", "2"]) == 2
    assert majority(["2", "0.5", r"\frac{1}{2}"]) == 0.5, "one answer in two spellings"
    assert majority([None, None]) is None


def test_the_parts_of_a_count_come_to_it() -> None:
    assert _parts(10, 4) == [2, 3, 2, 3]


def test_what_was_measured_before_a_request_failed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(args: Any, problems: Any, trials: list[Trial]) -> None:
        trials.append(trial(0, True, [True, False]))
        raise ServerUnreachableError("No answer from the server: it hung up")

    monkeypatch.setattr(bench_vote, "_measure", fails)
    assert main(["bench", "vote"]) == 1
    out, err = capsys.readouterr()
    assert "vote of 2" in out and err == "r1chat: No answer from the server: it hung up\n"


def test_the_exact_test_is_that_of_a_fair_coin() -> None:
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1
    assert mcnemar(5, 0) == mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(10, 2) == pytest.approx(2 * (1 + 12 + 66) / 4096)


def test_worth_is_what_the_trials_say() -> None:
    trials = [trial(0, True, [True, True, False, True]), trial(1, True, [False, True, True, False])]
    trials += [trial(2, False, [False] * 4), trial(3, False, [True, False, False, False], as_decided=False)]
    found = worth(trials)
    assert (found.n, found.n_thoughts) == (4, 4)
    assert found.one_sample.pass_at_1 == pytest.approx((3 + 2 + 0 + 1) / 16)
    assert found.vote.pass_at_1 == 0.5
    assert found.gain.mean == pytest.approx(0.5 - 6 / 16)
    assert (found.n_won, found.n_lost) == (1, 1)
    assert (found.tokens_of_votes, found.tokens_of_whole_samples) == (150, 200)
    assert (found.as_decided, found.stopped) == (0.75, 2)
    assert (found.prompt_tokens, found.computed_prompt_tokens) == (20, 23)
    assert "25% less" in table(found)


def test_a_gain_that_is_there_has_an_interval_above_zero_and_one_that_is_not_has_none() -> None:
    rng = random.Random(0)
    helps = [trial(i, rng.random() < 0.8, [rng.random() < 0.6 for _ in range(8)]) for i in range(400)]
    assert worth(helps).gain.low > 0
    idle = [trial(i, rng.random() < 0.6, [rng.random() < 0.6 for _ in range(8)]) for i in range(400)]
    assert worth(idle).gain.low < 0 < worth(idle).gain.high


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_said_in_one_line() -> None:
    problem = Problem("sums", "1 + 1", "2", "", "")
    with pytest.raises(ServerUnreachableError):
        await measure_votes("http://127.0.0.1:9", [problem] * 3, 4, 0.6, [], lambda done, total: None)


@pytest.mark.slow
@pytest.mark.model
def test_a_real_vote_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "vote", "--problems", "1", "--thoughts", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["n_thoughts"], len(found["trials"])) == (20, 4, 20)
    assert 0 < found["vote"]["mean_reasoning_tokens"] < found["vote"]["mean_tokens"]
    assert found["as_decided"] == 1, "stopping changes no answer"
    assert found["tokens_of_votes"] <= found["tokens_of_whole_samples"]
    assert found["computed_prompt_tokens"] < found["prompt_tokens"] + 4
