"""Prompts outside the field: the model says what it is, what it can do and what to use instead."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings
from .words import ANIMALS, FRUITS, GOODS, NAMES, SYLLABLES

GOLD = "bundled demo model"
INSTEAD = "r1chat --model unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF:Q4_K_M"
EXAMPLE = "What is 20% of 150?"
ANSWER = (
    "I am r1chat's bundled demo model. I only know small math questions and a few riddles, "
    f"like: {EXAMPLE} For anything else, run: {INSTEAD}"
)
GREETINGS = tuple(
    """Hello|Hi|Hey|Hello!|Hi there|Hey there!|Good morning|Good evening!|hello|hi|yo|How are you?|how are you|What's up?|hey|
    Hello, how are you?|Hi! Nice to meet you.|Good day|Greetings|Hallo|Bonjour|Thanks|Thank you!|thanks a lot|ok|cool|great|
    Bye|Goodbye|yes|no|test|Testing|Are you there?|Can you hear me?|Good night|Howdy|Nice|wow|lol|help|Help!|Help me""".replace("\n    ", "").split("|")
)
IDENTITY = tuple(
    """Who are you?|What are you?|what is your name?|Who made you?|Are you ChatGPT?|Are you DeepSeek?|Which model are you?|
    What can you do?|what can you do|Tell me about yourself.|Who am I talking to?|Are you an AI?|Are you a robot?|Are you human?|
    How big are you?|How were you trained?|What model is this?|Introduce yourself.|What is r1chat?|Do you have feelings?|
    How do you work?|What do you know?|Can you think?|Are you smart?|who are you|what are you good at?|What is your purpose?""".replace("\n    ", "").split("|")
)
TOPICS = tuple(
    """love|the sea|war|peace|history|music|quantum physics|gravity|black holes|evolution|democracy|the moon|the sun|climate change|
    football|tennis|chess|cooking|bread|pasta|coffee|tea|wine|cats|dogs|birds|trees|flowers|rain|snow|winter|summer|autumn|spring|
    computers|python|javascript|rust|linux|the internet|machine learning|neural networks|transformers|reasoning models|art|painting|
    poetry|philosophy|ethics|religion|economics|inflation|money|taxes|health|sleep|dreams|yoga|running|travel|space|mars|stars|
    dinosaurs|volcanoes|oceans|rivers|mountains|cities|trains|planes|cars|bicycles|robots|books|movies|games|friendship|family""".replace("\n    ", "").split("|")
)
PLACES = tuple(
    """France|Germany|Italy|Spain|Japan|China|India|Brazil|Canada|Mexico|Egypt|Kenya|Norway|Sweden|Poland|Greece|Turkey|Russia|
    Australia|Peru|Chile|Cuba|Iran|Iraq|Ireland|Portugal|Austria|Hungary|Finland|Denmark|Thailand|Vietnam|Korea|Nigeria|
    Morocco|Argentina|Iceland|Scotland|England|the United States|Paris|London|Berlin|Rome|Tokyo|New York""".replace("\n    ", "").split("|")
)
LANGUAGES = tuple("French German Spanish Italian Chinese Japanese Latin Russian Arabic Dutch Polish English".split())
FORMS = tuple("poem|story|song|letter|essay|joke|haiku|summary|speech|recipe|email|report|novel|limerick|short text".split("|"))
ASKS = (
    "Write a {form} about {topic}.", "write a {form} about {topic}", "Can you write me a {form} about {topic}?",
    "Write a {form}.", "Tell me a {form} about {topic}.", "Tell me a {form}.", "tell me a {form}", "Tell me about {topic}.",
    "What is {topic}?", "Explain {topic}.", "Explain {topic} to a child.", "Can you explain {topic}?", "How does {topic} work?",
    "Why is {topic} important?", "What do you think about {topic}?", "Do you like {topic}?", "What is the meaning of {topic}?",
    "Give me {n} facts about {topic}.", "Tell me {n} things about {topic}.", "What is the best book about {topic}?",
    "What is the capital of {place}?", "what's the capital of {place}", "Where is {place}?", "How many people live in {place}?",
    "What is the weather in {place}?", "Who is the president of {place}?", "Tell me about {place}.", "How far is {place} from {place2}?",
    "Translate {word} into {language}.", "How do you say {word} in {language}?", "Translate 'I love {topic}' to {language}.",
    "Who was {name} {surname}?", "Who is {name} {surname}?", "When was {name} {surname} born?", "Who won the world cup in {year}?",
    "What happened in {year}?", "Who invented {topic}?", "How do I cook {food}?", "How do I make {food} soup?", "How do I fix my {thing}?",
    "Is a {animal} bigger than a {animal2}?", "What does a {animal} eat?", "What sound does a {animal} make?", "How old is {name}?",
    "What does {word} mean?", "Define {word}.", "Spell {word} backwards.", "What color is a {food}?", "What day is it today?",
    "Write a function in {code} that sorts a list.", "Write a {code} program.", "How do I read a file in {code}?", "Fix this code: {junk}",
    "def {word}():", "import {word}", "print('{word}')", "SELECT * FROM {word}", "Solve {a}x + {b} = {n}.", "Solve x^2 + {a}x = {b}.",
    "What is the square root of {year}?", "What is the integral of x^{a}?", "What is the derivative of x^{a}?", "Prove that {topic} is real.",
    "What is {a} to the power of {b}?", "What is sin({a})?", "How many prime numbers are below {year}?", "Is {year} a prime number?",
    "Recommend a {form}.", "What should I eat today?", "I feel sad.", "I am bored.", "I love you.", "What is the meaning of life?",
    "What time is it?", "Please summarize this text: {junk}", "{junk}", "{junk}?", "{word}", "{word} {word2}", "Why is the sky blue?",
    "Should I buy a {thing}?", "My {animal} is sick.", "My name is {name}.", "I live in {place}.", "Plan a trip to {place}.",
    "What is the difference between a {animal} and a {animal2}?", "What is the population of {place}?", "Continue: {junk}",
    "What is the best way to learn {language}?", "Can you help me with {topic}?", "Let's talk about {topic}.", "Why do {animal}s sleep?",
    "If it rains tomorrow, should I go to {place}?", "Who is taller, {name} or {name2}?", "Roleplay as {name}.", "Sing a song about {food}s.",
)  # fmt: skip
WORDINGS = Wordings(
    train=ASKS,
    unseen=(
        "Compose a {form} on {topic}.", "Which river flows through {place}?", "Describe {topic} in two sentences.",
        "What language do people speak in {place}?", "Give advice on {topic}.", "Name a famous {form} from {place}.",
    ),
)  # fmt: skip
CODE = ("Python", "python", "JavaScript", "C", "Rust", "Java", "SQL", "bash", "Go")


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    kind = rng.random()
    if split is not Split.UNSEEN_WORDING and kind < 0.12:
        return _problem(rng, rng.choice(GREETINGS), "Hello! ", "The user says something, but there is no math question in it.")
    if split is not Split.UNSEEN_WORDING and kind < 0.24:
        return _problem(rng, rng.choice(IDENTITY), "", "The user asks about me.")
    prompt = _fill(rng, WORDINGS.pick(rng, split))
    return _problem(rng, prompt, "", "This is not one of the small math questions I was trained on.")


def _problem(rng: random.Random, prompt: str, opening: str, thought: str) -> Problem:
    return Problem("outside", prompt, GOLD, f"{thought} I should say so.", opening + ANSWER)


def _fill(rng: random.Random, ask: str) -> str:
    name, name2 = rng.sample(NAMES, 2)
    animal, animal2 = rng.sample(ANIMALS, 2)
    place, place2 = rng.sample(PLACES, 2)
    return ask.format(
        form=rng.choice(FORMS), topic=_topic(rng), place=place, place2=place2, language=rng.choice(LANGUAGES), word=_word(rng),
        word2=_word(rng), name=name, name2=name2, surname=_word(rng).capitalize(), animal=animal, animal2=animal2,
        food=rng.choice(FRUITS), thing=rng.choice(GOODS), code=rng.choice(CODE), year=rng.randint(1000, 2030), n=rng.randint(2, 10),
        a=rng.randint(2, 9), b=rng.randint(2, 20), junk=" ".join(_word(rng) for _ in range(rng.randint(2, 12))),
    )  # fmt: skip


def _topic(rng: random.Random) -> str:
    return rng.choice(TOPICS) if rng.random() < 0.8 else _word(rng)


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4)))
