"""What an answer is worth: the rewards of DeepSeek-R1 and a few more, as functions in trl's signature."""
