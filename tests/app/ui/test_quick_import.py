"""Gradio looks through type stubs whenever it is imported; a start of the page does without."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
before = list(sys.meta_path)
from r1chat.app.ui.quick_import import quick_import
with quick_import():
    from r1chat.app.ui.page import build_page
page = build_page("none")
print(json.dumps([sum(path.endswith(".pyi") for path in opened), len(page.blocks), sys.meta_path == before]))
"""


@pytest.mark.slow
def test_a_quick_import_opens_no_stub_and_the_page_is_whole() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    n_stubs, n_blocks, left_as_found = json.loads(done.stdout)
    assert n_stubs == 0
    assert n_blocks > 3 and left_as_found
