"""Text to tokens and back, on the byte-level BPE of a Hugging Face folder. Reads only, so any thread may call it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from ...errors import ModelLoadError
from ...reasoning import TAGS


class TransformersVocab:
    """`n_tokens` rows has the model's table, which may be more than there are tokens; `ends` are ids that end a
    generation besides the tokeniser's own. Raises ModelLoadError.
    """

    def __init__(self, folder: Path, n_tokens: int, ends: Iterable[int]) -> None:
        # not AutoTokenizer: it picks a class by model type, which rewrites the splitter
        wrapped = _loaded(folder)
        data = json.loads(wrapped.backend_tokenizer.to_str())
        if data["model"]["type"] != "BPE" or '"ByteLevel"' not in json.dumps(data["pre_tokenizer"]):
            raise ModelLoadError(f"{folder}: only byte-level BPE tokenisers are read, as Qwen2's and Llama 3's are.")
        # what these add belongs to the template, which says it itself
        data["post_processor"] = None
        self._marked = _tokenizer(data)
        self._plain = _tokenizer(
            {**data, "added_tokens": [each for each in data["added_tokens"] if not _is_markup(each)]}
        )
        self.n_tokens = n_tokens
        self._texts, self._control = _read_texts(data, n_tokens)
        self._ends = {*ends, *([] if wrapped.eos_token_id is None else [wrapped.eos_token_id])}
        self.bos: str = wrapped.bos_token or ""
        self.eos: str = wrapped.eos_token or ""
        self.chat_template = _template(wrapped.chat_template)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Without BOS or EOS around it. With `special` False no token stands for a tag or control text: this
        tokeniser never heard of them.
        """
        ids: list[int] = (self._marked if special else self._plain).encode(text, add_special_tokens=False).ids
        return ids

    def piece(self, token: int) -> bytes:
        """The bytes of `token`; control tokens but the reasoning tags have none."""
        return b"" if token in self._control else self._texts[token]

    def token_text(self, token: int) -> bytes:
        """As piece(), but control tokens are written out."""
        return self._texts[token]

    def is_end(self, token: int) -> bool:
        return token in self._ends


def byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary, as GPT-2 assigned them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _loaded(folder: Path) -> Any:
    if not (folder / "tokenizer.json").is_file():
        raise ModelLoadError(f"{folder} has no tokenizer.json.")
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises plain Exceptions for what it cannot read
        raise ModelLoadError(f"{folder}: the tokeniser cannot be read ({' '.join(str(error).split())}).") from error


def _tokenizer(data: dict[str, Any]) -> Any:
    return Tokenizer.from_str(json.dumps(data))


def _is_markup(added: dict[str, Any]) -> bool:
    """Runs of blanks are added tokens too, and harmless."""
    text = added["content"]
    return added["special"] or (len(text) > 1 and text[0] in "<[" and text[-1] in ">]")


def _is_control(added: dict[str, Any]) -> bool:
    """R1's distillations do not call all of theirs special."""
    text = added["content"]
    return text not in TAGS and (added["special"] or (text.startswith(("<|", "<｜")) and text.endswith(("|>", "｜>"))))


def _read_texts(data: dict[str, Any], n_tokens: int) -> tuple[list[bytes], set[int]]:
    """The bytes of each token, nothing for ids without one, and which are control tokens."""
    byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}
    texts = [b""] * n_tokens
    added = {each["id"]: each for each in data["added_tokens"]}
    try:
        for text, token in data["model"]["vocab"].items():
            if token not in added:
                texts[token] = bytes(byte_of[character] for character in text)
        for token, each in added.items():
            texts[token] = each["content"].encode()
    except (IndexError, KeyError) as error:
        raise ModelLoadError(f"The tokeniser does not fit a byte-level model of {n_tokens} tokens ({error}).") from None
    return texts, {token for token, each in added.items() if _is_control(each)}


def _template(template: str | dict[str, str] | None) -> str | None:
    """The default one, where a folder has several."""
    return template.get("default") if isinstance(template, dict) else template
