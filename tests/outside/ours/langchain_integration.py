"""langchain-tests' chat suite for ChatOpenAI, pointed at the server at $R1CHAT_URL."""

from __future__ import annotations

import os
from typing import Any

from langchain_core.language_models import BaseChatModel  # type: ignore[import-not-found]
from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]
from langchain_tests.integration_tests import ChatModelIntegrationTests  # type: ignore[import-not-found]


class TestR1Chat(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "base_url": f"{os.environ['R1CHAT_URL']}/v1",
            "api_key": "none",
            "model": os.environ["R1CHAT_MODEL"],
            "temperature": 0,
            "max_tokens": 400,
            "max_retries": 0,
            "stream_usage": True,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        """One server has one model, so that this is its name once more."""
        return os.environ["R1CHAT_MODEL"]

    @property
    def supported_usage_metadata_details(self) -> dict[Any, list[Any]]:
        return {"invoke": ["reasoning_output", "cache_read_input"], "stream": ["reasoning_output", "cache_read_input"]}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> Any:
        return self._invoke("What is 12 + 5?", stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> Any:
        self._invoke("What is 23 + 45?", stream)
        return self._invoke("What is 23 + 45?", stream)

    def _invoke(self, text: str, stream: bool) -> Any:
        model = self.chat_model_class(**self.chat_model_params)
        if not stream:
            return model.invoke(text)
        chunks = list(model.stream(text))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole
