"""Where a person's own files lie: conversations, runs. Models have a folder of their own (serve/models/catalog.py)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

CONVERSATIONS = "conversations.sqlite"
RUNS = "runs"
PULLS = "pulls.json"


def data_folder(args: argparse.Namespace) -> Path:
    """What --data or R1CHAT_DATA names, or the user's data folder; it need not be there yet."""
    if args.data is not None:
        return Path(os.path.expanduser(args.data))
    from platformdirs import user_data_path

    return user_data_path("r1chat")
