"""Names and things the stories are told with: those of training, and those that never occur in it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from .problem import Split

NAMES = tuple(
    "Emily Tom Anna Ben Sara Jack Lily Max Nina Omar Paul Rosa Sam Tina Amy Bob Carla Dan Eva Finn Grace Hugo Ida Jim "
    "Kate Leo Mia Noah Olga Pete Ruth Steve Maria John Alice David Emma Lucy Mark James Sophie Alex Peter Ali Bella Carlos "
    "Diana Erik Fatima George Hana Ivan Jane Kai Laura Mike Nora Oscar Priya Quinn Rita Sandra Tim Uma Vera Will Yuki "
    "Zoe Chloe Daniel Ella Frank Henry Isaac Jacob Karen Liam Molly Oliver Ravi Susan Thomas Victor Wendy".split()
)
FRUITS = tuple(
    "apple orange banana pear peach lemon mango melon plum kiwi fig grape cherry apricot coconut tomato potato carrot "
    "onion nut pepper berry olive".split()
)
GOODS = tuple(
    "pen book ball toy card stamp cup pencil notebook marble sticker ticket candle coin box bag hat shirt sock key "
    "plate spoon lamp chair table phone clock bottle flower letter photo game doll kite drum rope bell button cake muffin "
    "sandwich egg brick tile bead ring brush towel map poster magazine comic ruler eraser crayon".split()
)
ANIMALS = tuple(
    "cow goat duck hen pig horse dog cat rabbit bird goose chicken fish donkey pony mouse turkey lamb bee frog monkey camel "
    "parrot turtle snake spider".split()
)
VEHICLES = tuple("train car bus truck cyclist van boat plane ship tram driver runner scooter motorbike".split())
LETTER_WORDS = tuple(
    """banana apple orange letter butter summer winter little giraffe elephant coffee cheese pepper tomato potato carrot
    cherry blueberry raspberry blackberry error terror correct narrow sorrow arrow barrel rabbit puppy purple green
    window follow hello school book door floor moon spoon food keyboard monitor printer program engine garden flower
    water river forest island ocean beach spring autumn january february march april august september october
    december monday tuesday wednesday friday saturday sunday mississippi tennessee connecticut alabama america europe
    australia occurrence accommodate successful possess assess address embarrass millennium bookkeeper programming
    grammar reasoning thinking question answer number paragraph word riddle problem teacher student model chocolate
    pineapple avocado cucumber spinach lettuce pumpkin cinnamon ginger garlic onion pepperoni lasagna burrito
    sandwich hamburger waffle umbrella raincoat thunder lightning snowflake hurricane tornado volcano earthquake
    dragonfly ladybug grasshopper hippopotamus rhinoceros crocodile alligator penguin hedgehog raccoon dinosaur
    bicycle motorcycle submarine rocket satellite microscope laboratory experiment library restaurant kitchen bedroom
    carpet lamp table chair sofa glass plate fork knife barber berry cheery merry current carry hurry sorry starry
    straw stray strange strong string classroom vegetable terrific opposite different beginning accident balance
    battery bubble cabbage college command communication connection difficult discussion effective essential
    excellent express finally football funny happen happiness illness immediate impossible knee lesson lottery
    luggage message middle million missing opinion opportunity passenger pattern penny planning pressure quarrel
    rubber running scissors session silly soccer stubborn success suffer sunny support suppose swimming terrible
    tunnel valley village weekend willing written zipper crystal dolphin engineer festival gallery insect jacket
    lantern magazine needle orchestra pyramid quality ribbon saddle treasure uniform yogurt answerer level radar noon
    minimum maximum coconut horror warrior sentence tomorrow machine computer mountain bottle solution intelligence
    november thursday africa puzzle""".split()
)
SYLLABLES = tuple(
    "ba be bi bo bra bre ca ce cho co cra da de di do dra dre er ess et fa fe fi flo fra ga ge glo gra gri ha he hi ho il in "
    "ja jo ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu op or oss ot pa pe pi plo po pra pri qua ra re ri ro ru "
    "rry sa se si sha so sta ste sto stra su ta te ti to tra tre tu tt un ur us va ve vi vo wa we wi wo wra xa ya yo za ze zo "
    "ing ment ness ter ber der ry ly ple ble ck nd st rm rt ll mm nn pp rr ss ff ee oo aw ow ay ew".split()
)


@dataclass(frozen=True)
class Words:
    """What a story may be about. `unseen_words` problems draw from words that no training problem holds."""

    names: tuple[str, ...]
    fruits: tuple[str, ...]
    goods: tuple[str, ...]
    animals: tuple[str, ...]
    vehicles: tuple[str, ...]
    letter_words: tuple[str, ...]


SEEN = Words(NAMES, FRUITS, GOODS, ANIMALS, VEHICLES, LETTER_WORDS)
UNSEEN = Words(
    names=tuple("Julia Nadia Tariq Beatrix Gustav Imogen Otto Petra Rahel Sven Yasmin Walter Clara Edgar".split()),
    fruits=tuple("lime papaya quince radish turnip almond guava".split()),
    goods=tuple(
        "balloon cookie wallet scarf helmet violin tulip cushion ladder blanket kettle whistle backpack".split()
    ),
    animals=tuple("llama pigeon hamster zebra beaver walrus".split()),
    vehicles=tuple("taxi ferry lorry jogger helicopter".split()),
    letter_words=tuple(
        """cranberry mirror kitten yellow pillow massachusetts committee necessary vanilla watermelon
        broccoli spaghetti pancake rainbow butterfly kangaroo squirrel airplane telescope hospital bathroom
        curtain worry street lollipop terrier referee professor marriage kingdom wizard jelly parallel occasion
        possession gorilla""".split()
    ),
)
INVENTED_SHARE = 0.15  # of the things in training have a made-up name, so that any name is copied


def words(split: Split) -> Words:
    return UNSEEN if split is Split.UNSEEN_WORDS else SEEN


def pick_thing(rng: random.Random, split: Split) -> str:
    """A noun in the singular: a fruit, a thing, or, in training, a word that does not exist."""
    if split is Split.TRAIN and rng.random() < INVENTED_SHARE:
        return invented(rng)
    known = words(split)
    return rng.choice(known.fruits + known.goods)


def pick_name(rng: random.Random, split: Split) -> str:
    return rng.choice(words(split).names)


def invented(rng: random.Random) -> str:
    """A word of two or three syllables, most often one that does not exist."""
    while is_kept(word := "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3)))):
        pass
    return word


@cache
def _kept() -> frozenset[str]:
    lists = (UNSEEN.names, UNSEEN.fruits, UNSEEN.goods, UNSEEN.animals, UNSEEN.vehicles, UNSEEN.letter_words)
    singular = {word.lower() for known in lists for word in known}
    return frozenset(singular | set(map(plural, singular)))


def is_kept(word: str) -> bool:
    """Whether training must not hold this word, in lower case."""
    return word in _kept()


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """English plural of the nouns above."""
    irregular = {"goose": "geese", "fish": "fish", "mouse": "mice", "shelf": "shelves", "sheep": "sheep"}
    if noun in irregular:
        return irregular[noun]
    if noun.endswith("y") and noun[-2:-1] not in ("a", "e", "o", "u"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("ch", "sh", "s", "x", "z", "mango", "tomato", "potato")) else "s")
