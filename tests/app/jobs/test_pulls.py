"""Downloads as jobs of the server: they go on alone, a few at once, and a server that ends loses nothing of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from loopback_hub import LoopbackHub, loopback_hub

from r1chat.app.jobs.pulls import Pull, Pulls
from r1chat.serve.errors import InvalidRequestError, NotFoundError, QueueFullError
from r1chat.serve.models.hub import cache
from r1chat.serve.models.hub.ids import HubId

DATA = bytes(range(256)) * 4096
REPOS = [f"user/m{n}-GGUF" for n in range(3)]
SLOW = 2e5  # some seconds for one of the models


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """Three models of a megabyte, and an empty cache."""
    with loopback_hub() as hub:
        hub.repos = {repo: {"m-Q4_K_M.gguf": DATA + repo.encode()} for repo in REPOS}
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield hub


@pytest.fixture
def start(tmp_path: Path, hub: LoopbackHub) -> Iterator[Callable[[], Pulls]]:
    """What a server does when it starts; all are closed in the end."""
    made: list[Pulls] = []

    def start() -> Pulls:
        made.append(Pulls(tmp_path / "data" / "pulls.json", retry_s=0.01))
        return made[-1]

    yield start
    for pulls in made:
        pulls.close()


def wait(pulls: Pulls, right: Callable[[Pull], bool], model: str = REPOS[0], owner: str = "") -> Pull:
    """The download of `model`, once it is `right`."""
    deadline = time.monotonic() + 20
    while True:
        pull = next(one for one in pulls.of(owner) if one.model == model)
        if right(pull):
            return pull
        assert time.monotonic() < deadline, pull
        time.sleep(0.01)


def test_a_download_ends_with_the_model_here(start: Callable[[], Pulls]) -> None:
    pulls = start()
    begun = pulls.begin("", REPOS[0])
    assert begun.live
    done = wait(pulls, lambda pull: not pull.live)
    assert (done.state, done.error, done.bytes_done) == ("done", None, done.bytes_total)
    assert cache.find(HubId(REPOS[0])) is not None


def test_stopped_it_keeps_what_arrived_and_goes_on_there(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    pulls = start()
    begun = pulls.begin("", REPOS[0])
    wait(pulls, lambda pull: pull.bytes_done > 200_000)
    pulls.stop("", begun.id)
    stopped = wait(pulls, lambda pull: not pull.live)
    assert (stopped.state, stopped.error) == ("stopped", None)
    hub.bytes_per_s = None
    pulls.go_on("", begun.id)
    assert wait(pulls, lambda pull: not pull.live).state == "done"
    assert hub.asks[-1].start == stopped.bytes_done


def test_a_server_that_ends_leaves_its_downloads_to_the_next(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    first = start()
    first.begin("", REPOS[0])
    wait(first, lambda pull: pull.bytes_done > 200_000)
    first.close()
    second = start()
    (left,) = second.of("")
    assert (left.state, left.live, left.bytes_total) == ("interrupted", False, len(DATA) + len(REPOS[0]))
    assert not hub.asks[1:], "nobody asked for it to go on"
    hub.bytes_per_s = None
    second.go_on("", left.id)
    wait(second, lambda pull: pull.state == "done")
    assert hub.asks[-1].start == left.bytes_done
    assert start().of("") == []


def test_two_servers_on_one_folder_keep_each_others_downloads(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    one, other = start(), start()
    one.begin("", REPOS[0])
    other.begin("", REPOS[1])
    gone = other.begin("", REPOS[2])
    other.stop("", gone.id)
    wait(other, lambda pull: not pull.live, REPOS[2])
    other.forget("", gone.id)
    wait(one, lambda pull: pull.bytes_done > 0)
    one.close()
    other.close()
    assert sorted(pull.model for pull in start().of("")) == sorted(REPOS[:2])


def test_two_at_once_and_the_third_waits_its_turn(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    pulls = start()
    for repo in REPOS:
        pulls.begin("", repo)
    wait(pulls, lambda pull: pull.state == "fetching", REPOS[1])
    assert wait(pulls, lambda pull: True, REPOS[2]).state == "queued"
    pulls.stop("", pulls.of("")[0].id)
    wait(pulls, lambda pull: pull.state == "fetching", REPOS[2])


def test_begun_twice_it_is_one_download(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    pulls = start()
    assert pulls.begin("", REPOS[0]).id == pulls.begin("", REPOS[0]).id
    assert len(pulls.of("")) == 1


def test_a_full_disk_is_told_before_a_byte_is_asked_for(
    start: Callable[[], Pulls], hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    pulls = start()
    pulls.begin("", REPOS[0])
    failed = wait(pulls, lambda pull: not pull.live)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "needs 1.2 MB" in failed.error and "0.0 MB free" in failed.error
    assert failed.error.endswith(f"r1chat pull {REPOS[0]}")
    assert hub.asks == []


def test_nobody_sees_or_stops_the_downloads_of_another(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    pulls = start()
    mine = pulls.begin("me", REPOS[0])
    assert pulls.of("you") == []
    for act in (pulls.stop, pulls.go_on, pulls.forget):
        with pytest.raises(NotFoundError):
            act("you", mine.id)
    assert wait(pulls, lambda pull: True, owner="me").live


def test_forgotten_it_leaves_nothing_on_the_disk(start: Callable[[], Pulls], hub: LoopbackHub) -> None:
    hub.bytes_per_s = SLOW
    pulls = start()
    begun = pulls.begin("", REPOS[0])
    wait(pulls, lambda pull: pull.bytes_done > 100_000)
    with pytest.raises(InvalidRequestError, match="Stop it first"):
        pulls.forget("", begun.id)
    pulls.stop("", begun.id)
    stopped = wait(pulls, lambda pull: not pull.live)
    assert pulls.forget("", begun.id) == stopped.bytes_done
    assert not cache.has_parts(REPOS[0])
    assert start().of("") == []


def test_what_is_no_model_of_the_hub_is_refused(start: Callable[[], Pulls]) -> None:
    for name in ("", "demo", "../../etc/passwd", "file:///etc/passwd", "http://evil.example/a/b"):
        with pytest.raises(InvalidRequestError, match="Try: r1chat pull"):
            start().begin("", name)


def test_downloads_without_end_are_refused(start: Callable[[], Pulls]) -> None:
    pulls = start()
    for n in range(20):
        pulls.begin("", f"user/m0-GGUF:q{n}")
    with pytest.raises(QueueFullError):
        pulls.begin("", "user/one-more")


@pytest.mark.parametrize("note", [b'[{"id": ', b'[{"id": "\xff"}]'])
def test_a_note_that_cannot_be_read_costs_no_start(start: Callable[[], Pulls], tmp_path: Path, note: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pulls.json").write_bytes(note)
    pulls = start()
    assert pulls.of("") == []
    pulls.begin("", REPOS[0])
    assert wait(pulls, lambda pull: not pull.live).state == "done"


def test_what_arrived_is_what_the_hub_has(start: Callable[[], Pulls]) -> None:
    pulls = start()
    pulls.begin("", REPOS[1])
    wait(pulls, lambda pull: not pull.live, REPOS[1])
    found = cache.find(HubId(REPOS[1]))
    assert found is not None
    right = hashlib.sha256(DATA + REPOS[1].encode()).hexdigest()
    assert hashlib.sha256(found.paths[0].read_bytes()).hexdigest() == right
