"""What an upstream's refusal comes to, and what people may type as its address."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from r1chat.serve.errors import ContextLengthError, InvalidRequestError, NotSupportedError, R1ChatError, UpstreamError
from r1chat.serve.upstream.addresses import upstream_urls
from r1chat.serve.upstream.endpoint import MAX_BODY_BYTES, Endpoint
from r1chat.serve.upstream.failures import MAX_BUSY_S, Failure, error_of, refusal, seconds


@pytest.mark.parametrize(
    ("message", "sizes"),
    [
        ("request (12006 tokens) exceeds the available context size (4096 tokens), try increasing it", (12006, 4096)),
        (
            "You passed 12289 input tokens and requested 4096 output tokens. However, the model's context length is "
            "only 8192 tokens, resulting in a maximum input length of 4096 tokens.",
            (12289, 8192),
        ),
        (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130021 tokens.",
            (130021, 128000),
        ),
        # only max_tokens is too large, and the upstream says so best itself
        (
            "This model's maximum context length is 4096 tokens. However, you requested 9000 output tokens and your "
            "prompt contains at least 20 input tokens, for a total of at least 9020 tokens.",
            None,
        ),
        ("Something else is wrong with 5 tokens.", None),
    ],
)
def test_both_sizes_are_read_from_what_is_said_of_a_prompt_too_long(
    message: str, sizes: tuple[int, int] | None
) -> None:
    told = refusal("gpu1:8000", 400, {"message": message}, None).error
    if sizes is None:
        assert type(told) is InvalidRequestError and message in str(told)
    else:
        assert isinstance(told, ContextLengthError) and (told.prompt_tokens, told.n_ctx) == sizes


@pytest.mark.parametrize(
    ("status", "kind", "moves"),
    [
        (401, UpstreamError, True),
        (403, UpstreamError, True),
        (302, UpstreamError, True),
        (500, UpstreamError, True),
        (501, NotSupportedError, False),
        (405, NotSupportedError, False),
        (413, InvalidRequestError, False),
        (422, InvalidRequestError, False),
    ],
)
def test_others_are_asked_only_where_they_may_do_better(status: int, kind: type[R1ChatError], moves: bool) -> None:
    failure = refusal("gpu1:8000", status, {"message": "no"}, None)
    assert type(failure.error) is kind and failure.moves is moves and "gpu1:8000" in str(failure.error)


def test_what_is_said_of_a_wrong_key_stays_here() -> None:
    assert "sk-abc" not in str(refusal("a:1", 401, {"message": "Incorrect API key provided: sk-abc"}, None).error)


def test_one_that_says_that_trying_again_is_of_no_use_is_not_waited_for() -> None:
    failure = refusal("a:1", 503, {"message": "it would take more memory"}, "1", retry=False)
    assert failure.moves and failure.broke and not failure.busy_s


@pytest.mark.parametrize(
    ("told", "expected"),
    [("3", 3), ("0.5", 0.5), (None, 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("-5", 0), ("1e9", MAX_BUSY_S)],
)
def test_retry_after_is_bounded_whatever_it_says(told: str | None, expected: float) -> None:
    assert seconds(told) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"no"', b"\xff", b'{"error": "no"}', b'{"error": null}'])
def test_no_body_is_too_odd_to_be_an_error(body: bytes) -> None:
    assert refusal("a:1", 400, error_of(body), None).error


def test_addresses_lose_their_v1_and_their_doubles() -> None:
    assert upstream_urls("http://a:1/v1, https://b/x/,http://a:1") == ["http://a:1", "https://b/x"]


@pytest.mark.parametrize(
    "text", ["", ",", "gpu1:8000", "ftp://a", "http://", "http://a/?x=1", "http://user:secret@a", "file:///etc/passwd"]
)
def test_what_is_no_address_is_refused_without_showing_a_password(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        upstream_urls(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["secret\r", "secret\n", "sec ret", "secrét"])
def test_a_key_that_no_header_can_hold_is_refused_at_once_and_not_shown(key: str) -> None:
    with pytest.raises(InvalidRequestError, match="R1CHAT_UPSTREAM_KEY") as caught:
        Endpoint("http://127.0.0.1:1", key)
    assert "sec" not in str(caught.value)


async def answered(body: bytes) -> tuple[Failure, bool]:
    """What comes of asking an upstream that is up and answers so."""
    endpoint = Endpoint("http://upstream")
    await endpoint.close()
    endpoint._http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))
    endpoint.is_up = True
    async with endpoint._http:
        with pytest.raises(Failure) as told:
            await endpoint.ask("POST", "/tokenize", {"content": "much"})
    endpoint.note(told.value)
    return told.value, endpoint.is_up


@pytest.mark.parametrize("body", [b"x" * (MAX_BODY_BYTES + 1), b"[1, 2]"])
def test_an_answer_that_cannot_be_read_takes_no_upstream_out_of_service(body: bytes) -> None:
    failure, is_up = asyncio.run(answered(body))
    assert failure.moves and is_up
    assert "no JSON object, or too large" in str(failure.error)
