"""Downloads from a hub on loopback that is slow and breaks off: whole in the end, and no byte asked for twice."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loopback_hub import COMMIT, LoopbackHub
from pulls import DATA, FILE, REPO, download, nothing_is_whole, part, refusal

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models.hub.downloads import Download, DownloadCancelledError, Snapshot
from r1chat.serve.models.hub.ids import HubId
from r1chat.serve.models.hub.part_file import PartFile
from r1chat.serve.models.removal import remove

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


def test_all_parts_of_a_split_model_arrive_and_the_first_is_named(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {f"Q8_0/m-Q8_0-{n:05d}-of-00003.gguf": b"GGUF %d" % n for n in (3, 1, 2)}
    found = download(HubId(REPO, "q8_0")).run()
    assert [path.read_bytes() for path in found.paths] == [b"GGUF 1", b"GGUF 2", b"GGUF 3"]


def test_small_files_are_proved_by_gits_digest(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {"config.json": b"{}", "model.safetensors": b"abc", "setup.py": b"evil()", "x.bin": b"pickle"}
    found = download(HubId(REPO, "safetensors")).run()
    assert sorted(path.name for path in found.snapshot.iterdir()) == ["config.json", "model.safetensors"]
    hub.repos[REPO]["config.json"] = b"[]"
    hub.commit = "f" * 40
    assert download(HubId(REPO, "safetensors")).run().paths[0].read_bytes() == b"[]"


def test_progress_counts_bytes_rate_and_time_left(hub: LoopbackHub) -> None:
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


def test_cut_off_at_ten_offsets_it_asks_for_the_rest_only(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    cuts = [1, 4095, 4096, 16384, 50_000, 100_000, 131_072, 200_001, len(DATA) - 4096, len(DATA) - 1]
    hub.cut_at = list(cuts)
    assert download().run().paths[0].read_bytes() == DATA
    assert [ask.start for ask in hub.asks] == [0, *cuts]
    assert hub.sent() == len(DATA)


def test_a_stopped_download_keeps_its_part_and_the_next_continues(hub: LoopbackHub) -> None:
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
    assert nothing_is_whole()
    hub.bytes_per_s = None
    assert download().run().paths[0].read_bytes() == DATA
    assert [ask.start for ask in hub.asks] == [0, kept]


def test_a_download_can_be_stopped_while_what_an_earlier_one_left_is_read(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    left = DATA[:-1]
    part().parent.mkdir(parents=True)
    part().write_bytes(left)
    stopped, blocks = download(), []

    class StopsAtTheFirst:
        def update(self, block: bytes) -> None:
            blocks.append(block)
            stopped.cancel()

    monkeypatch.setattr("r1chat.serve.models.hub.part_file._BLOCK", 1000)
    with monkeypatch.context() as during:
        during.setattr(PartFile, "_new_hash", lambda _: StopsAtTheFirst())
        with pytest.raises(DownloadCancelledError):
            stopped.run()
    assert (blocks, part().read_bytes()) == ([left[:1000]], left)
    assert download().run().paths[0].read_bytes() == DATA


def test_a_server_without_range_sends_all_of_it_anew(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.ranges = False
    hub.cut_at = [100_000]
    arriving = download()
    rates: list[float] = []
    monkeypatch.setattr(arriving, "_check_cancelled", lambda: rates.append(arriving.snapshot().rate or 0))
    assert arriving.run().paths[0].read_bytes() == DATA
    assert min(rates) >= 0, "what was thrown away does not run backwards"


def test_a_part_too_long_for_its_file_is_fetched_anew(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    part().parent.mkdir(parents=True)
    part().write_bytes(DATA + b"more")
    assert download().run().paths[0].read_bytes() == DATA


def test_a_part_of_long_ago_does_not_replace_a_file_that_another_tool_has_fetched_since(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    download().run().paths[0].unlink()  # as under a new commit
    part().write_bytes(DATA[:10])
    assert download().run().paths[0].read_bytes() == DATA
    assert not part().exists()


def test_a_whole_model_in_a_cache_that_others_write_is_named_without_writing(
    hub: LoopbackHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[REPO] = {FILE: DATA}
    found = download().run()

    def refuse(path: Path, text: str) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)
    assert download().run() == found
    hub.commit = "e" * 40
    (cache / f"models--user--repo-GGUF/snapshots/{hub.commit}").mkdir()
    (cache / f"models--user--repo-GGUF/snapshots/{hub.commit}/{FILE}").write_bytes(DATA)
    assert "Permission denied" in refusal()


def test_a_connection_that_never_carries_a_byte_is_given_up(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.file_faults = [(503, {})] * 9
    assert refusal() == (
        "The download broke off (the hub answered: status 503). What has arrived is kept; "
        "continue: r1chat pull user/repo-GGUF"
    )
    assert len(hub.asks) == 5


def test_two_downloads_of_one_model_fetch_it_once(hub: LoopbackHub) -> None:
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


def test_rm_leaves_a_download_under_way_alone(hub: LoopbackHub) -> None:
    hub.repos[REPO] = {FILE: DATA, "m-Q8_0.gguf": DATA[::-1]}
    download(HubId(REPO, "Q8_0")).run()
    hub.bytes_per_s = 4e5
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(download().run)
        while hub.sent() <= len(DATA):
            time.sleep(0.01)
        with pytest.raises(ModelNotFoundError, match=f"is being fetched. Once that has ended: r1chat rm {REPO}"):
            remove(REPO)
        assert remove(f"{REPO}:Q8_0") == (f"{REPO}:Q8_0", len(DATA))
        assert running.result().paths[0].read_bytes() == DATA


def test_a_part_that_somebody_deleted_is_no_model(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repos[REPO] = {FILE: DATA}
    hub.bytes_per_s = 1e5
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(refusal)
        while not part().exists():
            assert not running.done()
            time.sleep(0.01)
        part().unlink()
        assert running.result() == f"{FILE} was deleted while it arrived. Fetch it anew: r1chat pull {REPO}"
    assert nothing_is_whole()


def test_the_command_to_go_on_with_can_be_typed(cache: Path) -> None:
    assert Download(HubId(REPO, "Q8_0"), name="r1:7b:q8_0").name == "r1:7b:q8_0"
    assert Download(HubId(REPO), name=f"https://huggingface.co/{REPO}?a=1&b=2").name == REPO


# --- room ---


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


def test_a_disk_that_fills_up_meanwhile_keeps_the_part(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert nothing_is_whole()
    assert download().run().paths[0].read_bytes() == DATA
    assert hub.asks[-1].start == kept


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_said_at_once(hub: LoopbackHub, cache: Path) -> None:
    hub.repos[REPO] = {FILE: DATA}
    cache.mkdir(mode=0o500)
    assert refusal().endswith("Choose another: HF_HOME=/a/folder r1chat pull user/repo-GGUF")
    assert hub.asks == []
