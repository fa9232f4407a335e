"""Many thoughts, one answer: the vote, its books, and which answers are the same."""
