"""Conversations into files and back: our own JSON, Markdown to read, JSONL to train on, and other chats' exports."""
