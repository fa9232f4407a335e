"""A file's bytes -> conversations, whatever chat wrote it. All of it is read before any of it is kept."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ....serve.api.security import MAX_FILE
from ....serve.errors import InvalidRequestError
from . import chatgpt, jsonl, open_webui, own_file
from .tree import Tree

KNOWN = "r1chat's JSON, ShareGPT or messages JSONL, ChatGPT's conversations.json or Open WebUI's export"
BYTE = re.compile(r" \(byte (\d+)\)$")


def read(data: bytes) -> list[Tree]:
    """The conversations in the file's order; those in which nothing was said are left out.

    Raises InvalidRequestError: one line that says where it is wrong.
    """
    if len(data) > MAX_FILE:
        raise InvalidRequestError(f"The file has {len(data)} bytes; {MAX_FILE} can be read at once.")
    if data.startswith(b"PK\x03\x04"):
        raise InvalidRequestError("This is a ZIP archive: unpack it and choose the JSON file in it.")
    text = _without_bom(data)
    if not text.strip():
        raise InvalidRequestError("The file is empty.")
    trees = _rows(text) if _is_jsonl(text) else _whole(text)
    return [tree for tree in trees if tree.messages]


def _without_bom(data: bytes) -> bytes:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"The file is no UTF-8 text: byte {error.start} is not.") from None
    return data.removeprefix(b"\xef\xbb\xbf")


def _is_jsonl(text: bytes) -> bool:
    """Whether its first line is a conversation by itself."""
    try:
        first = _parsed(text.lstrip().partition(b"\n")[0])
    except InvalidRequestError:
        return False
    return jsonl.is_row(first) and not own_file.is_ours(first)


def _rows(text: bytes) -> list[Tree]:
    trees = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = _parsed(line)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"Line {number}: {error}") from None
        if not jsonl.is_row(row):
            raise InvalidRequestError(f"Line {number}: no `messages` and no `conversations` in it.")
        trees.append(jsonl.read_row(row, f"Line {number}"))
    return trees


def _whole(text: bytes) -> list[Tree]:
    try:
        parsed = _parsed(text)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"The file is not JSON. {error}") from None
    if own_file.is_ours(parsed):
        return own_file.read(parsed)
    entries = parsed if isinstance(parsed, list) else [parsed]
    return [_entry(entry, f"Entry {number}") for number, entry in enumerate(entries, 1)]


def _entry(entry: Any, where: str) -> Tree:
    if chatgpt.is_conversation(entry):
        return chatgpt.read(entry, where)
    if open_webui.is_conversation(entry):
        return open_webui.read(entry, where)
    if jsonl.is_row(entry):
        return jsonl.read_row(entry, where)
    raise InvalidRequestError(f"{where} is no conversation that can be read here: {KNOWN}.")


def _parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise InvalidRequestError("It is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(_told(str(error), text)) from None


def _told(message: str, text: bytes) -> str:
    """msgspec's words, with a line and column for its byte."""
    match = BYTE.search(message)
    if match is None:
        return f"{message[:200]}."
    before = text[: int(match[1])]
    column = len(before) - before.rfind(b"\n")
    return f"{message[: match.start()]} at line {before.count(10) + 1}, column {column}."
