"""The page: Gradio Blocks that talk to /v1 only."""
