"""Logits as transformers computes them, in float32, with the weights of one layer in memory at a time.

So a model can be compared that would never fit whole: each module's weights are read from the folder, by the
safetensors library, when its turn comes, and dropped after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .quiet import quiet
from .tensors import SafetensorsFolder, StoredTensor, read_file

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def reference_logits(hf_dir: Path, prompts: Sequence[Sequence[int]], adapter: Path | None = None) -> list[np.ndarray]:
    """Per prompt, the logits [tokens, n_vocab] after each of its tokens, in float32; `adapter` is peft's folder.

    Raises ImportError where torch, transformers or, for an adapter, peft are not installed.
    """
    from ..stream.training import bound_openmp

    bound_openmp()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(hf_dir, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    # The angles of the positions are computed, not stored: they cannot stay empty.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    whole = model if adapter is None else _with_adapter(model, adapter)
    _read_when_needed(whole, _Stored(hf_dir, adapter))
    longest = max(map(len, prompts))
    # Behind a prompt's end anything may stand: no position looks ahead.
    batch = torch.tensor([[*prompt, *[prompt[0]] * (longest - len(prompt))] for prompt in prompts])
    with torch.inference_mode():
        logits = whole(batch, use_cache=False).logits.numpy()
    return [logits[i, : len(prompt)] for i, prompt in enumerate(prompts)]


def _with_adapter(model: Any, adapter: Path) -> Any:
    """peft's own model around it, without weights."""
    with quiet():
        from peft import PeftConfig, get_peft_model

        # low_cpu_mem_usage leaves the adapter's weights empty, as the model's are
        return get_peft_model(model, PeftConfig.from_pretrained(str(adapter)), low_cpu_mem_usage=True).eval()


class _Stored:
    """Where a parameter's numbers lie: in the model's folder, or the adapter's."""

    def __init__(self, hf_dir: Path, adapter: Path | None) -> None:
        self._model = SafetensorsFolder(hf_dir)
        self._adapter = {} if adapter is None else read_file(adapter / ADAPTER_WEIGHTS)

    def __call__(self, name: str) -> Any:
        import torch
        from safetensors import safe_open

        stored, tensors = self._find(name)
        with safe_open(tensors[stored].path, framework="pt") as file:
            return torch.nn.Parameter(file.get_tensor(stored).to(torch.float32), requires_grad=False)

    def _find(self, name: str) -> tuple[str, Mapping[str, StoredTensor]]:
        # peft puts its own name into those of its tensors, and wraps the layers it adds to
        if (stored := name.replace(".default", "")) in self._adapter:
            return stored, self._adapter
        stored = name.removeprefix("base_model.model.").replace(".base_layer", "")
        # Tied heads are not stored twice.
        return stored if stored in self._model else stored.replace("lm_head", "model.embed_tokens"), self._model


def _read_when_needed(model: Any, read: Callable[[str], Any]) -> None:
    for prefix, module in model.named_modules():
        names = list(dict(module.named_parameters(recurse=False)))
        if not names:
            continue

        def fill(module: Any, _inputs: Any, prefix: str = prefix, names: list[str] = names) -> None:
            for name in names:
                module._parameters[name] = read(f"{prefix}.{name}")

        def drop(module: Any, _inputs: Any, _output: Any, names: list[str] = names) -> None:
            for name in names:
                module._parameters[name] = module._parameters[name].to("meta")

        module.register_forward_pre_hook(fill)
        module.register_forward_hook(drop)
