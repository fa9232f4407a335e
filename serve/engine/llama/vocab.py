"""Text to tokens and back, on llama.cpp's vocabulary. Reads only, so any thread may call it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator

import llama_cpp

from ...reasoning import TAGS

LONGEST = 8192  # characters
_RUN = re.compile(r"\S++|\s++")


class LlamaVocab:
    """The vocabulary of a loaded model. `model` must outlive it."""

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        self._vocab = llama_cpp.llama_model_get_vocab(model)
        self.n_tokens: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.bos = self._text_of_id(llama_cpp.llama_vocab_bos(self._vocab))
        self.eos = self._text_of_id(llama_cpp.llama_vocab_eos(self._vocab))
        self._look_alikes = _pattern(self._user_defined())
        self._pieces: dict[int, bytes] = self._tag_pieces()
        self._ends: dict[int, bool] = {}

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Without BOS or EOS around it. With `special` False no token stands for a tag or control text.

        llama.cpp spares control tokens then, but still parses user-defined ones, and `<think>` is such a
        one in R1's vocabularies: such text is cut behind its first character, so that it stays text.
        """
        if special:
            return self._tokenize(text, special=True)
        return [token for part in self._cut(text) for token in self._tokenize(part, special=False)]

    def piece(self, token: int) -> bytes:
        """The bytes of `token`; control tokens but the reasoning tags have none."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._render(token, special=False)
        return piece

    def token_text(self, token: int) -> bytes:
        """As piece(), but control tokens are written out."""
        return self.piece(token) or self._render(token, special=True)

    def is_end(self, token: int) -> bool:
        end = self._ends.get(token)
        if end is None:
            end = self._ends[token] = bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))
        return end

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        return [token for piece in _seamed(text) for token in self._tokens(piece, special=special)]

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        data = text.encode()
        # there is never more than one token a byte
        buffer = (llama_cpp.llama_token * (len(data) + 1))()
        n = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, len(buffer), False, special)
        assert n >= 0, "more tokens than bytes"
        return buffer[:n]

    def _cut(self, text: str) -> Iterator[str]:
        start = 0
        for match in self._look_alikes.finditer(text) if self._look_alikes else ():
            yield text[start : match.start() + 1]
            start = match.start() + 1
        yield text[start:]

    def _render(self, token: int, *, special: bool) -> bytes:
        # out of range would be an uncaught C++ exception, the end of the process
        assert 0 <= token < self.n_tokens, token
        buffer = ctypes.create_string_buffer(64)
        n = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[:n]

    def _text_of_id(self, token: int) -> str:
        """Empty where the model names no such token, or one that it does not have."""
        if not 0 <= token < self.n_tokens:
            return ""
        return self._render(token, special=True).decode(errors="replace")

    def _user_defined(self) -> list[str]:
        attribute = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        return [
            self._text_of_id(token)
            for token in range(self.n_tokens)
            if llama_cpp.llama_vocab_get_attr(self._vocab, token) & attribute
        ]

    def _tag_pieces(self) -> dict[int, bytes]:
        """The reasoning tags are text even where the file calls them control tokens."""
        tokens = {tag: self._tokenize(tag, special=True) for tag in TAGS}
        return {ids[0]: tag.encode() for tag, ids in tokens.items() if len(ids) == 1}


def _pattern(user_defined: list[str]) -> re.Pattern[str] | None:
    """Matches what looks like markup among them. Runs of blanks are user-defined too, and harmless."""
    markup = [text for text in user_defined if len(text) > 1 and text[0] in "<[" and text[-1] in ">]"]
    return re.compile("|".join(map(re.escape, sorted(markup, key=len, reverse=True)))) if markup else None


def _seamed(text: str) -> Iterator[str]:
    """The text with a seam in each run of LONGEST characters or more without a blank, or of blanks alone: some
    splitters go through std::regex, which takes the stack for each character of a run, and with it the process.
    """
    start = 0
    for run in _RUN.finditer(text) if len(text) > LONGEST else ():
        for seam in range(run.start() + LONGEST, run.end(), LONGEST):
            yield text[start:seam]
            start = seam
    yield text[start:]
