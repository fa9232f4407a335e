"""Presets say what DeepSeek advises, and change sampling only."""

from __future__ import annotations

import msgspec

from r1chat.app.conversations.limits import check_settings
from r1chat.app.conversations.presets import PRESETS, preset
from r1chat.app.conversations.records import Settings
from r1chat.serve.engine.request import SamplingParams


def test_the_first_is_what_a_new_conversation_does_by_itself() -> None:
    first, default = PRESETS[0], SamplingParams()
    assert first.id == Settings().preset
    for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty"):
        assert getattr(first, name) == getattr(default, name), name


def test_every_preset_is_sampling_alone_within_bounds_and_leaves_nothing_of_the_one_before() -> None:
    mine = Settings(model="demo", thinking="budget", budget=300, keep_thoughts=True, max_tokens=900, system="Rhyme.")
    for one in PRESETS:
        applied = check_settings(one.applied(mine))
        assert (applied.preset, applied.system, applied.seed) == (one.id, "", None)
        kept = msgspec.structs.replace(applied, model="", thinking="auto", budget=1024, keep_thoughts=False)
        assert msgspec.structs.replace(kept, max_tokens=None) == one.applied(Settings())
        assert PRESETS[0].applied(applied) == PRESETS[0].applied(mine)
        assert one.why.endswith(".")


def test_whatever_strays_from_the_advice_warns() -> None:
    assert [one.id for one in PRESETS if not one.warning] == ["r1"]
    assert preset("greedy") == PRESETS[2]
    assert preset("long gone") is None
