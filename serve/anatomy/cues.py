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


def _within(n_chars: int, lines: str) -> re.Pattern[str]:
    """One of the phrases in a sentence's first characters."""
    return re.compile(rf".{{0,{n_chars}}}?\b(?:{_phrases(lines)})", re.IGNORECASE | re.DOTALL)


_LINKS = "so|but|and|now|then|okay|ok|well|oh|ah|yes|yeah|yep|right|alright|also|however|still|hmm+|hm"
_DOUBTS = _LINKS + "|no|wait|hold on|maybe|perhaps"
_VERIFY = (
    r"(?:just |also |quickly |now |try to |go back and )*(?:re-?)?(?:(?:double|triple|cross)[- ]?)?"
    r"(?:verify|check|confirm|validate|retrace|test|make sure|ensure|be sure|count again|calculate again)\b"
)
_WILL = r"(?:'ll| will| should| need to| want to| can| could| must| have to|'d better)"

_CHECK = _starts(
    _DOUBTS,
    rf"""
    (?:just |and )*to (?:be (?:sure|certain|safe|thorough)|{_VERIFY})
    (?:double[- ])?check(?:ing)?\b
    testing\b
    verif(?:y|ying|ication)\b
    (?:as a )?sanity check
    plug(?:ging)? (?:it|them|this|these|that|back|in)\b
    does (?:this|that|it) (?:work|satisfy|match|fit|hold|make sense|add up)
    is (?:this|that|it) (?:correct|right|true|valid)
    (?:that|this|it|everything) (?:checks out|adds up|is consistent|all fits|matches)
    验证|检查|核对|让我再?(?:验证|检查)
    """,
)
_CHECK_WITHIN = _within(80, rf"(?:let's|let me|let us|(?:i|we){_WILL}) {_VERIFY}")
_ALTERNATIVE = _starts(
    _DOUBTS,
    r"""
    alternatively\b
    another (?:way|approach|idea|thought|possibility|interpretation|method|angle|option|thing|perspective|strategy)
    or (?:maybe|perhaps|alternatively|is it)\b
    on the other hand
    what if\b
    instead of \w+ing\b
    let's (?:think differently|look at it differently)
    (?:let's|let me) try (?:another|a different|something)
    (?:there(?:'s| is) another|a different|another) (?:way|approach|method|answer|solution|possibility)
    (?:i|we) (?:should|could|can|might) also (?:consider|try|think)
    the (?:question|problem|user|puzzle) (?:means|meant|intends|intended|refers)\b
    另一种|或者|换一?[种个]
    """,
)
_REFLECTION = _starts(
    _LINKS + "|no",
    r"""
    (?:wait|hold on|hang on|oops|actually|scratch that|on second thought)\b
    nope\b|no[,.:!]|not quite
    but (?:why|how)\b
    (?:why|how) (?:is|are|would|does|do|did|could|can)\b.{0,200}\?
    (?:that|this|it)(?:'s| is) not (?:right|correct|possible|helpful|good)
    (?:that|this|it)(?:'s| is) (?:wrong|incorrect|confusing|contradictory|impossible|redundant)
    (?:that|this|it) (?:can't|cannot|contradicts|conflicts)\b
    am i\b|did i\b|have i\b
    等等|等一下|不对
    """,
)
_REFLECTION_WITHIN = _within(
    120,
    r"""
    (?:that|which|this|it) (?:doesn't|does not|wouldn't|would not) (?:make sense|work|add up|help|fit|match)
    can't be right|cannot be right|doesn't seem right|seems (?:wrong|off|odd|contradictory)
    i(?:'m| am| was| might be| may be|'ve been)? (?:not sure|unsure|confus|wrong|mistaken|missing|stuck)
    i(?:'m| am| was| might be| may be) (?:overthinking|overcomplicating|oversimplifying)
    (?:made|is|be|was) (?:a|some|an) (?:mistake|error|typo|misphras|misstatement|misunderstanding)
    i (?:must have |may have |might have )?(?:mis(?:read|interpret|underst|count|calc)|forgot)
    earlier i (?:thought|said|assumed|had)\b
    """,
)
_TENTATIVE = _within(120, r"maybe|perhaps|possibly|probably|might|if|whether|unless|alternatively")
_FINAL = re.compile(
    _phrases(r"""
    .{0,200}?(?:\\boxed\{|\bfinal (?:answer|result)\b)
    .{0,120}?\b(?:the|my) (?:\w+ )?answer (?:is|should be|must be|would be|should definitely be)\b
    .{0,120}?\bis (?:indeed |definitely )?the (?:correct|right|best|standard|intended|final) answer\b
    \W*(?:so|therefore|thus|hence)?,? ?(?:i think )?(?:that's )?(?:the |my )?answer\s*(?:[:.]|is\b|should\b|$)
    \W*(?:so|therefore|yes|well)?,? ?(?:i think )?i(?:'ll| will| should| would) (?:just )?(?:go|stick) with\b
    \W*(?:so|therefore|thus)?,? ?(?:putting|to put) (?:it|this|everything) (?:all )?together
    \W*(?:in (?:conclusion|summary|short)|to (?:summari[sz]e|sum up|conclude|recap)|overall,)
    .{0,40}?\bi(?:'m| am) (?:now |pretty |quite |very |fairly )*(?:confident|convinced|certain)\b
    \W*(?:最终答案|综上|因此,?答案|所以,?答案)
    """),
    re.IGNORECASE | re.DOTALL,
)
_CONCLUDES = re.compile(r"\W*(?:so|therefore|thus|hence|overall|finally|yes)\b", re.IGNORECASE)
_SETUP = _starts(
    _LINKS,
    r"""
    (?:let me|let's) (?:re-?)?read\b
    (?:first,? )?the (?:question|problem|user|puzzle|riddle|statement) (?:is|says|asks|states|said|mentioned)\b
    """,
)
_STILL_SETUP = _starts(
    _LINKS + "|first|next",
    r"""
    (?:i|we) (?:need|have|want) to\b
    i(?:'ll|’ll| will| should| must) (?:identify|define|restate|understand|note|list)\b
    the (?:question|problem|goal|user|task|puzzle|riddle|statement|main points)\b
    given\b
    (?:we|i)(?:'re| are|'m| am) (?:given|told|asked|trying)
    (?:let's|let me|let us) (?:denote|define|label|call|restate|rephrase|paraphrase|parse|understand)\b
    (?:let's|let me|let us) break (?:it|this|the)\b
    let \S{1,12} (?:be|denote)\b
    """,
)
_WORKS = _starts(
    "so|okay|now|then", r"(?:let me|let's) (?:compute|calculate|solve|simplify|substitute|expand|write)\b|next,"
)


def cue(sentence: str, *, opens: bool, early: bool, late: bool) -> Kind | None:
    """What the sentence shows that it does; None where it shows nothing.

    `opens`: it is a paragraph's first. `early`: what is asked is still being set up. `late`: the thought is ending.
    """
    read = sentence[:_READ]
    if _CHECK.match(read) or _CHECK_WITHIN.match(read):
        return "check"
    if _ALTERNATIVE.match(read):
        return "alternative"
    if _REFLECTION.match(read):
        return "reflection"
    if _is_final(read, opens and late):
        return "final"
    if _REFLECTION_WITHIN.match(read):
        return "reflection"
    if opens and (_SETUP.match(read) or (early and _STILL_SETUP.match(read))):
        return "setup"
    return "try" if _WORKS.match(read) else None


def _is_final(read: str, ends: bool) -> bool:
    if read.rstrip().endswith("?") or _TENTATIVE.match(read):
        return False
    return _FINAL.match(read) is not None or (ends and _CONCLUDES.match(read) is not None)
