"""Other OpenAI-compatible servers as engines: who is there, what they have, who takes a request. Knows no fastapi."""
