"""Which addresses a download may touch, and where the token goes."""

from __future__ import annotations

import pytest
from loopback_hub import LoopbackHub, loopback_hub

from r1chat.serve.models.hub.client import Hub, may_fetch
from r1chat.serve.models.hub.ids import HubId

HUB = "https://huggingface.co"
MIRROR = "https://mirror.example:8443"
LOOPBACK = "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://huggingface.co/api/models/u/r", HUB),
        ("https://cdn-lfs-us-1.hf.co/repos/aa/bb?X-Amz-Signature=1", HUB),
        ("https://cas-bridge.xethub.hf.co/xet-bridge-us/1", HUB),
        ("https://cdn-lfs.huggingface.co/x", HUB),
        ("https://HF.co/x", HUB),
        ("https://huggingface.co:443/x", HUB),
        ("https://mirror.example:8443/u/r/resolve/main/f", MIRROR),
        ("https://cdn-lfs.hf.co/x", MIRROR),
        ("http://127.0.0.1:8123/u/r", LOOPBACK),
        ("http://localhost:8123/u/r", "http://localhost:8123"),
        ("http://[::1]:8123/u/r", "http://[::1]:8123"),
        ("https://cdn-lfs.hf.co/x", LOOPBACK),
        ("https://192.168.1.5/u/r", "https://192.168.1.5"),
    ],
)
def test_the_hub_its_cdn_and_the_endpoint_itself_may_be_asked(url: str, endpoint: str) -> None:
    assert may_fetch(url, endpoint)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://huggingface.co/x", HUB),
        ("https://huggingface.co:8443/x", HUB),
        ("https://nothuggingface.co/x", HUB),
        ("https://huggingface.co.example/x", HUB),
        ("https://huggingface.co@example.com/x", HUB),
        ("https://user:pw@huggingface.co/x", HUB),
        ("https://169.254.169.254/x", HUB),
        ("https://[fd00::1]/x", HUB),
        ("https://127.0.0.1/x", HUB),
        ("file:///etc/passwd", HUB),
        ("ftp://huggingface.co/x", HUB),
        ("//huggingface.co/x", HUB),
        ("https:///x", HUB),
        ("https://hf.co:notaport/x", HUB),
        ("", HUB),
        ("https://mirror.example/x", MIRROR),
        ("http://mirror.example:8443/x", MIRROR),
        ("https://cdn.mirror.example:8443/x", MIRROR),
        ("http://127.0.0.1:9999/x", LOOPBACK),
        ("https://127.0.0.1:8123/x", LOOPBACK),
        ("http://127.0.0.2:8123/x", LOOPBACK),
        ("http://192.168.1.5/x", "http://192.168.1.5"),
        ("http://mirror.example/x", "http://mirror.example"),
    ],
)
def test_nobody_else_may(url: str, endpoint: str) -> None:
    assert not may_fetch(url, endpoint)


def test_the_token_stays_with_the_endpoint_when_a_cdn_takes_over(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two loopback hubs stand for the hub and its CDN: the rule that would part them is lifted for this test."""
    monkeypatch.setattr("r1chat.serve.models.hub.client.may_fetch", lambda url, endpoint: True)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with loopback_hub() as cdn:
        hub.repos["u/r"] = cdn.repos["u/r"] = {"m-Q8_0.gguf": b"GGUF"}
        hub.redirects["u/r"] = f"{cdn.url}/u/r/resolve/{hub.commit}/m-Q8_0.gguf"
        with Hub() as client:
            wanted = HubId("u/r")
            listing = client.listing(wanted)
            with client.open(wanted, listing, listing.files[0], 1) as response:
                assert b"".join(response.iter_bytes()) == b"GUF"
        assert [ask.authorized for ask in hub.asks] == [True]
        assert [(ask.authorized, ask.start) for ask in cdn.asks] == [(False, 1)]
