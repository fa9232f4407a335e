"""Downloads of one small model from the loopback hub, for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from r1chat.serve.errors import ModelNotFoundError
from r1chat.serve.models.hub import cache
from r1chat.serve.models.hub.downloads import Download
from r1chat.serve.models.hub.ids import HubId

REPO = "user/repo-GGUF"
FILE = "m-Q4_K_M.gguf"
DATA = bytes(range(256)) * 1024
WANTED = HubId(REPO)


def download(wanted: HubId = WANTED) -> Download:
    return Download(wanted, retry_s=0.01)


def refusal(wanted: HubId = WANTED) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        download(wanted).run()
    text = str(caught.value)
    assert "\n" not in text
    return text


def part() -> Path:
    return cache.part_path(REPO, hashlib.sha256(DATA).hexdigest())


def nothing_is_whole() -> bool:
    folder = cache.repo_folder(REPO)
    return cache.find(WANTED) is None and not list(folder.glob("blobs/*[!e]"))
