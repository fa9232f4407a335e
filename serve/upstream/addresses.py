"""What a person types after --upstream, as URLs."""

from __future__ import annotations

import httpx2

from ..errors import InvalidRequestError


def upstream_urls(text: str) -> list[str]:
    """URLs between commas, each with or without a trailing /v1. Raises InvalidRequestError."""
    urls = [_url(part.strip()) for part in text.split(",") if part.strip()]
    if not urls:
        raise InvalidRequestError("--upstream names no URL. Use: r1chat serve --upstream http://127.0.0.1:8001")
    return list(dict.fromkeys(urls))


def _url(text: str) -> str:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.userinfo:
        raise InvalidRequestError("An upstream's URL holds no password; put the key into R1CHAT_UPSTREAM_KEY.")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise InvalidRequestError(
            f"{text[:200]!r} is no address of an upstream. Use: r1chat serve --upstream http://127.0.0.1:8001"
        )
    return text.rstrip("/").removesuffix("/v1")
