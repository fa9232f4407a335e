"""The distil set: turns of chats that a student may learn from, once they pass the gates."""
