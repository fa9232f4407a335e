"""What a person keeps: conversations as trees of messages, in one SQLite file."""
