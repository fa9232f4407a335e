"""Scenarios of chats that go on, on a model of seconds: what they count is exact, so it is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1chat.app.bench import turns
from r1chat.app.bench.load import end_bans
from r1chat.app.bench.own_server import own_server
from r1chat.app.bench.scenario import Scenario, Trial, Values
from r1chat.serve.models.shapes import make_random_gguf

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

# the tags and the newline around a follow-up, of which the first is known before the question comes
FRAME = 3


def scenario(name: str) -> Scenario:
    return next(scenario for scenario in turns.SCENARIOS if scenario.name == name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_gguf("tiny-qwen2", tmp_path_factory.mktemp("turns") / "noise.gguf")


async def measured(name: str, model: Path) -> Values:
    async with own_server(model, end_bans(model)) as server:
        return await scenario(name).measure(Trial(server.target, model, 1, 0))


async def test_second_turn_computes_its_question_alone(model: Path) -> None:
    assert (await measured("turn-pause", model))["computed"] == turns._FOLLOW_UP + FRAME


async def test_chats_on_one_document_compute_it_once(model: Path) -> None:
    values = await measured("shared", model)
    assert values["computed"] == values["computed by /metrics"]
    # the document, and for each chat its question with frame and seam
    assert 2000 < values["computed"] < 2000 + 64 * (turns._QUESTION + FRAME + 2)


async def test_return_to_a_chat_that_had_to_leave_the_cache_computes_its_question_alone(model: Path) -> None:
    values = await measured("return", model)
    assert values["most computed"] == turns._FOLLOW_UP + FRAME
    assert values["restores"] > 0
