"""OpenAI's legacy completions: text that is continued as it stands."""
