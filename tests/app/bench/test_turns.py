"""Scenarios of chats that go on, on a model of seconds: what they count is exact, so it is checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio.from_thread
import pytest
from anyio.from_thread import BlockingPortal

from r1chat.app.bench import turns
from r1chat.app.bench.load import end_bans
from r1chat.app.bench.own_server import own_server
from r1chat.app.bench.scenario import Trial

pytestmark = pytest.mark.slow

# the tags and the newline around a follow-up, of which the first is known before the question comes
FRAME = 3


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with anyio.from_thread.start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="module")
def trial(portal: BlockingPortal, noise_model: Path) -> Iterator[Trial]:
    """On one server for all of them: each has words of its own."""
    with portal.wrap_async_context_manager(own_server(noise_model, end_bans(noise_model))) as server:
        yield Trial(server.target, noise_model, 1, 0)


def test_second_turn_computes_its_question_alone(portal: BlockingPortal, trial: Trial) -> None:
    values = portal.call(turns._second_turn, trial, 1.5)
    assert values["computed"] == turns._FOLLOW_UP + FRAME


def test_chats_on_one_document_compute_it_once(portal: BlockingPortal, trial: Trial) -> None:
    n_chats = 24
    values = portal.call(turns._shared, trial, n_chats)
    assert values["computed"] == values["computed by /metrics"]
    # the document, and for each chat its question with frame and seam
    assert 2000 < values["computed"] < 2000 + n_chats * (turns._QUESTION + FRAME + 2)


def test_return_to_a_chat_that_had_to_leave_the_cache_computes_its_question_alone(
    portal: BlockingPortal, trial: Trial
) -> None:
    n_chats, n_words, n_cells = 8, 700, 4096  # five of them have room
    values = portal.call(turns._return, trial, n_chats, n_words, n_cells)
    assert values["most computed"] == turns._FOLLOW_UP + FRAME
    assert values["restores"] > 0
