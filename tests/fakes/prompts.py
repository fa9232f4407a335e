"""A model's facts and R1's tags, for tests of prompts."""

from __future__ import annotations

import msgspec

from r1chat.serve.api.prompt.chat_template import Turn
from r1chat.serve.engine.request import ModelInfo

BOS, EOS, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"

INFO = ModelInfo(
    path="model.gguf",
    architecture="qwen2",
    description="test",
    n_params=1,
    n_ctx=4096,
    n_ctx_train=4096,
    n_vocab=1000,
    n_seq_max=4,
    bos_token=BOS,
    eos_token=EOS,
    chat_template=None,
    gpu_offload=False,
    load_s=0.0,
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def info(template: str | None) -> ModelInfo:
    return msgspec.structs.replace(INFO, chat_template=template)


def user(text: str) -> Turn:
    return Turn("user", text)
