"""T27 and T28: a download outlives page and server, and without a network what is here runs. As in test_shelf.

One after the other: the second runs what the first has fetched.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser
from served import Served

from .. import test_shelf
from ..test_shelf import House, Tab, first, house, second, tab  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timed


def test_t27_a_download_that_was_killed_at_forty_percent_goes_on(
    first: Served,  # noqa: F811
    house: House,  # noqa: F811
    browser: Browser,
    request: pytest.FixtureRequest,
) -> None:
    test_shelf.test_a_download_survives_reload_and_kill_and_goes_on_at_its_byte(first, house, browser, request)


def test_t27_a_full_disk_is_told_before_it_starts(tab: Tab, house: House) -> None:  # noqa: F811
    test_shelf.test_a_disk_that_is_too_small_is_told_before_it_starts(tab, house)


def test_t28_offline_what_is_here_runs_and_the_rest_says_why_not(
    second: Served,  # noqa: F811
    tab: Tab,  # noqa: F811
    house: House,  # noqa: F811
    browser: Browser,
) -> None:
    test_shelf.test_offline_what_is_here_runs_and_the_rest_says_why_not(second, tab, house, browser)
