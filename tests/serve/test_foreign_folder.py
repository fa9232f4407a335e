"""A folder that somebody stands in may hold files called like Python's modules; none of them is run."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from live_server import QUESTION, start

from r1chat.serve.api.prompt.sandbox import is_bounded
from r1chat.serve.models.fit.machine import ask_llama_cpp

NAMES = ("jinja2", "selectors", "signal", "struct", "json", "platform", "numpy")


@pytest.fixture(autouse=True)
def _foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the folder's {name} was run')\n".replace("'s", " s"))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_template_is_tried_with_the_jinja_that_is_installed() -> None:
    assert is_bounded("{{ messages[0].content }}")


def test_llama_cpp_is_asked_with_pythons_own_modules() -> None:
    assert ask_llama_cpp().version


def test_the_engine_starts_with_pythons_own_modules() -> None:
    with start({"tokens_per_s": 1000}) as server:
        answer = httpx2.post(f"{server.url}/v1/chat/completions", json={"messages": QUESTION}, timeout=60)
    assert answer.status_code == 200
