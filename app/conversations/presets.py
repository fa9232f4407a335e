"""Ways to sample under one name each, with the reason why; what a person changes afterwards stays changed."""

from __future__ import annotations

import msgspec

from .records import Settings


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """`why` is one sentence for a person, and so is `warning`, where there is something to warn of."""

    id: str
    name: str
    temperature: float
    top_p: float
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    why: str
    warning: str = ""

    def applied(self, settings: Settings) -> Settings:
        """Those settings, sampled this way: no system prompt, no seed; model, thinking and lengths stay."""
        return msgspec.structs.replace(
            settings,
            preset=self.id,
            system="",
            seed=None,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
        )


PRESETS = (
    Preset(
        id="r1",
        name="R1",
        temperature=0.6,
        top_p=0.95,
        why="DeepSeek measured R1 this way and advises it: temperature 0.5 to 0.7 keeps thoughts from repeating "
        "themselves or losing their thread, and all instructions belong in the question, not in a system prompt.",
    ),
    Preset(
        id="precise",
        name="Precise",
        temperature=0.3,
        top_p=0.9,
        why="Unlikely words are left out, so that several runs on the same question differ less.",
        warning="Below the 0.5 to 0.7 that DeepSeek advises for R1: thoughts may repeat themselves.",
    ),
    Preset(
        id="greedy",
        name="Greedy",
        temperature=0.0,
        top_p=1.0,
        why="Always the likeliest token, so that the same question gives the same answer, to compare models by.",
        warning="DeepSeek warns of endless repetition with R1 at this end: set a budget.",
    ),
    Preset(
        id="creative",
        name="Creative",
        temperature=1.0,
        top_p=1.0,
        min_p=0.05,
        why="Rare words get their chance, and min-p drops only those that are absurd beside the likeliest.",
        warning="Above the 0.5 to 0.7 that DeepSeek advises for R1: thoughts may lose their thread.",
    ),
    Preset(
        id="plain",
        name="The model's own",
        temperature=1.0,
        top_p=1.0,
        why="Nothing is bent or cut off: what is drawn is what the model learned, to see how sure it is.",
        warning="Above the 0.5 to 0.7 that DeepSeek advises for R1, and the unlikeliest words are left in.",
    ),
)


def preset(preset_id: str) -> Preset | None:
    """The preset of that id; None for a name of old or of the person's own."""
    return next((preset for preset in PRESETS if preset.id == preset_id), None)
