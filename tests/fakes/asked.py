"""Short ways to ask one engine's server, as the suite for all engines does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
from engines import EngineKind, Server

RIDDLE = "A farmer has 17 sheep. All but 9 run away. How many are left?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"enum": ["Paris", "Rome"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "days"],
        },
    },
}
TOTAL = {
    "type": "object",
    "properties": {"total": {"type": "integer"}, "sure": {"type": "boolean"}},
    "required": ["total", "sure"],
    "additionalProperties": False,
}


class Asked:
    """One engine's server, and short ways to ask it."""

    def __init__(self, kind: EngineKind, server: Server) -> None:
        self.kind = kind
        self.server = server

    def post(self, path: str, **body: Any) -> httpx2.Response:
        return httpx2.post(f"{self.server.url}{path}", json=body, timeout=120)

    def ok(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.post(path, **body)
        assert answer.status_code == 200, answer.text
        reply: dict[str, Any] = answer.json()
        return reply

    def chat(self, text: str = RIDDLE, **fields: Any) -> dict[str, Any]:
        messages = fields.pop("messages", [{"role": "user", "content": text}])
        return self.ok("/v1/chat/completions", **{"messages": messages, "temperature": 0, **fields})

    def message(self, text: str = RIDDLE, **fields: Any) -> dict[str, Any]:
        return dict(self.chat(text, **fields)["choices"][0]["message"])

    def stream(self, text: str = RIDDLE, **fields: Any) -> Iterator[dict[str, Any]]:
        body = {"messages": [{"role": "user", "content": text}], "temperature": 0, "stream": True, **fields}
        url = f"{self.server.url}/v1/chat/completions"
        with httpx2.stream("POST", url, json=body, timeout=120) as answer:
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line.removeprefix("data: "))

    def token(self, text: str) -> int:
        (token,) = self.ok("/tokenize", content=text)["tokens"]
        return int(token)

    def endless(self) -> dict[str, Any]:
        """Fields under which a reply goes on to max_tokens, its thought too."""
        bans = {str(self.token(text)): -100 for text in ("</think>", "<｜end▁of▁sentence｜>")}
        return {"logit_bias": bans, "temperature": 1, "seed": 1, "max_tokens": 1500}

    def refuses(self, feature: str, answer: httpx2.Response) -> bool:
        """True, having looked at how it says so, for what this engine cannot do."""
        if feature not in self.kind.cannot:
            return False
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "not_supported"), answer.text
        assert self.kind.name in error["message"]
        return True

    def wait_until_idle(self) -> None:
        deadline = time.monotonic() + 60
        while self.server.running():
            assert time.monotonic() < deadline, "its sequences are not free"
            time.sleep(0.02)
