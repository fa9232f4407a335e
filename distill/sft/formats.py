"""How a row is written for a base: its turns, its think tags, its ends. Knows vocabularies; labels nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...serve.files import replace_file
from ...serve.models.templates import ASSISTANT, BOS, EOS, PAD, R1_DISTILL, USER
from ...serve.reasoning import CLOSE_TAG, OPEN_TAG, TAGS
from ..errors import DistillError
from .known_tokens import is_learned

Json = dict[str, Any]
CLOSING = f"{CLOSE_TAG}\n\n"  # between the thought's last line and the answer


@dataclass(frozen=True)
class RowFormat:
    """Template text `before` the problem and `after` it, up to and with the opened thought. `eos` ends a reply and
    is learned; `pad` is another token, because a collator that takes the end for padding would hide it.
    """

    name: Literal["r1", "chatml", "llama3"]
    before: str
    after: str
    bos: str | None
    eos: str
    pad: str
    template: str


_PADS = (
    PAD,
    "<|finetune_right_pad_id|>",
    "<|endoftext|>",
    "<|vision_pad|>",
    "<|reserved_special_token_0|>",
    "<|end_of_text|>",
    "<|im_end|>",
)
_HINT = "Use a folder that transformers saved: r1chat distill --student FOLDER"
_ENDS_OF_TEXTS = {"<|eot_id|>": "<|end_of_text|>", "<|im_end|>": "<|endoftext|>"}
_R1 = (BOS, EOS, USER, ASSISTANT, *TAGS)
_CHATML = ("<|im_start|>", "<|im_end|>")
_LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
# Thoughts of earlier turns are left out, as R1 was trained; texts are printed as they are, never trimmed.
_TURNS = (
    "{%- for message in messages -%}"
    "{%- set content = message['content'] or '' -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}"
    "{%- endif -%}"
    "{{- 'OPEN' + message['role'] + 'HEAD' + content + 'CLOSE' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- 'OPENassistantHEAD<think>\\n' -}}"
    "{%- endif -%}"
)


def _turns(*, opening: str, head: str, closing: str) -> str:
    return _TURNS.replace("OPEN", opening).replace("HEAD", head).replace("CLOSE", closing)


_CHATML_TEMPLATE = _turns(opening="<|im_start|>", head="\\n", closing="<|im_end|>\\n")
_LLAMA3_TEMPLATE = "{{- bos_token -}}" + _turns(
    opening="<|start_header_id|>", head="<|end_header_id|>\\n\\n", closing="<|eot_id|>"
)


def format_for(tokens: Collection[str], base: str = "The base") -> RowFormat:
    """The format for a vocabulary with these added tokens: R1's where its tokens are there, else ChatML or Llama 3's
    headers with the think tags as plain text. Raises DistillError for a vocabulary that has none of the three.
    """
    if all(token in tokens for token in _R1):
        before, after = f"{BOS}{USER}", f"{ASSISTANT}{OPEN_TAG}\n"
        return RowFormat("r1", before, after, BOS, EOS, _pad(tokens, EOS), R1_DISTILL)
    if all(token in tokens for token in _CHATML):
        after = f"<|im_end|>\n<|im_start|>assistant\n{OPEN_TAG}\n"
        pad = _pad(tokens, "<|im_end|>")
        return RowFormat("chatml", "<|im_start|>user\n", after, None, "<|im_end|>", pad, _CHATML_TEMPLATE)
    if all(token in tokens for token in _LLAMA3):
        before = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
        after = f"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{OPEN_TAG}\n"
        pad = _pad(tokens, "<|eot_id|>")
        return RowFormat("llama3", before, after, "<|begin_of_text|>", "<|eot_id|>", pad, _LLAMA3_TEMPLATE)
    raise DistillError(
        f"{base} has the chat tokens of none of R1, Qwen2 and Llama 3, so no format of its rows is known. "
        "Use: r1chat distill --student qwen-1.5b"
    )


def format_of(base: Path) -> RowFormat:
    """The format for the base in this folder. A token to end with that the base never learned gives way to the one
    that ended its texts. Raises DistillError.
    """
    ids = added_tokens(read_tokenizer(base))
    chosen = format_for(ids, str(base))
    other = _ENDS_OF_TEXTS.get(chosen.eos)
    try:
        if other is None or other not in ids or is_learned(base, ids[chosen.eos]):
            return chosen
    except (OSError, ValueError) as error:
        raise DistillError(f"The weights in {base} cannot be read ({error}). {_HINT}") from error
    after, template = (text.replace(chosen.eos, other) for text in (chosen.after, chosen.template))
    return replace(chosen, after=after, template=template, eos=other, pad=_pad(ids, other))


def _pad(tokens: Collection[str], eos: str) -> str:
    found = next((token for token in _PADS if token in tokens and token != eos), None)
    if found is None:
        raise DistillError(
            f"The vocabulary has no token to pad with besides {eos}, which ends a reply. "
            "Use: r1chat distill --student qwen-1.5b"
        )
    return found


def read_tokenizer(folder: Path) -> Json:
    """The folder's tokenizer.json. Raises DistillError where there is none, or it is no byte-level BPE."""
    path = folder / "tokenizer.json"
    try:
        data: Json = json.loads(path.read_text(encoding="utf-8"))
        kind = data["model"]["type"]
    except FileNotFoundError:
        raise DistillError(f"{folder} has no tokenizer.json. {_HINT}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DistillError(f"{path} cannot be read ({error!r:.80}). {_HINT}") from error
    if kind != "BPE" or "ByteLevel" not in json.dumps(data.get("pre_tokenizer")):
        raise DistillError(
            f"{path} is no byte-level BPE, as Qwen2's and Llama 3's are. Use: r1chat distill --student tiny"
        )
    return data


def added_tokens(tokenizer: Json) -> dict[str, int]:
    """Text -> id of the tokens that stand beside the byte-level vocabulary."""
    return {token["content"]: int(token["id"]) for token in tokenizer.get("added_tokens") or ()}


def write_format(base: Path, target: Path) -> RowFormat:
    """Gives `target`, a folder with a config.json, the base's tokeniser and the format's template and ends, so that
    what is exported from it is asked as it was trained, and stops. Raises DistillError.
    """
    ids, chosen = added_tokens(read_tokenizer(base)), format_of(base)
    if base.resolve() != target.resolve():
        shutil.copyfile(base / "tokenizer.json", target / "tokenizer.json")
    (target / "chat_template.jinja").write_text(chosen.template, encoding="utf-8")
    _write(target / "tokenizer_config.json", _settings(_optional(base / "tokenizer_config.json"), chosen))
    ends = _ends(chosen, ids, _optional(base / "generation_config.json"), _optional(base / "config.json"))
    sampling = {"do_sample": True, "temperature": 0.6, "top_p": 0.95}
    _write(target / "generation_config.json", {**ends, **sampling})
    _write(target / "config.json", {**_optional(target / "config.json"), **ends, "eos_token_id": ids[chosen.eos]})
    return chosen


def _settings(given: Json, chosen: RowFormat) -> Json:
    """Without a template of its own, which would go before the file's."""
    kept = {key: value for key, value in given.items() if key not in ("chat_template", "bos_token")}
    kept.setdefault("tokenizer_class", "PreTrainedTokenizerFast")
    bos = {"bos_token": chosen.bos} if chosen.bos else {}
    return {**kept, **bos, "eos_token": chosen.eos, "pad_token": chosen.pad}


def _ends(chosen: RowFormat, ids: dict[str, int], *given: Json) -> Json:
    """The format's end first, then those that the base had."""
    ends: list[Any] = [ids[chosen.eos]]
    for settings in given:
        of_base = settings.get("eos_token_id")
        ends += of_base if isinstance(of_base, list) else [of_base]
    known = [end for end in dict.fromkeys(ends) if type(end) is int]
    bos = {"bos_token_id": ids[chosen.bos]} if chosen.bos else {}
    return {**bos, "eos_token_id": known, "pad_token_id": ids[chosen.pad]}


def _optional(path: Path) -> Json:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(path: Path, content: Json) -> None:
    with replace_file(path) as aside:
        aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
