"""The bundled model's tokeniser: byte-level BPE with Qwen2's pre-tokeniser and R1's special tokens.

Qwen2's pattern splits digits one by one, so numbers reach the model digit by digit. The think tags are
added tokens but not special ones: decoding keeps them, as rewards and parsers need.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from ...serve.models.gguf.spec import SPLITS
from ...serve.models.templates import ASSISTANT, BOS, EOS, PAD, USER
from ...serve.reasoning import TAGS

VOCAB_SIZE = 1024


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Learn the merges from `texts`; the result has exactly VOCAB_SIZE entries."""
    special = [BOS, EOS, PAD, USER, ASSISTANT]
    added = [AddedToken(t, normalized=False, special=True) for t in special]
    added += [AddedToken(t, normalized=False, special=False) for t in TAGS]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS["qwen2"]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(added),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(added[: len(special)])
    tokenizer.add_tokens(added[len(special) :])
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        raise ValueError(f"the texts gave {tokenizer.get_vocab_size()} tokens, not {VOCAB_SIZE}: too few of them")
    return tokenizer
