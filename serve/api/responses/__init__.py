"""OpenAI's Responses API: its bodies, its items and its stream of numbered events. Nothing is stored."""
