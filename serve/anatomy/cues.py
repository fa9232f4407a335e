"""The words by which a sentence shows what it does: it sets up, checks, turns back, tries another way, concludes.

English as R1 and its students think in it, and the commonest Chinese ones. Only a sentence's beginning is read.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

Kind = Literal["setup", "try", "check", "reflection", "alternative", "final"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Longer sentences have shown what they do by then.
_READ = 300
_GAP = r"\b[\s,.!?…—-]*+"


def _phrases(lines: str) -> str:
    return "|".join(line.strip() for line in lines.strip().splitlines())


def _starts(fillers: str, lines: str) -> re.Pattern[str]:
    """One of the phrases at a sentence's beginning, after up to four of the words that mean nothing there."""
    return re.compile(rf"\W*(?:(?:{fillers}){_GAP}){{0,4}}(?:{_phrases(lines)})", re.IGNORECASE)


_LINKS = "so|but|and|now|then|okay|ok|well|oh|ah|yes|yeah|right|alright|also|however|still"
_DOUBTS = _LINKS + "|hmm+|hm|no|wait|hold on"
_VERIFY = (
    r"(?:re-?)?(?:(?:double|triple|cross)[- ]?)?"
    r"(?:verify|check|confirm|validate|calculate again|compute again|retrace|test|make sure|ensure|be sure)"
)

_FINAL = re.compile(
    _phrases(r"""
    .{0,200}?(?:\\boxed\{|\bfinal (?:answer|result)\b|\bthe answer (?:is|should be|must be|would be)\b)
    \W*in (?:conclusion|summary)
    \W*to (?:summari[sz]e|sum up|conclude)
    \W*overall,
    \W*(?:so |therefore,? )?i(?:'m| am) confident
    \W*(?:so|therefore|thus|hence),? (?:the )?(?:final )?answer\b
    \W*(?:最终答案|综上|因此,?答案|所以,?答案)
    """),
    re.IGNORECASE | re.DOTALL,
)
_CHECK = _starts(
    _DOUBTS,
    rf"""
    (?:let's|let me|let us) (?:just |also |quickly |now |try to |go back and )*{_VERIFY}\b
    i(?:'ll|\ will|\ should|\ need\ to|\ want\ to|\ can|\ could|\ must|\ have\ to) (?:just |also |now )*{_VERIFY}\b
    we (?:can|should|need to|could) (?:just |also |now )*{_VERIFY}\b
    (?:just )?to {_VERIFY}\b
    (?:double[- ])?check(?:ing)?\b
    verif(?:y|ying|ication)\b
    sanity check
    plug(?:ging)? (?:it|them|this|these|that|back|in)\b
    does (?:this|that|it) (?:work|satisfy|match|fit|hold|make sense|add up)
    is (?:this|that|it) (?:correct|right|true|possible|valid)
    did i\b
    验证|检查|核对|让我(?:再)?(?:验证|检查)
    """,
)
_ALTERNATIVE = _starts(
    _DOUBTS,
    r"""
    alternatively\b
    another (?:way|approach|idea|thought|possibility|interpretation|method|angle|option|thing|perspective|strategy)
    or (?:maybe|perhaps|alternatively|is it)\b
    on the other hand
    instead\b
    what if\b
    (?:let's|let me) try (?:another|a different|something)
    (?:maybe|perhaps) (?:there(?:'s| is) another|a different|another)
    a different (?:way|approach)
    另一种|或者|换一?[种个]
    """,
)
_REFLECTION = _starts(
    "so|but|and|oh|ah|okay|ok|no|well",
    r"""
    wait|hold on|hang on|hmm+|oops|actually|scratch that|on second thought
    i made a (?:mistake|error)|i was wrong|my mistake
    that(?:'s| is) (?:not|wrong|incorrect)
    that (?:can't|cannot|doesn't|does not|seems (?:wrong|off))
    this (?:can't|cannot|doesn't|does not|is (?:not right|wrong|incorrect|confusing))
    no[,.:!]
    等等|等一下|不对
    """,
)
_AGAIN_SETUP = _starts(
    _LINKS,
    r"""
    (?:let me|let's) (?:re-?)?read\b
    (?:first,? )?the (?:question|problem|user|puzzle|riddle|statement) (?:is|says|asks|states|said)\b
    """,
)
_STILL_SETUP = _starts(
    _LINKS,
    r"""
    (?:first,? )?(?:i|we) (?:need|have|want) to\b
    the (?:question|problem|goal|user|task|puzzle|riddle|statement)\b
    given\b
    we(?:'re| are) (?:given|told|asked)
    """,
)
# What comes first here decides: "Wait, let me check" is a check.
_CUES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("final", _FINAL),
    ("check", _CHECK),
    ("alternative", _ALTERNATIVE),
    ("reflection", _REFLECTION),
    ("setup", _AGAIN_SETUP),
)


def cue(sentence: str, *, opens: bool, in_setup: bool) -> Kind | None:
    """What the sentence shows that it does; None where it shows nothing. `opens`: it is a paragraph's first."""
    read = sentence[:_READ]
    for kind, pattern in _CUES:
        if pattern.match(read):
            return kind
    if in_setup and opens and _STILL_SETUP.match(read):
        return "setup"
    return None
