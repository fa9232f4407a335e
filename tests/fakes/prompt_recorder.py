"""A scripted runner that writes down what the engine makes of each request's prompt, for tests in another process.

`record` in its arguments is the path of a file; each line of it is a JSON string, the prompt as text, in the order
in which requests were admitted.
"""

from __future__ import annotations

import json
from pathlib import Path

from scripted_runner import ScriptedRunner, ScriptedSampler

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.request import SamplingParams


class PromptRecorder(ScriptedRunner):
    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self._record = Path(config.runner_args["record"])

    def make_sampler(self, params: SamplingParams, prompt: list[int]) -> ScriptedSampler:
        text = b"".join(self.token_text(token) for token in prompt).decode()
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(text) + "\n")
        return super().make_sampler(params, prompt)
