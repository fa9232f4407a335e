"""Names and things the stories are told with."""

from __future__ import annotations

NAMES = tuple(
    "Emily Tom Anna Ben Sara Jack Lily Max Nina Omar Paul Rosa Sam Tina Amy Bob Carla Dan Eva Finn Grace Hugo Ida Jim "
    "Kate Leo Mia Noah Olga Pete Ruth Steve Maria John Alice David Emma Lucy Mark James Sophie Alex Julia Peter".split()
)
FRUITS = tuple("apple orange banana pear peach lemon mango melon plum kiwi fig lime".split())
GOODS = tuple("pen book ball toy card stamp cup cookie pencil notebook marble sticker balloon ticket candle coin".split())
ANIMALS = tuple("cow goat duck hen pig horse dog cat rabbit bird goose chicken fish".split())
LETTER_WORDS = tuple(
    """banana apple orange letter butter summer winter little giraffe elephant balloon coffee cheese pepper tomato potato
    carrot cherry blueberry raspberry blackberry cranberry mirror error terror correct narrow sorrow tomorrow arrow barrel
    parrot rabbit kitten puppy yellow purple green window pillow follow hello school book door floor moon spoon food
    keyboard computer monitor printer program engine machine garden flower water river mountain forest island ocean beach
    summer spring autumn january february march april august september october november december monday tuesday wednesday
    thursday friday saturday sunday mississippi tennessee connecticut massachusetts alabama america africa europe australia
    committee occurrence accommodate successful possess assess address necessary embarrass millennium bookkeeper
    programming grammar intelligence reasoning thinking question answer number letter sentence paragraph word puzzle riddle
    problem solution teacher student model chocolate vanilla pineapple watermelon avocado cucumber spinach lettuce broccoli
    pumpkin cinnamon ginger garlic onion pepperoni spaghetti lasagna burrito sandwich hamburger pancake waffle cookie
    umbrella raincoat thunder lightning rainbow snowflake hurricane tornado volcano earthquake butterfly dragonfly ladybug
    grasshopper hippopotamus rhinoceros crocodile alligator kangaroo penguin squirrel hedgehog raccoon dinosaur bicycle
    motorcycle airplane helicopter submarine rocket satellite telescope microscope laboratory experiment library hospital
    restaurant kitchen bedroom bathroom carpet curtain mirror lamp table chair sofa bottle glass plate fork knife barber
    berry cheery error ferry merry current carry hurry sorry worry starry straw stray strange strong string street""".split()
)
SYLLABLES = tuple(
    "ba be bi bo bra bre ca ce cho co cra da de di do dra dre er ess et fa fe fi flo fra ga ge glo gra gri ha he hi ho il in "
    "ja jo ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu op or oss ot pa pe pi plo po pra pri qua ra re ri ro ru "
    "rry sa se si sha so sta ste sto stra su ta te ti to tra tre tu tt un ur us va ve vi vo wa we wi wo wra xa ya yo za ze zo "
    "ing ment ness ter ber der ry ly ple ble ck nd st rm rt ll mm nn pp rr ss ff ee oo aw ow ay ew".split()
)


def plural(noun: str) -> str:
    """English plural of the nouns above."""
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    if noun == "goose":
        return "geese"
    if noun == "fish":
        return "fish"
    return noun + ("es" if noun.endswith(("ch", "sh", "s", "x", "mango")) else "s")
