"""langchain-tests' unit suite for ChatOpenAI with the options that point it at r1chat; no server is asked."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel  # type: ignore[import-not-found]
from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]
from langchain_tests.unit_tests import ChatModelUnitTests  # type: ignore[import-not-found]


class TestR1Chat(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": "http://127.0.0.1:8000/v1", "api_key": "none", "model": "demo", "max_retries": 0}
