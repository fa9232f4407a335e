"""A hub that lies, leads elsewhere or refuses: one line that helps, and never a wrong file for a right one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from huggingface_hub import constants
from loopback_hub import COMMIT, LoopbackHub
from pulls import DATA, FILE, REPO, download, nothing_is_whole, part, refusal

from r1chat.serve.models.hub.ids import HubId

# --- never a wrong file for a right one ---


def test_a_wrong_checksum_is_thrown_away(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.claimed_digest[FILE] = "a" * 64
    assert refusal() == (
        f"{FILE} arrived damaged: its checksum is not the hub's. It was thrown away; "
        "fetch it anew: r1chat pull user/repo-GGUF"
    )
    assert nothing_is_whole()
    assert not list(cache.glob("models--*/blobs/*"))


def test_a_part_that_was_damaged_meanwhile_is_noticed(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(b"\xff" * 1000)
    assert "arrived damaged" in refusal()
    assert nothing_is_whole()
    assert download().run().paths[0].read_bytes() == DATA


def test_a_file_that_lost_its_end_in_the_cache_is_fetched_anew(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    path = download().run().paths[0]
    os.truncate(path, 1000)
    assert download().run().paths[0].read_bytes() == DATA


def test_a_wrong_answer_costs_nothing_of_what_has_arrived(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(DATA[:1000])
    hub.ranges = False
    hub.extra_bytes = b"x"
    assert "has the wrong size" in refusal()
    assert part().read_bytes() == DATA[:1000]


@pytest.mark.parametrize("claimed", [len(DATA) - 1000, len(DATA) + 1000])
def test_an_answer_of_the_wrong_size_is_refused_at_once(hub: LoopbackHub, claimed: int) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.claimed_size[FILE] = claimed
    assert f"has the wrong size ({len(DATA)} instead of {claimed})" in refusal()
    assert nothing_is_whole()


def test_what_follows_a_file_is_never_written(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(DATA[:1000])
    hub.extra_bytes = b"x" * 10_000
    assert "has the wrong size" in refusal()
    assert part().read_bytes() == DATA[:1000]


@pytest.mark.parametrize(
    "name",
    [
        "../../x-Q4_K_M.gguf", "/x-Q4_K_M.gguf", "a/../x-Q4_K_M.gguf", "a\\..\\x-Q4_K_M.gguf", "a//x-Q4_K_M.gguf",
        "a\n/../../../x-Q4_K_M.gguf", "./x-Q4_K_M.gguf", "C:/x-Q4_K_M.gguf", "a\0/x-Q4_K_M.gguf", "a" * 300 + ".gguf",
    ],
)  # fmt: skip
def test_a_file_name_that_leads_outside_is_passed_over(hub: LoopbackHub, name: str) -> None:
    hub.repos[REPO] = {name: DATA}
    assert "holds no GGUF" in refusal()
    assert hub.asks == []


# --- only from the hub ---


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/x",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "http://localhost:8000/x",
        "https://10.0.0.1/x",
        "https://huggingface.co.attacker.invalid/x",
        "http://huggingface.co/x",
        "ftp://huggingface.co/x",
        "//[::1]/x",
        "https://hf.co@attacker.invalid/x",
        "http://[bad",
    ],
)
def test_a_redirect_elsewhere_is_refused(hub: LoopbackHub, target: str) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.redirects[REPO] = target
    assert "which is not its own. Nothing was fetched." in refusal()
    assert len(hub.asks) == 1
    assert nothing_is_whole()


def test_a_redirect_on_the_hub_itself_is_followed(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.repos["user/moved"] = {FILE: DATA}
    hub.redirects[REPO] = f"/user/moved/resolve/{COMMIT}/{FILE}"
    assert download().run().paths[0].read_bytes() == DATA


def test_a_redirect_in_circles_ends(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.redirects[REPO] = f"/{REPO}/resolve/{COMMIT}/{FILE}"
    assert "round in circles" in refusal()
    assert len(hub.asks) == 6


@pytest.mark.parametrize("endpoint", ["http://10.1.2.3", "http://huggingface.co", "file:///srv/hub", "nonsense"])
def test_an_endpoint_without_https_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert refusal().startswith(f"HF_ENDPOINT is {endpoint!r}, and models come over https only.")


# --- refusals ---


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "The hub has no public model user/repo-GGUF. Check the spelling"),
        (401, {}, "The hub has no public model user/repo-GGUF. Check the spelling; a private one needs: hf auth login"),
        (403, {"X-Error-Code": "GatedRepo"}, "user/repo-GGUF is gated: accept its terms on https://huggingface.co/"),
        (403, {}, "The hub does not let this token read user/repo-GGUF. Use one that may: hf auth login"),
        (404, {"X-Error-Code": "EntryNotFound"}, "The hub has no public model user/repo-GGUF."),
        (418, {}, "The hub did not deliver user/repo-GGUF (status 418). Try again: r1chat pull user/repo-GGUF"),
    ],
)
def test_a_refusal_is_one_line_with_what_to_do(
    hub: LoopbackHub, status: int, headers: dict[str, str], text: str
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.file_faults = [(status, headers)]
    assert refusal().startswith(text)
    hub.listing_faults = [(status, headers)]
    assert refusal().startswith(text)


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "0"}), (500, {}), (503, {"Retry-After": "²"})])
def test_what_passes_by_itself_is_waited_for(hub: LoopbackHub, status: int, headers: dict[str, str]) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.listing_faults = [(status, headers)]
    hub.file_faults = [(status, headers)] * 2
    assert download().run().paths[0].read_bytes() == DATA


def test_an_unknown_revision_says_so(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    assert refusal(HubId(REPO, None, "v9")).startswith("user/repo-GGUF has no revision v9.")


def test_without_network_it_fails_at_once_and_offers_the_demo(cache: Path) -> None:
    start = time.monotonic()
    text = refusal()
    assert text.startswith("user/repo-GGUF is not in the cache and the hub cannot be reached (")
    assert text.endswith("The bundled model needs no network: r1chat run demo")
    assert time.monotonic() - start < 10


def test_without_network_a_pull_of_what_is_here_says_that_it_is(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    download().run()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal() == (
        "The hub cannot be reached (HF_HUB_OFFLINE is set) to look for a newer user/repo-GGUF. "
        "The one that is here runs: r1chat run user/repo-GGUF"
    )


def test_offline_nothing_is_asked(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "(HF_HUB_OFFLINE is set)" in refusal()
    assert hub.listings == []


@pytest.mark.parametrize("body", ["[]", "{}", '{"sha": "x", "siblings": []}', "<html>", '{"sha": 1}', '"x"', "\xff"])
def test_an_answer_that_is_no_hubs_says_so(hub: LoopbackHub, body: str) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.listing_body = body.encode("latin-1")
    assert refusal().startswith(f"{hub.url} does not answer as a hub does. Check: HF_ENDPOINT")


def test_the_token_goes_to_the_hub(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.repos[REPO] = {FILE: DATA}
    download().run()
    assert [ask.authorized for ask in hub.asks] == [True]
