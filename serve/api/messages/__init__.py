"""Anthropic's Messages API: its bodies, its turns, its stream of blocks and its errors."""
