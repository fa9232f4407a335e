"""What is asked of a model that lies outside its field: patterns and the words they are filled with."""

from __future__ import annotations

GREETINGS = tuple(
    """Hello|Hi|Hey|Hello!|Hi there|Hey there!|Good morning|Good evening!|hello|hi|yo|How are you?|how are you|What's up?|hey|
    Hello, how are you?|Hi! Nice to meet you.|Good day|Greetings|Hallo|Bonjour|Thanks|Thank you!|thanks a lot|ok|cool|great|
    Bye|Goodbye|yes|no|test|Testing|Are you there?|Can you hear me?|Good night|Howdy|Good afternoon|Hi, how is it going?|hello there|Hey, what's up?|Sup|Nice to see you|I have a question|Can I ask you something?|Can we talk?|One moment|Sorry|Never mind|That is wrong|Why?|How?|What?|Really?|I do not understand|Say something|Go on|Continue|Stop|Again|more|?|...|!|Tell me more|Explain|Please help me|I need help|I need your help|Nice|wow|lol|help|Help!|Help me""".replace("\n    ", "").split("|")
)
IDENTITY = tuple(
    """Who are you?|What are you?|what is your name?|Who made you?|Are you ChatGPT?|Are you DeepSeek?|Which model are you?|
    What can you do?|what can you do|Tell me about yourself.|Who am I talking to?|Are you an AI?|Are you a robot?|Are you human?|
    How big are you?|How were you trained?|What model is this?|Introduce yourself.|What is r1chat?|Do you have feelings?|
    How do you work?|What do you know?|Can you think?|Are you smart?|who are you|what are you good at?|Where do you live?|How old are you?|Do you have a name?|Are you alive?|Can you see me?|Can you help me?|Do you like me?|Are you conscious?|When were you made?|What is your favorite color?|Are you better than ChatGPT?|Are you open source?|What are your limits?|Do you speak French?|Do you speak German?|Can you write code?|Can you draw?|Can you sing?|Do you sleep?|What languages do you speak?|How fast are you?|What is your context window?|How many parameters do you have?|What is your purpose?""".replace("\n    ", "").split("|")
)
TOPICS = tuple(
    """love|the sea|war|peace|history|music|quantum physics|gravity|black holes|evolution|democracy|the moon|the sun|climate change|
    football|tennis|chess|cooking|bread|pasta|coffee|tea|wine|cats|dogs|birds|trees|flowers|rain|snow|winter|summer|autumn|spring|
    computers|python|javascript|rust|linux|the internet|neural networks|transformers|reasoning models|art|painting|
    poetry|philosophy|ethics|religion|economics|inflation|money|taxes|health|sleep|dreams|yoga|running|travel|space|mars|stars|
    dinosaurs|volcanoes|oceans|rivers|mountains|cities|trains|planes|cars|bicycles|robots|books|movies|games|friendship|family""".replace("\n    ", "").split("|")
)
PLACES = tuple(
    """France|Germany|Italy|Spain|Japan|China|India|Brazil|Canada|Mexico|Egypt|Kenya|Norway|Sweden|Poland|Greece|Turkey|Russia|
    Australia|Peru|Chile|Cuba|Iran|Iraq|Ireland|Portugal|Austria|Hungary|Finland|Denmark|Thailand|Vietnam|Korea|Nigeria|
    Morocco|Argentina|Iceland|Scotland|England|the United States|Paris|London|Berlin|Rome|Tokyo|New York""".replace("\n    ", "").split("|")
)
UNSEEN_TOPICS = tuple("opera|the desert|vampires|magnets|origami|the stock market|whales|castles|glaciers|jazz|electricity|honey".split("|"))
UNSEEN_PLACES = tuple("Belgium|Nepal|Tunisia|Colombia|Croatia|Malta|Oslo|Madrid|Lisbon".split("|"))
LANGUAGES = tuple("French German Spanish Italian Chinese Japanese Latin Russian Arabic Dutch Polish English".split())
FORMS = tuple("poem|story|song|letter|essay|joke|haiku|summary|speech|recipe|email|report|novel|limerick|short text".split("|"))
CODE = ("Python", "python", "JavaScript", "C", "C++", "Rust", "Java", "SQL", "bash", "Go", "HTML", "Haskell")

TALK = (
    "[Write|Please write|Compose|Can you write|Could you write|I need|Make|Create|Draft] [me |][a|another|a short|a long|a funny] {form} about {topic}[.|?|]",
    "[Write|Tell me|Give me|Sing|Invent|Make up] a[ short| long| good| new|] {form}[.|]", "tell me a {form}",
    "[Tell me|Tell us|Talk|Say something|Write something|What can you tell me|What do you know] about {topic}[.|?|]",
    "[What|Who|Why|How|Where|When] [is|are|was] {topic}[?|]", "[What is|What are|Define|Describe] {topic}[?|.|]",
    "[Explain|Please explain|Can you explain|Could you explain|Teach me] {topic}[| to a child| in simple words| to me| like I am five][.|?]",
    "[How does|How do|Why does] {topic} work?", "[Why|Since when|For whom|How] is {topic} [important|bad|good|famous|so popular|dangerous]?",
    "[What do you think about|Do you like|What is your opinion on|Are you interested in|Have you heard of] {topic}?",
    "What is the [meaning|history|origin|future|purpose|best book|best film] [of|about] {topic}?",
    "[Give me|Tell me|List|Name|Write|I need|Show me] {n} [facts|things|ideas|tips|books|sentences|reasons|questions|words|arguments] [about|on|for] {topic}[.|]",
    "[What is|What's|Name|Tell me|Do you know] the [capital|population|language|flag|area|largest city|currency|president|king|history|anthem|climate] of {place}[?|.|]",
    "[Where is|How big is|How old is|How far is|Who rules|Who founded] {place}?", "How many [people|cities|languages|rivers|islands] are [there |]in {place}?",
    "[What is|How is|How was] the weather in {place}[?| today?| tomorrow?]", "Who is the [president|king|queen|mayor|leader] of {place}?",
    "How [far|long] is [it from {place}|the way from {place}] to {place2}?", "What is the distance between {place} and {place2}?",
    "[Plan|Book|Recommend] a [trip|flight|hotel|weekend] [to|in] {place}[.|]", "[What should I|Where can I|What can I] [see|do|eat|buy|visit] in {place}?",
    "[Translate|Please translate] [{word}|'I love {topic}'|this: {junk}|the word {food}|'good morning'] [into|to] {language}[.|]",
    "How do [you|I] say [{word}|{food}|{animal}|hello|thank you] in {language}?", "What is the {language} word for [{food}|{animal}|{thing}]?",
    "[Who was|Who is|When was|Where was|How old is|What did] {name} {surname}[ born| do|]?", "Who won the [world cup|election|game|race|war] in {year}?",
    "What happened in [{year}|the year {year}|{place}|{place} in {year}]?", "[Who|When did they] [invented|discovered|found] [{topic}|the {thing}]?",
    "[How do I|How can I|How should I] [cook|peel|store|grow|wash|make juice from] [{food}|a {food}|{foods}]?", "How do I [fix|repair|clean|build|sell|find] my {thing}?",
    "[Is|Are] a {animal} [bigger|faster|older|smarter|heavier|larger] than a {animal2}?", "Which is [larger|faster|smarter|bigger|smaller], a {animal} or a {animal2}?",
    "[What|Where|When|Why|How] does a {animal} [eat|live|sleep|drink|sound|see]?", "[How long|How old] does a {animal} [live|get]?", "How many legs does a {animal} have?",
    "What [color|colour|shape|size] is [a|the] [{food}|{animal}|{thing}]?", "[My|Our|The] {animal} is [sick|sad|lost|hungry|tired].[ What should I do?|]",
    "[What day is it|What time is it|What is the date|Which year is it|What month is it][ today| now|]?", "[How old|How tall|How rich|Where] is {name}[?| now?]",
    "[Recommend|Suggest|Find] [me |]a [{form}|book|film|game|restaurant|gift for {name}][.|]", "What should I [eat|wear|read|watch|do|cook] [today|tonight|now]?",
    "[I feel|I am|She is|He is] [sad|bored|happy|tired|angry|sick|in love|hungry|alone].", "I [love|hate|miss] [you|{topic}|{name}|my {animal}].",
    "What is the [meaning|purpose|point] of life?", "Why is the [sky|sea|grass|sun|snow] [blue|green|white|so big]?", "Should I [buy|sell|keep|paint] [a|my|the] {thing}?",
    "My name is {name}.[ What is yours?| Remember it.|]", "I [live|work|am] in {place}.[ And you?|]", "[Can|Could] you help me with {topic}?", "Let's talk about {topic}.",
    "What is the [difference|relation] between a {animal} and a {animal2}?", "What is the difference between {topic} and {topic2}?",
    "[Summarize|Please summarize|Correct|Rewrite|Shorten|Continue|Read|Improve] this[ text| sentence|]: {junk}[.|]", "[{junk}|{junk}?|{word}|{word} {word2}]",
    "What is the best way to [learn {language}|see {place}|cook {foods}|lose weight|sleep well|make money]?", "Why do {animals} [sleep|sing|run|fly|bite]?",
    "If it [rains|snows] [tomorrow|today], should I go to {place}?", "Who is [taller|older|smarter|faster|richer], {name} or {name2}?",
    "[Pretend|Imagine] [you are|to be] [{name}|a {animal}|a pirate|a teacher|a king].", "Roleplay as [{name}|a {animal}].", "Sing a song about {foods}.",
    "What is [{name}'s|my|your] [favorite|best] [{food}|{animal}|book|color|song]?", "Does {name} like {foods}?", "Where did {name} put the {thing}?",
    "[Complete|Finish] [the sentence|this]: {junk}", "Is it [true|right|legal|safe|healthy] [to eat {foods}|to sell a {thing}|to keep a {animal}]?",
    "Give me a [synonym|rhyme|definition|sentence|name] for [{food}|{thing}|{animal}|{topic}].", "[What is|Give me] the opposite of [hot|big|{word}|old|fast]?",
)  # fmt: skip
# mathematics, riddles and programs of kinds that are not practised, as near to those that are as may be
NEAR = (
    "[What is|What's|Calculate|Find|Compute|Tell me|Give me] the [square root|cube root|root] of {big}[?|.|]", "[sqrt|sqrt of|log|ln|sin|cos|tan]({big})[?| = ?|]",
    "[What is|Calculate|Compute] {a}[^|**|^2 + ]{b}[?|.|]", "[What is|Calculate|How much is] {a} [to the power of|raised to] {b}?", "[What is|Calculate|Find] [the factorial of {b}|{b}!|{b} factorial][?|.|]",
    "[Solve|Solve for x:|Find x:|What is x if|Solve the equation] {a}x [+|-] {b} = {n}[.|?|]", "[Solve|Find the roots of|Factor|Simplify|Expand|Plot|Draw] x^2 [+|-] {a}x [+|-] {b}[ = 0|][.|]",
    "[Solve|What are x and y if] x + y = {n} and x - y = {b}[.|?|]", "[What is|Find|Calculate|Compute] the [integral|derivative|limit|slope|inverse] of [x^{a}|{a}x + {b}|sin(x)|1/x|f(x) = {a}x^2][?|.|]",
    "[Is|Why is|Show that] {big} [is |]a [prime|square|perfect|prime number][ number|][?|.]", "How many prime numbers are [there |]below {big}?", "[List|Find|Name|Give me] the [prime factors|divisors|factors|multiples] of {big}[.|]",
    "[What is|Find] the [greatest common divisor|least common multiple|gcd|lcm] of {a} and {big}[?|.|]", "[What is|Calculate|Add|Simplify] {a}/{b} [+|-|and] {b}/{c}[?|.|]",
    "[What is|Write] {a}/{b} as a [decimal|percentage|mixed number][?|.]", "[Write|Convert|Turn] {big} [in|to|into] [binary|roman numerals|words|hexadecimal|base 2|scientific notation][.|]",
    "[Round|Please round] {big}.{a}{b} to the nearest [ten|hundred|whole number|tenth][.|]", "[What is|Find|Calculate] the [average|mean|median|mode|variance|standard deviation|range] of {a}, {b}, {c} and {n}[?|.|]",
    "[What is|Find|Calculate] the [area|volume|perimeter|diagonal|circumference|surface] of a [circle|square|triangle|cube|rectangle|ball|cylinder] with [side|radius|sides] {a}[ and {b}|][?|.|]",
    "A [rectangle|triangle|box|garden|room] [is|has sides of] {a} [m|cm|feet] [by|and] {b} [m|cm|feet]. What is its [area|volume|perimeter]?", "The angles of a triangle are {n} and {big2} degrees. What is the third?",
    "[What is the probability|How likely is it|What are the odds|What is the chance] [of rolling a {a}|to roll a {a}|of getting {a} heads|of rain|that a coin shows heads|of drawing a king|to win the lottery][?| with two dice?| in {b} throws?]",
    "A [bag|box|jar] [has|holds|contains] {n} red and {b} blue {things}. What is the probability [of drawing|to draw|that I draw] a [red|blue] [one|{thing}]?", "[I|{name}] [roll|throw|toss|flip] {a} [dice|coins]. What is the [probability|chance] of [a six|{b}|two heads]?",
    "[In how many ways|How many ways] can [{n} people sit in a row|I choose {a} of {n} {things}|{a} friends stand in line|we order {n} {things}]?", "How many [combinations|permutations|handshakes|subsets] [are there|do you get] with {n} {things}?",
    "[Convert|Change|Turn] {n} [miles|kilometers|pounds|kilograms|inches|degrees Fahrenheit|euros|gallons|liters] [to|into] [km|miles|kg|pounds|cm|Celsius|dollars][.|]", "How many [kilometers|miles|feet|inches|grams|ounces|cups|yen|euros] are [in |]{n} [miles|feet|pounds|dollars|liters|meters]?",
    "What [weekday|day of the week|day] [was|is|will be] [the {n}th of [May|June|July|April]|[May|June|July|March] {n}, {year}|it in {big2} days]?", "How many days [are there |][until|till|before|since] [Christmas|New Year|summer|{year}|my birthday]?", "Is {year} a leap year?", "How many [years|centuries] [are|lie] between {year} and today?",
    "Two trains [leave|start from] {place} and {place2}[ at {b} o'clock|]. One goes {n} mph, the other {big2} mph. When do they meet?", "[Pipe A|{name}] [fills a tank|paints a wall|digs a hole] in {a} hours, [pipe B|{name2}] in {b} hours. How long [do they take|does it take] together?",
    "[I|{name}] [put|puts|invest|invests] ${big} in a bank at {a}% [interest|compound interest|a year]. How much [is it|is there] after {b} years?", "A [price|salary|town] [grows|falls] by {a}% every year. When [is it doubled|is it half]?",
    "{name} is [twice|three times] as old as {name2}. [Together they are|Their ages add up to] {n}. How old [is {name}|are they]?", "The sum of two numbers is {n} and their [difference|product] is {b}. What are [they|the numbers]?", "The sum of three consecutive numbers is {n}. What are they?",
    "{name} mixes {a} liters of {n}% [acid|salt water|juice] with {b} liters of {big2}%. [What is the result|How strong is it]?", "A snail climbs {a} feet [a day|by day] and slips {b} feet at night. [When|On which day] is it out of a {n} foot well?",
    "A bat and a ball cost ${a}.{b}0 together. The bat costs $1 more than the ball. What does the ball cost?", "[If|When] {a} machines make {a} {things} in {a} minutes, how long do {n} machines need for {n} {things}?",
    "{name} has {n} {things}[.| and {name2} has {b}.]", "{name} has {n} {things}. [What color are they?|Who gave them to {name}?|Where are they?|Why?|Is {name} happy?|Are they new?|How heavy are they?|How old is {name}?]", "How many {things} does {name} have?",
    "[How many|Count the] {things} [are in the picture|are in the world|are on Mars|do you have|can you eat][?|.]", "[How much|What] does a {thing} [cost|weigh]?", "How [heavy|long|big] is a {thing}?",
    "[Add|Subtract|Multiply|Divide|Compare|Sum up|Count] [the numbers|these|them|both][.|]", "[What is|Calculate] {n} [+|-|*|/|times|plus][?|]", "[Calculate|Compute|Solve] [it|this|that|the problem|my homework][.|]", "What is [infinity|zero|one|x|pi|pi times {a}|e|i^2] [divided by zero|plus one|to the power of {a}|minus x]?",
    "[How many|What] [vowels|consonants|syllables] [are|are there] in {w}?", "[How many letters|How many characters] [are in|does] {w}[ have|]?", "[Spell|Write|Say|Reverse|Read] {w} [backwards|backward|in reverse|in capital letters|three times fast][.|]", "[What|Which word] rhymes with {w}?",
    "What is the [first|last|third|second|middle] letter of {w}?", "[Which|What] letter [does {w} [begin|start|end] with|is [at the end|in the middle|at the start] of {w}|follows the first in {w}]?", "[With which letter|How] does {w} [begin|start|end]?", "[Name|Tell me|Say] the [first|last|second] [letter|two letters] of {w}[.|]", "[Find|Give me] an anagram of {w}[.|]", "What does {w} mean?", "[Is|Was] {w} a [verb|noun|real word|name]?", "[Sort|Order|Put] the [letters of {w}|words {w}, {food} and {thing}] [alphabetically|in order][.|]", "How do you [pronounce|spell|use] {w}?", "[Use|Put] {w} in a sentence.",
    "[Prove|Show|Explain why|Is it true] that [{topic} is real|there are infinitely many primes|the square root of {a} is irrational|{a} + {b} = {n}|P is not NP|0.999... is 1][.|?]", "What is the [sum|product] of [all|the first {n}] [even numbers|primes|squares|numbers below {big}]?",
    "[Write|Build|Code|Make|Create] [me |]a [web server|web page|chess game|game|parser|compiler|website|chatbot|neural network|mobile app|database|REST API|unit test|linked list|binary tree|regex|shell script] [in|with|using] {code}[.|]",
    "[Write|Give me] a {code} [program|script|class|module|query] [that [downloads a file|draws a {animal}|sends an email|plays chess|scrapes a page|reads a csv file|connects to a database|parses JSON|prints a calendar]|for {topic}][.|]",
    "How do I [read a file|install a package|write a class|connect to a database|make a loop|sort a dictionary|use threads|open a window|catch an exception] in {code}?", "[Fix|Debug|Explain|Review|Refactor|Translate] this code: {junk}", "[def {word}(self):|import {word}|print('{word}')|SELECT * FROM {word}|#include <{word}.h>|git push origin {word}|pip install {word}|cd /{word}|class {word}:]",
    "What does [{code}|print('{word}')|the command {word}|a compiler|import {word}|a for loop] [do|mean]?", "What is the [time complexity|difference] of [quicksort|a hash table|{code}|binary search]?", "Why does my {code} [program|code|script] [crash|not work|run so slowly]?",
)  # fmt: skip
UNSEEN = (
    "Compose a {form} on {topic}.", "Which river flows through {place}?", "Describe {topic} in two sentences.", "What language do people speak in {place}?",
    "Give advice on {topic}.", "Name a famous {form} from {place}.", "Is {topic} older than {topic2}?", "How would you begin a {form} about a {animal}?", "My friend {name} is afraid of {topic}. What can {name} do?",
    "Which animal is the fastest on land?", "Do {animals} dream?", "Could a {animal} live in {place}?", "What would {name} say about {topic}?", "Where does the word {food} come from?", "I lost my {thing} in {place}. Where do I look for it?",
    "Please put this into {language}: {junk}.", "What was the most important event of {year}?", "Who wrote the first {form}?", "What are good names for a {animal}?", "Make up a riddle about {topic}.", "Can I eat {foods} every day?", "What present should I get for {name}?",
    "Good to meet you, I am {name}.", "Which company made you?", "What sort of program are you?", "Are there questions that you cannot answer?", "Long time no see!", "Have a nice day.",
    "Which number, times itself, makes {big}?", "Take the logarithm of {big}.", "For which x is {a}x + {b} equal to {n}?", "What are the solutions of x^2 = {big}?", "Is {big} divisible by a square?", "Which prime comes after {big}?", "Draw the graph of {a}x - {b}.",
    "How big is the surface of a cube with side {a}?", "I throw two dice. How probable is a total of {a}?", "In a bag are {n} white and {b} black {things}. How likely do I draw a white one?", "How many different words can be made of the letters of {w}?", "What is {n} degrees Celsius in Fahrenheit?",
    "On what weekday does the {b}th of May fall in {year}?", "A loan of ${big} has {a}% interest a year. What do I owe after {b} years?", "{name} and {name2} need {a} and {b} days alone for a job. How many days if they do it together?", "Turn the fraction {a}/{b} into a percentage.",
    "What is the hypotenuse if the legs are {a} and {b}?", "Tell me the vowels of {w}.", "Which letter comes last in {w}?", "{name} ate some {things}. Were they good?", "Sort the numbers {n}, {a}, {big} and {b}.", "I want a {code} program with a window and two buttons.",
    "What is wrong with my {code} loop: {junk}?", "Show me how a {code} class looks.", "How many {things} fit into a car?", "Explain step by step how to solve quadratic equations.", "What do {a} kilograms weigh in pounds?", "Two numbers add up to {n}, one is {b} times the other. Which are they?",
)  # fmt: skip
# sentences put together of common words, sense or none: whatever is said in words alone is no question of the field
NOUNS = tuple(
    """law|city|doctor|disease|engine|planet|country|king|artist|movie|singer|song|novel|river|star|bank|church|language|
    computer|phone|internet|brain|heart|blood|bone|skin|virus|medicine|army|soldier|battle|island|forest|storm|
    weather|season|garden|farmer|kitchen|dinner|breakfast|soup|cheese|butter|sugar|salt|window|door|house|bridge|tower|
    road|wheel|airport|ticket|hotel|beach|holiday|festival|wedding|child|mother|father|brother|friend|neighbor|teacher|student|
    school|university|exam|job|office|boss|company|market|tax|price|law|judge|police|thief|secret|dream|fear|idea|theory|atom|
    energy|light|sound|color|shape|metal|gold|silver|iron|oil|gas|water|fire|earth|wind|cloud|ice|seed|leaf|root|tree|insect|
    shark|wolf|bear|lion|eagle|camera|screen|website|program|password|file|network|robot|satellite|rocket|war|peace|vote|leader""".replace("\n    ", "").split("|")
)
VERBS = tuple(
    """work|grow|die|sleep|change|move|break|burn|fall|fly|sing|speak|think|dream|learn|read|write|cook|travel|fight|win|lose|
    help|hurt|love|hate|fear|hide|start|stop|begin|end|live|eat|drink|drive|swim|dance|laugh|cry|shine|freeze|melt|turn|rise""".replace("\n    ", "").split("|")
)
ADJECTIVES = tuple(
    """old|new|big|small|famous|strange|dangerous|beautiful|cheap|expensive|dark|bright|cold|hot|wet|dry|fast|slow|rich|poor|
    healthy|sick|happy|sad|modern|ancient|French|German|Chinese|American|young|heavy|quiet|loud|free|wild|simple|rare|common""".replace("\n    ", "").split("|")
)
FREE = (
    "[Why|How|When|Where] [do|did|can|should|must|will] [{J} |]{N}s {V}[ in {place}| with a {N2}| at night| so often| without {N2}s|][?|]",
    "[Why|How|When|Where|What] [does|did|can|should|will] [a|the|my|his|your|every] [{J} |]{N} {V}[ in {place}| after {year}| near the {N2}|][?|]",
    "[What|Which|Who|What kind of {N2}] [is|was|are] the [most {J}|{J}est|first|last|best|oldest|right|real] {N}[ in {place}| of all time| of {year}| in the world|][?|]",
    "[What|Which|Whose] [{J} |]{N} [can|does|did|should] [I|we|they|you|people] {V}[ for a {N2}| in {place}| today|][?|]",
    "[Who|What] [made|found|built|wrote|discovered|invented|broke|owns|painted|leads|killed|saved] the [{J} |]{N}[ of {place}| of the {N2}| in {year}|][?|]",
    "[Is|Was] [a|the|my|every] {N} [{J}|{J} or {J2}|a {N2}|part of a {N2}|always {J}][ in {place}|][?|]", "[Are|Were] {N}s [{J}|{N2}s|like {N2}s|made of {N2}][?|]",
    "[Can|Could|Should|Would|May|Do|Must] [I|you|we|they|people] {V} [a|the|my|this] [{J} |]{N}[ with a {N2}| without a {N2}| in {place}|][?|]",
    "[What|How much] do you [know|think|feel|say] about [{J} |]{N}s[ and {N2}s|][?|]", "[What|What exactly|Roughly, what] [is|are|does it mean to {V}] [a|the|an old] {N}[ theory| in {place}| and a {N2}|][?|]",
    "[Explain|Describe|Summarize|Discuss|Compare|Outline|Define|Rewrite|Show me] [the {J} {N}|how {N}s {V}|why {N}s are {J}|{N}s and {N2}s|what a {N} does|the history of the {N}][ to me| in simple words| for a {N2}| briefly|][.|]",
    "[Write|Draft|Make|Plan|Design|Suggest|Create|Prepare|Give me] a [{J} |]{N}[ plan| list| {form}| name| slogan| diet| title|] [for|about|with|of] [a|my|the] [{J2} |]{N2}[.|]",
    "[How do|How can|How should|What must] I [{V}|fix|clean|buy|choose|find|keep|sell|build] [a|my|the] [{J} |]{N}[ in {place}| without {N2}s| with a {N2}| at home|][?|]",
    "[My|Our|His|The] [{J} |]{N} [does not {V}|is too {J}|wants to {V}|needs a {N2}|was {J} in {year}|looks like a {N2}].[ What now?| What should I do?| Why?| Help!|]",
    "[I|We|They] [want to {V}|need a {N}|have a {J} {N}|saw {n} {N}s|lost {n} {N}s in {place}|am afraid of {N}s|like {N}s][ and {N2}s|].[ What do you think?| Any advice?|]",
    "[Tell|Teach|Ask|Remind] me [about|something about|the truth about|a story of] [the|a|my] [{J} |]{N}[ and the {N2}| of {place}| from {year}|][.|]",
    "[What|Which] [happens|happened] [when|if|after] [a|the] {N} [{V}s|is {J}|meets a {N2}]?", "[What's|What is|Whats] the [difference between a {N} and a {N2}|link between {N}s and {N2}s|best {N} for a {N2}|{N} of {place}|name of the {J} {N}][?|]",
    "How [{J}|long|big|many years old|deep|far away] [is|was] [the|a|your] {N}[ in {place}| in {year}|][?|]", "How many {N}s [live in {place}|are there in {place}|were there in {year}|exist|does a {N2} have|can {V}]?",
    "[List|Name] [{n}|some|the] [{J} |]{N}s[ of {place}| from {year}| that {V}|].", "[Does|Did] {name} [{V}|like the {N}|have a {J} {N}|know the {N2}][ in {place}| in {year}|]?", "{N} [vs|or|and] {N2}[?|: which is better?|]", "{J} {N}[?| in {place}|]",
)  # fmt: skip
