"""`r1chat serve --upstream`: the whole command in front of another server, its page and API, and what it refuses."""

from __future__ import annotations

import signal

import httpx2
import pytest
from live_server import QUESTION, start
from served import served

from r1chat.app.cli import main


@pytest.mark.slow
def test_page_and_api_over_another_server_with_its_key_from_the_environment() -> None:
    with start({"tokens_per_s": 500}, api_key="inner") as behind:
        with served("serve", "--upstream", f"{behind.url}/v1", R1CHAT_UPSTREAM_KEY="inner") as front:
            url = front.url()
            reply = httpx2.post(f"{url}/v1/chat/completions", json={"messages": QUESTION}, timeout=30).json()
            page = httpx2.get(url)
            status = front.stop(signal.SIGINT)
    assert reply["choices"][0]["message"]["content"] == "The answer is \\boxed{9}."
    assert page.status_code == 200 and behind.url.removeprefix("http://") in page.text
    assert status == 130
    assert not any("inner" in line for line in front.lines)


@pytest.mark.parametrize("address", ["gpu1:8000", "http://me:secret@gpu1:8000", ",", ""])
def test_an_address_that_is_none_is_wrong_usage_in_one_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--upstream", address]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "secret" not in told


@pytest.mark.parametrize("besides", ["--model r1:7b", "--ctx 4096", "--memory 4G", "--engine transformers"])
def test_what_concerns_models_of_this_machine_is_refused_beside_upstreams(
    besides: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", "--upstream", "http://gpu1:8000", *besides.split()]) == 2
    assert "Use: r1chat serve --upstream http://gpu1:8000" in capsys.readouterr().err
