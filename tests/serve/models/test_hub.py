"""Fetching from a hub: a small HTTP server on loopback speaks what huggingface_hub asks of the real one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models.hub import Variant, choose, variants

COMMIT = "0123456789abcdef0123456789abcdef01234567"


# --- which file ---


def labels(*names: str) -> dict[str, tuple[str, ...]]:
    return {variant.label: variant.files for variant in variants((name, 10) for name in names)}


def test_quantisations_are_read_from_every_common_naming() -> None:
    found = labels(
        "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf",
        "model.IQ2_XXS.gguf",
        "model-q8_0.gguf",
        "model-UD-Q3_K_XL.gguf",
        "model-bf16.gguf",
        "model-MXFP4_MOE.gguf",
        "README.md",
    )
    assert set(found) == {"Q4_K_M", "IQ2_XXS", "MXFP4_MOE", "UD-Q3_K_XL", "BF16", "Q8_0"}


def test_split_files_are_one_model_in_loading_order() -> None:
    parts = [f"Q4_K_M/big-Q4_K_M-{number:05d}-of-00003.gguf" for number in (3, 1, 2)]
    assert variants((part, 100) for part in parts) == [Variant("Q4_K_M", tuple(sorted(parts)), 300)]


def test_a_split_model_with_a_part_missing_is_none() -> None:
    """An interrupted download leaves such a model in the cache, and offline the cache is all there is."""
    assert list(labels("m-Q4_K_M-00001-of-00002.gguf", "m-Q8_0-00001-of-00001.gguf")) == ["Q8_0"]


def test_image_projectors_are_no_models() -> None:
    assert list(labels("mmproj-model-f16.gguf", "sub/mmproj-F16.gguf", "model-Q8_0.gguf")) == ["Q8_0"]


def test_two_models_of_one_quantisation_are_told_apart_by_name() -> None:
    assert list(labels("small-Q8_0.gguf", "large-Q8_0.gguf")) == ["large-Q8_0", "small-Q8_0"]


def test_without_a_wish_it_is_q4_k_m_or_the_only_one() -> None:
    two = variants([("m-Q4_K_M.gguf", 10), ("m-Q8_0.gguf", 20)])
    assert choose("u/r", two, None).label == "Q4_K_M"
    assert choose("u/r", two[1:], None).label == "Q8_0"
    assert choose("u/r", two, "q8_0").label == "Q8_0"


def test_a_missing_quantisation_lists_the_others_with_sizes() -> None:
    found = variants([("m-Q2_K.gguf", 5_000_000), ("m-Q8_0.gguf", 2_000_000_000)])
    expected = "u/r has no {}; it has Q2_K (5.0 MB), Q8_0 (2.0 GB). Name one: r1chat run u/r:Q2_K"
    for quant, named in ((None, "Q4_K_M"), ("Q5_K_S", "Q5_K_S")):
        with pytest.raises(ModelNotFoundError) as caught:
            choose("u/r", found, quant)
        assert str(caught.value) == expected.format(named)


# --- over the wire ---


@dataclass
class Hub:
    """The stand-in: repositories of files, and every request it saw."""

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    claimed_size: dict[str, int] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    stop: bool = False


def handler_for(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.seen.append(f"{self.command} {path}")
            if path.startswith("api/models/"):
                self._listing(path.removeprefix("api/models/"))
            elif "/resolve/" in path:
                repo, _, rest = path.partition("/resolve/")
                self._file(repo, rest.partition("/")[2])
            else:
                self._send(404, b"")

        def _listing(self, path: str) -> None:
            repo = path.partition("/revision/")[0]
            if repo not in hub.repos:
                return self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            siblings = [
                {"rfilename": name, "size": hub.claimed_size.get(name, len(data))}
                for name, data in hub.repos[repo].items()
            ]
            self._send(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())

        def _file(self, repo: str, name: str) -> None:
            if repo in hub.gated:
                return self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            data = hub.repos.get(repo, {}).get(name)
            if data is None:
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            etag = hashlib.sha256(data).hexdigest()
            first = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self._send(206 if first else 200, data[first:], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


# The hub's client reads its settings when it is imported, so every look-up has a process of its own.
LOOK_UP = """
import sys
from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models.catalog import resolve
try:
    entry = resolve(sys.argv[1], progress=False)
    print(entry.id, entry.owned_by, entry.path, sep="\\n")
except ModelNotFoundError as error:
    print("error", error, sep="\\n")
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "hf"


def look_up(name: str, url: str, home: Path, **extra: str) -> list[str]:
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **extra}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = inherited | settings
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP, name], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_is_downloaded_once_into_the_shared_cache(hub: Hub, home: Path) -> None:
    hub.repos["user/repo"] = {"m-Q4_K_M.gguf": b"GGUF four", "m-Q8_0.gguf": b"GGUF eight", "README.md": b"hi"}
    model, owner, path = look_up("user/repo", hub.url, home)
    assert (model, owner, Path(path).read_bytes()) == ("user/repo", "user", b"GGUF four")
    assert Path(path) == home / "hub/models--user--repo/snapshots" / COMMIT / "m-Q4_K_M.gguf"
    assert [line for line in hub.seen if "Q8_0" in line or "README" in line] == []

    hub.seen.clear()
    assert look_up("user/repo:q4_k_m", hub.url, home)[2] == path
    assert [line for line in hub.seen if line.startswith("GET user/")] == []


def test_all_parts_of_a_split_model_arrive_and_the_first_is_named(hub: Hub, home: Path) -> None:
    parts = {f"Q8_0/m-Q8_0-{number:05d}-of-00002.gguf": b"GGUF %d" % number for number in (1, 2)}
    hub.repos["user/repo"] = parts
    path = Path(look_up("user/repo:Q8_0", hub.url, home)[2])
    assert path.name == "m-Q8_0-00001-of-00002.gguf"
    assert sorted(part.read_bytes() for part in path.parent.iterdir()) == [b"GGUF 1", b"GGUF 2"]


def test_what_the_cache_holds_serves_without_network(hub: Hub, home: Path) -> None:
    hub.repos["user/repo"] = {"m-Q4_K_M.gguf": b"GGUF four", "m-Q8_0.gguf": b"GGUF eight"}
    path = look_up("user/repo", hub.url, home)[2]
    nobody_listens = "http://127.0.0.1:9"
    assert look_up("user/repo", nobody_listens, home)[2] == path
    assert look_up("user/repo", hub.url, home, HF_HUB_OFFLINE="1")[2] == path


def test_a_folder_that_another_tool_filled_serves_too(home: Path) -> None:
    snapshot = home / "hub/models--user--repo/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "m-Q8_0.gguf").write_bytes(b"GGUF")
    assert look_up("user/repo", "http://127.0.0.1:9", home)[2] == str(snapshot / "m-Q8_0.gguf")


def test_offline_with_nothing_cached_says_so_and_offers_the_demo(home: Path) -> None:
    kind, text = look_up("user/repo", "http://127.0.0.1:9", home)
    assert kind == "error"
    assert text.startswith("user/repo is not in the cache and the hub cannot be reached (")
    assert text.endswith("The bundled model needs no network: r1chat run demo")
    assert not home.exists() or not list(home.rglob("*.gguf"))


def test_an_unknown_repository_asks_to_check_the_spelling(hub: Hub, home: Path) -> None:
    assert look_up("user/nope:Q8_0", hub.url, home) == [
        "error",
        "The hub has no public model user/nope. Check the spelling; a private one needs: hf auth login",
    ]


def test_a_gated_repository_names_the_login(hub: Hub, home: Path) -> None:
    hub.repos["user/repo"] = {"m-Q8_0.gguf": b"GGUF"}
    hub.gated.add("user/repo")
    assert look_up("user/repo:Q8_0", hub.url, home) == [
        "error",
        "user/repo:Q8_0 is gated: accept its terms on its page, then: hf auth login",
    ]


def test_a_repository_without_gguf_says_what_to_look_for(hub: Hub, home: Path) -> None:
    hub.repos["user/repo"] = {"model.safetensors": b"..."}
    kind, text = look_up("user/repo", hub.url, home)
    assert kind == "error"
    assert text.startswith("user/repo holds no GGUF file")


def test_a_download_that_cannot_fit_is_refused_before_it_starts(hub: Hub, home: Path) -> None:
    hub.repos["user/repo"] = {"m-Q8_0.gguf": b"GGUF"}
    hub.claimed_size["m-Q8_0.gguf"] = 10**18
    kind, text = look_up("user/repo", hub.url, home)
    assert kind == "error"
    assert text.startswith("user/repo:Q8_0 needs 1000000000.0 GB and ")
    assert [line for line in hub.seen if "/resolve/" in line] == []
