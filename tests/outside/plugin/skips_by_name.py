"""pytest plugin for others' suites: skips by name, each with its reason, and leaves the rest as it is.

$SKIPS is a JSON file {name of a test, or the beginning of name[parameters]: reason}. With $ANY_TEXT set,
llama-server's tests do not compare what the model said. Runs in the suite's own environment.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def pytest_sessionstart() -> None:
    if os.environ.get("ANY_TEXT"):
        import utils  # type: ignore[import-not-found]  # the suite's own; its tests take match_regex from there

        utils.match_regex = lambda regex, text: True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skips: dict[str, str] = json.loads(Path(os.environ["SKIPS"]).read_text())
    used = set()
    for item in items:
        for name in skips:
            if item.name == name or item.name.startswith(name if "[" in name else f"{name}["):
                item.add_marker(pytest.mark.skip(reason=skips[name]))
                used.add(name)
    if unknown := sorted(skips.keys() - used):
        raise pytest.UsageError(f"the suite has no test to skip of these names: {', '.join(unknown)}")
