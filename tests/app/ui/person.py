"""Somebody at the page's routes, without a browser: asks over HTTP, and reads the stream of events as the page does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

PATIENCE_S = 60.0


class Person:
    """`key` is the API key that goes with every request."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx2.Client(base_url=f"{url}/page", headers=headers, timeout=PATIENCE_S, trust_env=False)

    def get(self, path: str, status: int = 200) -> Any:
        return self._call("GET", path, status)

    def post(self, path: str, status: int = 200, **body: Any) -> Any:
        return self._call("POST", path, status, json=body)

    def patch(self, path: str, status: int = 200, **body: Any) -> Any:
        return self._call("PATCH", path, status, json=body)

    def delete(self, path: str, status: int = 200) -> Any:
        return self._call("DELETE", path, status)

    def ask(self, text: str, conversation: str | None = None, **more: Any) -> tuple[str, str]:
        """The ids of the conversation and of the reply that is being written."""
        asked = self.post("/ask", conversation=conversation, text=text, **more)
        return asked["conversation"]["id"], asked["reply"]["id"]

    def answered(self, text: str, conversation: str | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
        """The conversation's id and the reply when it has ended."""
        conversation, reply = self.ask(text, conversation, **more)
        return conversation, self.ended(reply)

    def message(self, message_id: str) -> dict[str, Any]:
        message: dict[str, Any] = self.get(f"/messages/{message_id}")
        return message

    def ended(self, message_id: str) -> dict[str, Any]:
        return self.until(message_id, lambda message: message["state"] != "live")

    def until(self, message_id: str, is_so: Any) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so(message := self.message(message_id)):
            assert time.monotonic() < deadline, f"still waiting: {message}"
            time.sleep(0.02)
        return message

    def control(self, message_id: str, action: str, **more: Any) -> bool:
        return bool(self.post(f"/messages/{message_id}/control", action=action, **more)["success"])

    @contextmanager
    def watching(self, conversation: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of a conversation as they come."""
        with self.http.stream("GET", f"/conversations/{conversation}/events") as response:
            assert response.status_code == 200, response.read()
            yield (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))

    def _call(self, method: str, path: str, status: int, **how: Any) -> Any:
        answer = self.http.request(method, path, **how)
        assert answer.status_code == status, answer.text
        return answer.json()


class Screen:
    """What a tab shows of one reply, from events alone."""

    def __init__(self, reply_id: str) -> None:
        self.reply_id = reply_id
        self.reasoning = self.html = self.tail = ""
        self.phases: list[str] = []
        self.ended: dict[str, Any] | None = None

    def show(self, event: dict[str, Any]) -> None:
        if event["type"] == "open":
            self._whole(event["path"])
        elif event["type"] == "message":
            self._whole([event["message"]])
        elif event["type"] == "deltas":
            for delta in event["replies"]:
                self._add(delta)

    def watch(self, events: Iterator[dict[str, Any]]) -> dict[str, Any]:
        """Shows events until the reply has ended; how it did."""
        while self.ended is None:
            self.show(next(events))
        return self.ended

    def _whole(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message["id"] != self.reply_id:
                continue
            if message["state"] == "live":
                self.reasoning, self.html, self.tail = message["reasoning"], message["html"], message["tail"]
            else:
                self.ended = message

    def _add(self, delta: dict[str, Any]) -> None:
        if delta["id"] != self.reply_id:
            return
        self.phases.append(delta["state2"])
        self.reasoning += delta["reasoning"]
        self.html += delta["html"]
        self.tail = delta["tail"] if delta["html"] else self.tail + delta["tail"]
