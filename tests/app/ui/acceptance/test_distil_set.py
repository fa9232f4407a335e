"""T18: a turn goes to the distil set through its gates, and distill reads what is exported. As in test_stars."""

from __future__ import annotations

from pathlib import Path

import pytest

from .. import test_stars
from ..person import Person
from ..test_stars import page, person  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timed


def test_t18_gates_refuse_and_the_loader_reads_what_is_left(person: Person, tmp_path: Path) -> None:  # noqa: F811
    test_stars.test_the_gates_refuse_what_is_unclosed_looped_or_unverified(person, tmp_path)
