"""Downloads from a hub on loopback that is slow, broken, wrong or hostile: whole and right in the end, or not there."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import constants
from loopback_hub import COMMIT, LoopbackHub

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models import hub_cache
from r1chat.serve.models.downloads import Download, DownloadCancelledError, Snapshot
from r1chat.serve.models.ids import HubId
from r1chat.serve.models.part_file import PartFile

REPO = "user/repo-GGUF"
FILE = "m-Q4_K_M.gguf"
DATA = bytes(range(256)) * 1024
WANTED = HubId(REPO)


def download(wanted: HubId = WANTED) -> Download:
    return Download(wanted, retry_s=0.01)


def refusal(wanted: HubId = WANTED) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        download(wanted).run()
    text = str(caught.value)
    assert "\n" not in text
    return text


def part() -> Path:
    return hub_cache.part_path(REPO, hashlib.sha256(DATA).hexdigest())


def nothing_is_whole(cache: Path) -> bool:
    return hub_cache.find(WANTED) is None and not list(cache.glob("models--*/blobs/*[!e]"))


# --- what goes well ---


def test_a_file_arrives_whole_in_the_shared_cache_and_is_not_fetched_twice(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA, "m-Q8_0.gguf": b"GGUF eight", "README.md": b"hi"}
    found = download().run()
    assert found.paths == (cache / f"models--user--repo-GGUF/snapshots/{COMMIT}/{FILE}",)
    assert found.paths[0].read_bytes() == DATA
    assert [(ask.file, ask.start) for ask in hub.asks] == [(FILE, 0)]
    assert not part().exists()
    again = download()
    assert again.run() == found
    assert hub.sent() == len(DATA)
    assert again.snapshot().state == "done"


def test_the_cache_is_as_the_hubs_own_client_makes_it(hub: LoopbackHub, cache: Path) -> None:
    """Other tools find our files, and we theirs."""
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    hub.repos[REPO] = {FILE: DATA}
    path = download().run().paths[0]
    assert try_to_load_from_cache(REPO, FILE, cache_dir=cache) == str(path)
    scanned = scan_cache_dir(cache)
    assert (scanned.size_on_disk, scanned.warnings) == (len(DATA), [])
    assert [repo.repo_id for repo in scanned.repos] == [REPO]


def test_all_parts_of_a_split_model_arrive_and_the_first_is_named(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {f"Q8_0/m-Q8_0-{n:05d}-of-00003.gguf": b"GGUF %d" % n for n in (3, 1, 2)}
    found = download(HubId(REPO, "q8_0")).run()
    assert [path.read_bytes() for path in found.paths] == [b"GGUF 1", b"GGUF 2", b"GGUF 3"]


def test_small_files_are_proved_by_gits_digest(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {"config.json": b"{}", "model.safetensors": b"abc", "setup.py": b"evil()", "x.bin": b"pickle"}
    found = download(HubId(REPO, "safetensors")).run()
    assert sorted(path.name for path in found.snapshot.iterdir()) == ["config.json", "model.safetensors"]
    hub.repos[REPO]["config.json"] = b"[]"
    hub.commit = "f" * 40
    assert download(HubId(REPO, "safetensors")).run().paths[0].read_bytes() == b"[]"


def test_progress_counts_bytes_rate_and_time_left(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.bytes_per_s = 4e5
    running = download()
    assert running.snapshot() == Snapshot("user/repo-GGUF", "asking", "", 0, None, None, None)
    thread = threading.Thread(target=running.run)
    thread.start()
    seen = []
    while thread.is_alive():
        seen.append(running.snapshot())
        time.sleep(0.02)
    middle = [now for now in seen if now.rate and 0 < now.bytes_done < len(DATA)]
    assert len(middle) > 2
    assert [now.bytes_done for now in seen] == sorted(now.bytes_done for now in seen)
    assert {now.bytes_total for now in middle} == {len(DATA)}
    last = middle[-1]
    assert last.rate is not None and last.eta_s is not None
    assert 2e4 < last.rate < 8e5
    assert last.eta_s == pytest.approx((len(DATA) - last.bytes_done) / last.rate)
    assert (running.snapshot().bytes_done, running.snapshot().state) == (len(DATA), "done")


# --- cut off, stopped, continued ---


def test_cut_off_at_ten_offsets_it_asks_for_the_rest_only(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    cuts = [1, 4095, 4096, 16384, 50_000, 100_000, 131_072, 200_001, len(DATA) - 4096, len(DATA) - 1]
    hub.cut_at = list(cuts)
    assert download().run().paths[0].read_bytes() == DATA
    assert [ask.start for ask in hub.asks] == [0, *cuts]
    assert hub.sent() == len(DATA)


def test_a_stopped_download_keeps_its_part_and_the_next_continues(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.bytes_per_s = 4e5
    running = download()

    def cancel_at_the_first_byte() -> None:
        while running.snapshot().bytes_done == 0:
            time.sleep(0.005)
        running.cancel()

    threading.Thread(target=cancel_at_the_first_byte).start()
    with pytest.raises(DownloadCancelledError, match="Continue: r1chat pull user/repo-GGUF"):
        running.run()
    assert running.snapshot().state == "cancelled"
    kept = part().stat().st_size
    assert 0 < kept < len(DATA)
    assert nothing_is_whole(cache)
    hub.bytes_per_s = None
    assert download().run().paths[0].read_bytes() == DATA
    assert [ask.start for ask in hub.asks] == [0, kept]


def test_a_server_without_range_sends_all_of_it_anew(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.ranges = False
    hub.cut_at = [100_000]
    assert download().run().paths[0].read_bytes() == DATA


def test_a_part_too_long_for_its_file_is_fetched_anew(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(DATA + b"more")
    assert download().run().paths[0].read_bytes() == DATA


def test_a_connection_that_never_carries_a_byte_is_given_up(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.file_faults = [(503, {})] * 9
    assert refusal() == (
        "The download broke off (the hub answered: status 503). What has arrived is kept; "
        "continue: r1chat pull user/repo-GGUF"
    )
    assert len(hub.asks) == 5


def test_two_downloads_of_one_model_fetch_it_once(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.bytes_per_s = 8e5
    first, second = download(), download()
    threads = [threading.Thread(target=one.run) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.snapshot().bytes_done for one in (first, second)] == [len(DATA)] * 2
    assert hub.sent() == len(DATA)


# --- never a wrong file for a right one ---


def test_a_wrong_checksum_is_thrown_away(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.claimed_digest[FILE] = "a" * 64
    assert refusal() == (
        f"{FILE} arrived damaged: its checksum is not the hub's. It was thrown away; "
        "fetch it anew: r1chat pull user/repo-GGUF"
    )
    assert nothing_is_whole(cache)
    assert not list(cache.glob("models--*/blobs/*"))


def test_a_part_that_was_damaged_meanwhile_is_noticed(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(b"\xff" * 1000)
    assert "arrived damaged" in refusal()
    assert nothing_is_whole(cache)
    assert download().run().paths[0].read_bytes() == DATA


def test_a_file_that_lost_its_end_in_the_cache_is_fetched_anew(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    path = download().run().paths[0]
    os.truncate(path, 1000)
    assert download().run().paths[0].read_bytes() == DATA


def test_a_wrong_answer_costs_nothing_of_what_has_arrived(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(DATA[:1000])
    hub.ranges = False
    hub.extra_bytes = b"x"
    assert "has the wrong size" in refusal()
    assert part().read_bytes() == DATA[:1000]


@pytest.mark.parametrize("claimed", [len(DATA) - 1000, len(DATA) + 1000])
def test_an_answer_of_the_wrong_size_is_refused_at_once(hub: LoopbackHub, cache: Path, claimed: int) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.claimed_size[FILE] = claimed
    assert f"has the wrong size ({len(DATA)} instead of {claimed})" in refusal()
    assert nothing_is_whole(cache)


def test_what_follows_a_file_is_never_written(hub: LoopbackHub, cache: Path) -> None:
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
def test_a_file_name_that_leads_outside_is_passed_over(hub: LoopbackHub, cache: Path, name: str) -> None:
    hub.repos[REPO] = {name: DATA}
    assert "holds no GGUF" in refusal()
    assert hub.asks == []


def test_no_room_is_said_before_the_first_byte(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO] = {FILE: DATA}
    usage = shutil.disk_usage(cache.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(len(DATA) * 1.09)))
    text = refusal()
    assert text.startswith("user/repo-GGUF needs 0.3 MB and ")
    assert text.endswith("HF_HOME=/some/folder r1chat pull user/repo-GGUF")
    assert hub.asks == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(len(DATA) * 1.11)))
    download().run()


def test_a_disk_that_fills_up_meanwhile_keeps_the_part(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program takes the room that was there at the start."""
    hub.repos[REPO] = {FILE: DATA}
    write = PartFile.write

    def until_full(self: PartFile, data: bytes) -> None:
        if self.size > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "write", until_full)
        assert refusal() == (
            "The disk is full. What has arrived is kept; make room, then continue: r1chat pull user/repo-GGUF"
        )
    kept = part().stat().st_size
    assert kept > 100_000
    assert nothing_is_whole(cache)
    assert download().run().paths[0].read_bytes() == DATA
    assert hub.asks[-1].start == kept


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_said_at_once(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    cache.mkdir(mode=0o500)
    assert refusal().endswith("Choose another: HF_HOME=/a/folder r1chat pull user/repo-GGUF")
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
def test_a_redirect_elsewhere_is_refused(hub: LoopbackHub, cache: Path, target: str) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.redirects[REPO] = target
    assert "which is not its own. Nothing was fetched." in refusal()
    assert len(hub.asks) == 1
    assert nothing_is_whole(cache)


def test_a_redirect_on_the_hub_itself_is_followed(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.repos["user/moved"] = {FILE: DATA}
    hub.redirects[REPO] = f"/user/moved/resolve/{COMMIT}/{FILE}"
    assert download().run().paths[0].read_bytes() == DATA


def test_a_redirect_in_circles_ends(hub: LoopbackHub, cache: Path) -> None:
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
    hub: LoopbackHub, cache: Path, status: int, headers: dict[str, str], text: str
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.file_faults = [(status, headers)]
    assert refusal().startswith(text)
    hub.listing_faults = [(status, headers)]
    assert refusal().startswith(text)


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "0"}), (500, {}), (503, {})])
def test_what_passes_by_itself_is_waited_for(
    hub: LoopbackHub, cache: Path, status: int, headers: dict[str, str]
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.listing_faults = [(status, headers)]
    hub.file_faults = [(status, headers)] * 2
    assert download().run().paths[0].read_bytes() == DATA


def test_an_unknown_revision_says_so(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    assert refusal(HubId(REPO, None, "v9")).startswith("user/repo-GGUF has no revision v9.")


def test_without_network_it_fails_at_once_and_offers_the_demo(cache: Path) -> None:
    start = time.monotonic()
    text = refusal()
    assert text.startswith("user/repo-GGUF is not in the cache and the hub cannot be reached (")
    assert text.endswith("The bundled model needs no network: r1chat run demo")
    assert time.monotonic() - start < 2


def test_without_network_a_pull_of_what_is_here_says_that_it_is(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    download().run()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal() == (
        "The hub cannot be reached (HF_HUB_OFFLINE is set) to look for a newer user/repo-GGUF. "
        "The one that is here runs: r1chat run user/repo-GGUF"
    )


def test_offline_nothing_is_asked(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "(HF_HUB_OFFLINE is set)" in refusal()
    assert hub.listings == []


@pytest.mark.parametrize("body", ["[]", "{}", '{"sha": "x", "siblings": []}', "<html>", '{"sha": 1}', '"x"', "\xff"])
def test_an_answer_that_is_no_hubs_says_so(hub: LoopbackHub, cache: Path, body: str) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.listing_body = body.encode("latin-1")
    assert refusal().startswith(f"{hub.url} does not answer as a hub does. Check: HF_ENDPOINT")


def test_the_token_goes_to_the_hub(hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.repos[REPO] = {FILE: DATA}
    download().run()
    assert [ask.authorized for ask in hub.asks] == [True]
