"""T17: a vote of five, with a majority, a tie and no answer, and Stop for all. The tests are those of test_many."""

from __future__ import annotations

import pytest

from .. import test_many
from ..conftest import Visit
from ..test_many import many, tab  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timed


def test_t17_the_majority_and_its_share_are_told(many: Visit) -> None:  # noqa: F811
    test_many.test_a_vote_is_asked_for_watched_and_counted(many)


def test_t17_a_tie_is_told(many: Visit) -> None:  # noqa: F811
    test_many.test_a_tie_is_told_as_one(many)


def test_t17_no_answer_is_told(many: Visit) -> None:  # noqa: F811
    test_many.test_silence_is_told_as_such(many)


def test_t17_stop_stops_all(many: Visit) -> None:  # noqa: F811
    test_many.test_eight_grow_within_little_room_and_stop_stops_all(many)
