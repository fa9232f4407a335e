"""All but so many go away: the trap is to subtract. Up to 99 in training, in `larger` up to 999."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural, words

GO = (
    "[run away|die|escape|are sold|get lost|leave|go to sleep|are stolen|run off|go away|fly away|get sick|disappear|walk away"
    "|are eaten|go home|fall asleep|are given away|jump over the fence]"
)
LOSE = "[lost|sold|broke|gave away|ate|used|threw away|forgot|dropped|gave {other}]"
LEFT = "[How many are left?|How many {things} are left?|How many remain?|How many {things} remain?|How many are still there?|How many {things} are still there?|How many stay?]"
WORDINGS = Wordings(
    train=(
        f"[A farmer|A man|A woman|A shepherd|A family|My uncle|{{name}}] [has|had|owns|keeps|owned] {{n}} {{things}}. All but {{k}} {GO}. {LEFT}",
        f"[A farmer|A man|A woman|A shepherd|{{name}}] [has|had|owns|keeps] {{n}} {{things}}, [and|but] all but {{k}} {GO}. {LEFT}",
        f"{{name}} [has|had|owns] {{n}} {{things}}. All but {{k}} {GO}. How many {{things}} does {{name}} [have left|still have|have now|have]?",
        f"There [are|were] {{n}} {{things}} [on a farm|in a field|in a garden|in a barn|on a hill]. [Then all|One day all|At night all|Suddenly all|All] but {{k}} {GO}. {LEFT}",
        f"[I have|We have|I had|We had] {{n}} {{things}}. [All but|Then all but] {{k}} {GO}. How many [do I have left|do we have|are left|are there now]?",
        f"[Of|From] {{n}} {{things}}[ on a farm|,] all but {{k}} {GO}. {LEFT}",
        f"{{n}} {{things}} [live|are|stand|sleep] [on a farm|in a barn|in a field]. All but {{k}} {GO}. {LEFT}",
        f"All but {{k}} of {{n}} {{things}} {GO}. {LEFT}",
        f"If all but {{k}} of {{n}} {{things}} {GO}, how many [are left|remain|stay]?",
        f"{{name}} [had|has|owned|bought] {{n}} {{goods}}. {{name}} {LOSE} all but {{k}}. How many {{goods}} [are left|does {{name}} have left|remain]?",
        f"{{name}} [had|has|owned|bought] {{n}} {{goods}} and {LOSE} all but {{k}}[ of them|]. How many [{{goods}} |][does {{name}} still have|are left|does {{name}} have now]?",
        f"[I|We] had {{n}} {{goods}} and {LOSE} all but {{k}}[ of them|]. How many [are left|{{goods}} are left|do I have|remain]?",
        f"{{name}} {LOSE} all but {{k}} of [the|his|her|all] {{n}} {{goods}}. How many [{{goods}} |][are left|are still there|does {{name}} have|remain]?",
        f"[One day|At night|After the rain|In winter] all but {{k}} of [a farmer's|{{name}}'s|my|the] {{n}} {{things}} {GO}. {LEFT}",
        "All but {k} of [the|my|our] {n} {goods} [are|were] [sold|broken|lost|gone|stolen|eaten]. How many [{goods} |][are left|remain|are there now]?",
    ),
    unseen=(
        "Out of {n} {things}, all but {k} {go}. How many stay?",
        "An old woman keeps {n} {things}. One night all but {k} {go}. How many has she left?",
        "{name} sold all but {k} of the {n} {goods} in the shop. How many are still in the shop?",
        "A storm comes and all but {k} of a farmer's {n} {things} {go}. How many does the farmer have now?",
    ),
)  # fmt: skip
UNSEEN_GO = ("run away", "die", "escape", "are sold", "get lost", "leave", "go to sleep", "are stolen")


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    n = pick_number(rng, split, (5, 99), (100, 999))
    k = rng.randint(2, n - 1)
    animals = words(split).animals
    things = plural("sheep" if split is not Split.UNSEEN_WORDS and rng.random() < 0.25 else rng.choice(animals))
    goods = plural(pick_thing(rng, split))
    wording = WORDINGS.pick(rng, split)
    facts = {
        "n": n,
        "k": k,
        "things": things,
        "goods": goods,
        "name": pick_name(rng, split),
        "other": pick_name(rng, split),
    }
    prompt = wording.format(**facts, go=rng.choice(UNSEEN_GO))
    noun = goods if "{goods}" in wording else things
    scratch = Scratch(rng)
    scratch.say(f"There are {n} {noun}.")
    if slip_at is not None:
        scratch.say(f"So {n}-{k}={n - k} are left?", f"Wait, it says all but {k}.")
    scratch.say(f"All but {k} means every one except {k}.", f"So {k} stay.")
    return Problem("all_but", prompt, str(k), scratch.text(), f"There are \\boxed{{{k}}} {noun} left.")
