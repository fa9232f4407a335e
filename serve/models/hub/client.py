"""Talks to the Hugging Face hub: what a repository holds, and a file's bytes from any offset.

Every hop of every request passes `may_fetch`: the hub's own domains over https, or the address that
HF_ENDPOINT names, and nothing else. Writes no file. Blocking; one Hub per thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from ...errors import ModelNotFoundError, R1ChatError
from .ids import HubId

if TYPE_CHECKING:
    import httpx2

HUB_DOMAINS = ("huggingface.co", "hf.co")
MAX_REDIRECTS = 5
TIMEOUT_S = 10.0
_FILE_PART = re.compile(r"(?!\.{1,2}$)[^\x00-\x1f\x7f/\\:]{1,255}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class TransferError(R1ChatError):
    """The hub broke off or was not to be had: worth another try, after `after_s` seconds where it says so.

    `unreachable` where nobody answered at all.
    """

    def __init__(self, message: str, *, after_s: float | None = None, unreachable: bool = False) -> None:
        super().__init__(message)
        self.after_s = after_s
        self.unreachable = unreachable


@dataclass(frozen=True)
class HubFile:
    """One file at one commit. `digest` is the SHA-256 of a large file, or git's SHA-1 of a small one."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """All files of a repository at one commit."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]


def may_fetch(url: str, endpoint: str) -> bool:
    """Whether a byte may be asked of `url`: from `endpoint`'s own origin, or a domain of the hub over https.

    A name that merely resolves to a private address gets no further: it has no certificate for the hub's domains.
    """
    try:
        target, home = urlsplit(url), urlsplit(endpoint)
        if target.username or target.password or not target.hostname:
            return False
        if (target.scheme, target.hostname, _port(target)) == (home.scheme, home.hostname, _port(home)):
            return target.scheme == "https" or _is_loopback(target.hostname)
    except ValueError:
        return False
    at_hub = any(target.hostname == name or target.hostname.endswith(f".{name}") for name in HUB_DOMAINS)
    return at_hub and target.scheme == "https" and _port(target) == 443


def _port(parts: Any) -> int | None:
    return parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Hub:
    """The hub at HF_ENDPOINT, asked as the user who is logged in, if any."""

    def __init__(self) -> None:
        import httpx2
        from huggingface_hub import constants
        from huggingface_hub.utils import build_hf_headers

        self.endpoint = constants.ENDPOINT
        if constants.is_offline_mode():
            raise TransferError("HF_HUB_OFFLINE is set", unreachable=True)
        if not may_fetch(self.endpoint, self.endpoint):
            raise ModelNotFoundError(
                f"HF_ENDPOINT is {self.endpoint!r}, and models come over https only. "
                "Use the hub itself: env -u HF_ENDPOINT r1chat ..."
            )
        # Plain bytes: an offset into a compressed stream would mean nothing.
        self._headers = {**build_hf_headers(library_name="r1chat"), "accept-encoding": "identity"}
        self._client = httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def listing(self, wanted: HubId) -> Listing:
        """What the repository holds. Raises TransferError, or ModelNotFoundError where trying again is no use."""
        revision = f"/revision/{quote(wanted.revision, safe='')}" if wanted.revision else ""
        url = f"{self.endpoint}/api/models/{wanted.repo}{revision}?blobs=true"
        with self._get(url, wanted) as response:
            try:
                return _as_listing(wanted.repo, _read(response))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ModelNotFoundError(
                    f"{self.endpoint} does not answer as a hub does. Check: HF_ENDPOINT, or a proxy on the way"
                ) from error

    @contextmanager
    def open(self, wanted: HubId, listing: Listing, file: HubFile, offset: int) -> Iterator[httpx2.Response]:
        """The file's bytes from `offset` on: status 206, or 200 from a server that sends all of it anew."""
        path = f"{listing.repo}/resolve/{listing.commit}/{quote(file.name)}"
        extra = {"range": f"bytes={offset}-"} if offset else {}
        with self._get(f"{self.endpoint}/{path}", wanted, extra) as response:
            yield response

    @contextmanager
    def _get(self, url: str, wanted: HubId, extra: dict[str, str] | None = None) -> Iterator[httpx2.Response]:
        """The answer after redirects; the token stays with the endpoint that it is for."""
        import httpx2

        headers = {**self._headers, **(extra or {})}
        try:
            for _ in range(MAX_REDIRECTS + 1):
                if not may_fetch(url, self.endpoint):
                    raise ModelNotFoundError(
                        f"The hub sent the download of {wanted} on to {url[:120]}, which is not its own. "
                        f"Nothing was fetched. Check: HF_ENDPOINT, then r1chat pull {wanted}"
                    )
                if _origin(url) != _origin(self.endpoint):
                    headers.pop("authorization", None)
                with self._client.stream("GET", url, headers=headers) as response:
                    if response.has_redirect_location:
                        url = _joined(url, response.headers["location"])
                        continue
                    _raise_for_status(response, wanted)
                    yield response
                    return
        except httpx2.HTTPError as error:
            unreachable = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
            raise TransferError(_reason(error), unreachable=unreachable) from error
        raise ModelNotFoundError(f"The hub sends {wanted} round in circles. Try later: r1chat pull {wanted}")


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; what is no address at all comes back as it is, for `may_fetch` to refuse."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, _port(parts)


def _read(response: httpx2.Response) -> Any:
    """The JSON of an answer; a hub's listing of thousands of files is some megabytes."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > 1 << 26:
            raise ValueError("too long")
    return json.loads(body)


def _as_listing(repo: str, told: Any) -> Listing:
    """Raises ValueError and its like for what no hub would say."""
    commit = told["sha"]
    if not _COMMIT.fullmatch(commit):
        raise ValueError(commit)
    files = []
    for item in told["siblings"]:
        name, size = item["rfilename"], item.get("size")
        digest = (item.get("lfs") or {}).get("sha256") or item.get("blobId")
        # A file without size or digest could not be checked, one of such a name would lie outside the cache.
        if isinstance(size, int) and size >= 0 and _is_digest(digest) and _is_inside(name):
            files.append(HubFile(name, size, digest))
    return Listing(repo, commit, tuple(files))


def _is_inside(name: str) -> bool:
    return all(_FILE_PART.fullmatch(part) for part in name.split("/"))


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) is not None


def _raise_for_status(response: httpx2.Response, wanted: HubId) -> None:
    """What a status means for a person; TransferError where it may pass by itself."""
    status, code = response.status_code, response.headers.get("x-error-code", "")
    if status in (200, 206, 416):
        return
    if status in (408, 429) or status >= 500:
        wait = response.headers.get("retry-after", "")
        told = "too many requests" if status == 429 else f"status {status}"
        raise TransferError(f"the hub answered: {told}", after_s=float(wait) if wait.isdecimal() else None)
    if code == "GatedRepo":
        what = f"{wanted} is gated: accept its terms on https://huggingface.co/{wanted.repo}, then: hf auth login"
    elif code == "RevisionNotFound":
        what = f"{wanted.repo} has no revision {wanted.revision}. See what it has: https://huggingface.co/{wanted.repo}"
    elif status == 403:
        what = f"The hub does not let this token read {wanted}. Use one that may: hf auth login"
    elif status in (401, 404):
        what = f"The hub has no public model {wanted}. Check the spelling; a private one needs: hf auth login"
    else:
        what = f"The hub did not deliver {wanted} (status {status}). Try again: r1chat pull {wanted}"
    raise ModelNotFoundError(what)


def _reason(error: Exception) -> str:
    """A failed connection in a few words."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return text if len(text) < 160 else type(error).__name__
