"""Chat templates that are kept byte for byte because models were trained on them; see NOTICE."""

from __future__ import annotations

from pathlib import Path

# R1's tokens, as its template writes them
BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"

R1_DISTILL_PATH = Path(__file__).parent / "r1_distill.jinja"
R1_DISTILL: str = R1_DISTILL_PATH.read_text(encoding="utf-8")
