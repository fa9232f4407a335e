"""A Hugging Face hub on a loopback port, with the faults that networks and servers have, and what it was asked."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BLOCK = 16 * 1024


@dataclass
class Ask:
    """A file asked for: from which byte on, and how many were sent."""

    file: str
    start: int
    sent: int = 0
    authorized: bool = False


@dataclass
class LoopbackHub:
    """`repos` by name, each a dict of files; `redirects` by repository. The rest are faults, none at first."""

    url: str = ""
    commit: str = COMMIT
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    claimed_size: dict[str, int] = field(default_factory=dict)
    claimed_digest: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    bytes_per_s: float | None = None
    cut_at: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    tells_length: bool = True
    extra_bytes: bytes = b""
    listing_body: bytes | None = None
    # Statuses for the next answers to a listing or a file, each with its headers.
    listing_faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    file_faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)

    def sent(self) -> int:
        """Bytes of files that went out in all."""
        return sum(ask.sent for ask in self.asks)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/models/"):
            self._listing(path.removeprefix("api/models/"))
        elif "/resolve/" in path:
            repo, _, rest = path.partition("/resolve/")
            self._file(repo, rest.partition("/")[2])
        else:
            self._send(404)

    def _listing(self, path: str) -> None:
        hub, (repo, _, revision) = self.hub, path.partition("/revision/")
        hub.listings.append(path)
        if hub.listing_faults:
            return self._send(*hub.listing_faults.pop(0))
        if repo not in hub.repos:
            return self._send(401, {"X-Error-Code": "RepoNotFound"})
        if revision not in ("", "main", hub.commit):
            return self._send(404, {"X-Error-Code": "RevisionNotFound"})
        siblings = [self._sibling(name, data) for name, data in hub.repos[repo].items()]
        told = json.dumps({"id": repo, "sha": hub.commit, "siblings": siblings}).encode()
        self._send(200, {}, told if hub.listing_body is None else hub.listing_body)

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        size = self.hub.claimed_size.get(name, len(data))
        if name.endswith((".gguf", ".safetensors")):
            digest = self.hub.claimed_digest.get(name) or hashlib.sha256(data).hexdigest()
            return {"rfilename": name, "size": size, "blobId": "0" * 40, "lfs": {"sha256": digest, "size": size}}
        return {"rfilename": name, "size": size, "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}

    def _file(self, repo: str, name: str) -> None:
        hub = self.hub
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        ask = Ask(name, start, authorized="Authorization" in self.headers)
        hub.asks.append(ask)
        data = hub.repos.get(repo, {}).get(name)
        if hub.file_faults:
            return self._send(*hub.file_faults.pop(0))
        if repo in hub.gated:
            return self._send(403, {"X-Error-Code": "GatedRepo"})
        if data is None:
            return self._send(404, {"X-Error-Code": "EntryNotFound"})
        if repo in hub.redirects:
            return self._send(302, {"Location": hub.redirects[repo]})
        self._stream(ask, data + hub.extra_bytes, start if hub.ranges else 0)

    def _stream(self, ask: Ask, data: bytes, start: int) -> None:
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.hub.tells_length:
            self.send_header("Content-Length", str(len(data) - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        cut = next((offset for offset in sorted(self.hub.cut_at) if offset > start), None)
        end = len(data) if cut is None else cut
        for offset in range(start, end, BLOCK):
            block = data[offset : min(offset + BLOCK, end)]
            ask.sent += len(block)  # before whoever gets it looks at this
            try:
                self.wfile.write(block)
            except OSError:
                ask.sent -= len(block)
                self.close_connection = True
                return
            if self.hub.bytes_per_s:
                time.sleep(len(block) / self.hub.bytes_per_s)
        if cut is not None:
            self.hub.cut_at.remove(cut)
            self.close_connection = True

    def _send(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed is what these tests are about."""


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    """A hub for as long as the block runs."""
    hub = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
