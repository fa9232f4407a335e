"""How a browser shows the key: it is asked for once, and a signed cookie stands for it from then on.

Knows the keys, no routes; security.py answers with it before anything else is reached.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import html
import re
import time
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

PATH = "/sign-in"
COOKIE_S = 30 * 24 * 3600
MAX_FORM = 4096
_COOKIE = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")
# The form needs no script, no picture and no other site.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>r1chat</title><style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ display: grid; place-content: center; min-height: 90vh; margin: 1rem }}
form {{ display: grid; gap: .75rem; width: min(20rem, 90vw) }}
input, button {{ font: inherit; padding: .5rem .75rem }}
h1, p {{ margin: 0; font-size: inherit }}
</style></head><body><main><form method="post" action="{path}">
<h1>r1chat</h1>
<label for="key">This server asks for its key.</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
{problem}<button>Sign in</button>
</form></main></body></html>
"""


def wants_form(scope: Scope, headers: Headers) -> bool:
    """True for a person's browser on its way to a page; programs get the error as JSON."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and not scope["path"].startswith("/v1")
        and "text/html" in headers.get("accept", "")
    )


def form(problem: str = "") -> Response:
    """The page that asks. Without a challenge in a header: that would make the browser ask in its own way."""
    text = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    # A form on a page that sends no referrer at all would be sent with the origin null.
    headers = {"content-security-policy": _POLICY, "cache-control": "no-store", "referrer-policy": "same-origin"}
    return HTMLResponse(_FORM.format(path=PATH, problem=text), 401, headers)


async def submitted_key(receive: Receive) -> bytes:
    """The key in the body of the form; empty where there is none, or far too much."""
    body = b""
    while len(body) <= MAX_FORM:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if len(body) > MAX_FORM:
        return b""
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=8).get("key", [""])[0].strip().encode()
    except ValueError:
        return b""


class Cookies:
    """Makes and checks the cookies of a server with `keys`. They outlive a restart, not a change of keys."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = tuple(keys)

    @functools.cached_property
    def _secrets(self) -> tuple[bytes, ...]:
        """Slow to compute on purpose: whoever finds a cookie shall not guess a short key from it."""
        return tuple(hashlib.scrypt(key, salt=b"r1chat cookie", n=2**14, r=8, p=1) for key in self._keys)

    def signed_in(self, scope: Scope, index: int) -> Response:
        """To the page, with a cookie for the `index`-th key."""
        expires = str(int(time.time()) + COOKIE_S)
        answer = RedirectResponse("/", 303, {"cache-control": "no-store"})
        answer.set_cookie(
            _name(scope),
            f"{expires}.{self._signature(index, expires)}",
            max_age=COOKIE_S,
            path="/",
            httponly=True,
            samesite="strict",
            secure=scope.get("scheme") in ("https", "wss"),
        )
        return answer

    def key_index(self, scope: Scope, headers: Headers) -> int | None:
        """Which key the request's cookie was given for; None without a good one."""
        for part in "; ".join(headers.getlist("cookie")).split(";"):
            name, _, value = part.strip().partition("=")
            match = _COOKIE.fullmatch(value) if name == _name(scope) else None
            if match is None or int(match[1]) < time.time():
                continue
            for i in range(len(self._keys)):
                if hmac.compare_digest(match[2], self._signature(i, match[1])):
                    return i
        return None

    def _signature(self, index: int, expires: str) -> str:
        return hmac.new(self._secrets[index], expires.encode(), hashlib.sha256).hexdigest()


def _name(scope: Scope) -> str:
    """With the port, because browsers share cookies among all ports of a host."""
    return f"r1chat_{(scope.get('server') or ('', ''))[1] or 0}"
