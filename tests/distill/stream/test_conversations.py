"""The conversations that are trained on: nothing held out gets in, resuming repeats nothing wrongly, rows are whole."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="needs the extra `distill`")

from tokenizers import Tokenizer

from r1chat.distill.problems import RIDDLES, Problem, generate, prompt_key, repeats_riddle
from r1chat.distill.problems.held_out import held_out
from r1chat.distill.stream import conversations as corpus
from r1chat.distill.stream import zero
from r1chat.distill.stream.batches import Place, batches
from r1chat.distill.stream.vocabulary import VOCAB_SIZE, train_tokenizer
from r1chat.serve.models.templates import EOS, PAD, R1_DISTILL
from r1chat.serve.reasoning import CLOSE_TAG, OPEN_TAG

SAMPLE = range(4000)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(map(corpus.text_at, range(6000)))


def test_no_held_out_prompt_and_no_riddle_occurs_in_training() -> None:
    forbidden = {prompt_key(p.prompt) for problems in held_out().values() for p in problems}
    forbidden |= {prompt_key(question) for question, _ in RIDDLES}
    for index in SAMPLE:
        prompt = corpus.problem_at(index).prompt
        assert prompt_key(prompt) not in forbidden
        assert not repeats_riddle(prompt)
        assert "strawberry" not in prompt.lower()


@pytest.mark.parametrize("index", [2_500_000, 10_000_000, 12_345_678])
def test_however_many_are_read_none_is_drawn_from_the_seeds_that_are_held_out(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []

    def told(family: str, seed: int) -> Problem:
        seeds.append(seed)
        return generate(family, seed)

    monkeypatch.setattr(corpus, "generate", told)
    monkeypatch.setattr(zero, "generate_problem", told)
    corpus.problem_at(index)
    zero.practised_at(index)
    assert max(seeds) < 10**9


def test_held_out_prompts_are_all_different() -> None:
    keys = [prompt_key(p.prompt) for problems in held_out().values() for p in problems]
    assert len(keys) == len(set(keys))
    assert len(held_out()["test"]) >= 500


def test_vocabulary_splits_numbers_into_digits_and_keeps_the_think_tags(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == VOCAB_SIZE
    assert tokenizer.encode("347").tokens == ["3", "4", "7"]
    ids = tokenizer.encode(f"{OPEN_TAG}\nSo.\n{CLOSE_TAG}\n\n9{EOS}").ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == f"{OPEN_TAG}\nSo.\n{CLOSE_TAG}\n\n9"


def test_pad_is_another_token_than_the_end(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_to_id(PAD) != tokenizer.token_to_id(EOS)


def test_the_prompt_is_what_the_chat_template_prints() -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(R1_DISTILL)
    index = next(
        i for i in SAMPLE if corpus.conversation_at(i)[0].endswith(f"{corpus.problem_at(i).prompt}{corpus.ASSISTANT}<think>\n")
        and corpus.conversation_at(i)[0].count(corpus.USER) == 2
    )  # fmt: skip
    earlier, asked = corpus.problem_at(index, 1), corpus.problem_at(index)
    messages = [
        {"role": "user", "content": earlier.prompt},
        {"role": "assistant", "content": earlier.answer},
        {"role": "user", "content": asked.prompt},
    ]
    rendered = template.render(messages=messages, bos_token=corpus.BOS, add_generation_prompt=True)
    assert rendered.endswith(corpus.conversation_at(index)[0].removeprefix(corpus.BOS))


def test_the_last_learnt_token_of_every_row_is_the_end_token(tokenizer: Tokenizer) -> None:
    end, pad = tokenizer.token_to_id(EOS), tokenizer.token_to_id(PAD)
    for _, batch in islice(batches(corpus.conversation_at, tokenizer, Place(0), 2048, pool=512), 20):
        last = batch.input_ids[np.arange(len(batch.ends)), batch.ends - 1]
        assert (last == end).all()
        assert (batch.loss_from < batch.ends).all()
        for row, stop in zip(batch.input_ids, batch.ends, strict=True):
            assert (row[stop:] == pad).all()


def test_the_stream_goes_on_behind_any_batch_exactly_as_it_would_have(tokenizer: Tokenizer) -> None:
    told = list(islice(batches(corpus.conversation_at, tokenizer, Place(0), 2048, pool=256), 40))
    assert {place.example for place, _ in told} >= {0, 256}, "into the second pool"
    for at in (0, 3, next(n for n, (place, _) in enumerate(told) if place == Place(256)), 38):
        resumed = next(batches(corpus.conversation_at, tokenizer, told[at][0], 2048, pool=256))
        assert resumed[0] == told[at + 1][0]
        assert (resumed[1].input_ids == told[at + 1][1].input_ids).all()
