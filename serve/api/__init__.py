"""The wire: OpenAI routes over the engine."""
