"""Bytes as a person reads them."""

from __future__ import annotations


def human(size: float) -> str:
    """Bytes for a person: `1.1 GB`."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
