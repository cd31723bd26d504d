"""Generated captions for the golden results of the caption metrics: five references and a prediction per image.

The sentences share words, stems and synonyms, so that every module of every metric has something to match, and carry
the oddities that tokenizers disagree on: contractions, hyphens, numbers, money, mark-up, emoji, scripts, blanks.
"""

import gzip
import os
import random

# Small invented tables for METEOR, so that its golden results need no licensed data: groups of words that share a synonym
# set (a word may be in several), irregular forms of a base, and phrases that may stand for one another.
SYNONYMS = [
    ["man", "guy", "fellow", "gentleman", "person"], ["woman", "lady", "girl"], ["dog", "puppy"], ["cat", "kitten", "kitty"],
    ["child", "kid", "boy", "toddler"], ["bus", "coach", "vehicle"], ["sofa", "couch"], ["bicycle", "bike"], ["sea", "ocean"],
    ["television", "tv", "telly"], ["street", "road"], ["near", "by", "beside"], ["look", "watch", "observe", "stare"],
    ["hold", "carry"], ["sit", "seat", "rest"], ["food", "meal", "dish"], ["people", "crowd", "person"], ["horse", "pony"],
    ["beach", "shore"], ["small", "little", "young"], ["large", "big"], ["park", "field", "lawn"], ["ride", "be", "is"],
]
EXCEPTIONS = {"ride": ["rode", "ridden"], "hold": ["held"], "sit": ["sat"], "stand": ["stood"], "eat": ["ate", "eaten"]}
PARAPHRASES = [
    ("a couple of", "two"), ("a couple of", "a pair of"), ("two", "a pair of"), ("a pair of", "two"), ("close to", "near"),
    ("next to", "beside"), ("next to", "close to"), ("standing by", "next to"), ("on the beach", "by the sea"), ("man", "guy"),
    ("on the beach", "at the beach"), ("a group of people", "a crowd"), ("a group of", "many"), ("several people", "people"),
    ("is about to eat", "eats"), ("eats", "is eating"), ("is eating", "eating"), ("inside of", "in"), ("in the", "in a"),
    ("in a", "inside of a"), ("on the road", "in the street"), ("the road", "a city street"), ("during the day", "on a sunny day"),
    ("the tv", "a television"), ("television set", "tv"), ("a", "the"), ("the", "a"), ("some", "a"), ("is", "is on"),
    ("sits on", "is sitting on"), ("sitting on", "seated on"), ("pizza", "pizza pie"), ("slice of pizza", "pizza slices"),
    ("surf board", "surfboard"), ("his", "the"), ("young boy", "boy"), ("boy", "young boy"), ("of", "'s"), ("on", "upon"),
]

SUBJECTS = [
    ["a man", "a guy", "the person", "one man", "A gentleman", "some fellow"],
    ["a woman", "a lady", "the girl", "A young woman", "a female person"],
    ["two dogs", "a couple of dogs", "2 dogs", "a pair of puppies", "dogs"],
    ["a group of people", "several people", "a crowd", "many persons", "People"],
    ["a small child", "a little kid", "the boy", "a young boy", "a toddler"],
    ["a cat", "the kitten", "A black-and-white cat", "some kitty", "the cat's owner"],
    ["a red bus", "the double-decker bus", "a large vehicle", "a coach", "A bus"],
    ["a plate of food", "some food on a plate", "a meal", "the dish", "A dish of food"],
]
VERBS = [
    ["is riding", "rides", "riding", "rode", "is on"],
    ["is sitting on", "sits on", "sitting on", "seated on", "rests upon"],
    ["is holding", "holds", "holding", "held", "carries"],
    ["is standing next to", "stands beside", "standing by", "stood close to", "near"],
    ["is looking at", "looks at", "watching", "stares at", "observes"],
    ["is eating", "eats", "eating", "ate", "is about to eat"],
]
OBJECTS = [
    ["a horse", "the horse", "a brown horse", "horses", "a pony"],
    ["a sofa", "the couch", "a couch", "a comfy sofa", "the old couch"],
    ["a bicycle", "a bike", "the bikes", "two bicycles", "a mountain-bike"],
    ["a pizza", "the pizza slices", "a slice of pizza", "pizza pie", "cheese pizza"],
    ["a surfboard", "the board", "his surf board", "surfboards", "a surf-board"],
    ["a television", "the TV", "a t.v.", "the television set", "a TV screen"],
    ["a street sign", "the sign", "a traffic sign", "signs", "a stop sign"],
]
PLACES = [
    ["on the beach", "at the beach", "by the sea", "near the ocean", "on the shore"],
    ["in a kitchen", "in the kitchen", "inside of a kitchen", "in a small kitchen", "at home"],
    ["on a city street", "in the street", "down the road", "on the road", "along a busy street"],
    ["in the park", "at a park", "in a grassy field", "on the lawn", "outside"],
    ["during the day", "at night", "in the evening", "on a sunny day", "in the rain"],
]
ODDITIES = [
    "isn't", "can't", "won't", "it's", "I'm", "cannot", "gonna", "wanna", "gimme", "gotta", "lemme", "'tis", "'twas",
    "y'all", "o'clock", "the dog's bowl", "the dogs' bowls", "the 1990's", "the '50s", "'cause", "rock 'n' roll",
    "$5", "£3", "€7", "5¢", "50%", "#1", "20°", "½", "¾", "⅓", "1 1/2", "(555) 123-4567", "50-60 1990-1995", "&amp;",
    "&lt;3", "<b>bold</b>", "<a href='x'>", ":)", ":-(", ";D", "^_^", "😀", "👍🏽", "☀", "★", "naïve", "日本語", "Привет",
    "café", "10:30am", "5 p.m.", "the U.S.", "u.s. flag", "Mr. Smith", "Main St.", "e.g. this", "1,000", "3.14",
    '"quoted"', "'quoted'", "“curly”", "‘single’", "don’t", "http://a.example/b?c=d", "www.example.com",
    "me@example.org", "@user", "#tag", "C++", "C#", "and/or", "photo.jpg", "Acme Inc.", "Acme Co. Ltd.", "no. 5",
    "fig. 3", "ca. 1990", "etc.", "etc. The end", "Dr. No", "AT&T", "S&P-500", "Q&A", "A+B", "x²", "H₂O", "~", "^", "|",
    "**", "_", "{x}", "[y]", "(z)", "-lrb-", "<<", "...", "....", ". . .", "…", "–", "—", "--", "---", "''", "``", "!!",
    "?!", "plan A.", "12/25/2014", "1/2", "10-20", "-5", "ma'am", "'em", "'90", "a.k.a.", "anti-social", "x-y",
    "co\u00adop", "zero\u200bwidth", "no\u00a0break", "thin\u2009space", "«guillemets»", "&quot;", "&nbsp;", "Yahoo!",
    "3rd", "4x4", "end.\u3000", "。", "¿que?", "e\u0301", "İstanbul", "ſ", "₹5", "US$5", "they're", "we'd've", "ev'ry",
]
BLANKS = ["", " ", "  ", ".", " . ", "\u00a0", "!", "'"]
ENDINGS = [".", ".", "", "", " .", "!", "...", " "]


def write_meteor_tables(folder):
    """The invented tables in the files of the METEOR release: `synonym/` and `data/paraphrase-en.gz`."""
    sets = {}
    for number, words in enumerate(SYNONYMS, 100):
        for word in words:
            sets.setdefault(word, []).append(number)
    for name in ("synonym", "data"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    with open(os.path.join(folder, "synonym", "english.synsets"), "w") as file:
        for word in sorted(sets):
            file.write(word + "\n" + " ".join(map(str, sets[word])) + "\n")
    with open(os.path.join(folder, "synonym", "english.exceptions"), "w") as file:
        for base, forms in EXCEPTIONS.items():
            file.write(base + "\n" + " ".join(forms) + "\n")
    text = "".join(f"0.5\n{phrase}\n{other}\n" for phrase, other in PARAPHRASES)
    with open(os.path.join(folder, "data", "paraphrase-en.gz"), "wb") as file:
        file.write(gzip.compress(text.encode("utf-8"), 9, mtime=0))


def sentence(rng, subject, verb, obj, place):
    parts = [rng.choice(subject), rng.choice(verb), rng.choice(obj)]
    if rng.random() < 0.8:
        parts.append(rng.choice(place))
    if rng.random() < 0.15:
        rng.shuffle(parts)
    words = " ".join(parts).split(" ")
    while rng.random() < 0.25:
        words.insert(rng.randrange(len(words) + 1), rng.choice(ODDITIES))
    text = " ".join(words)
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.05:
        text = text.upper()
    return text + rng.choice(ENDINGS)


def make_images(num_images, seed):
    """`[(references, prediction), ...]`; 1 to 7 references, most often five; a few captions are blank."""
    rng = random.Random(seed)
    images = []
    for _ in range(num_images):
        scene = [rng.choice(group) for group in (SUBJECTS, VERBS, OBJECTS, PLACES)]
        count = 5 if rng.random() < 0.9 else rng.randint(1, 7)
        references = [sentence(rng, *scene) for _ in range(count)]
        if rng.random() < 0.03:
            references[rng.randrange(count)] = rng.choice(BLANKS)
        chance = rng.random()
        if chance < 0.04:
            prediction = rng.choice(BLANKS)
        elif chance < 0.10:
            prediction = rng.choice(references)
        elif chance < 0.15:
            prediction = " ".join(sentence(rng, *scene) for _ in range(3))
        elif chance < 0.20:
            other = [rng.choice(group) for group in (SUBJECTS, VERBS, OBJECTS, PLACES)]
            prediction = sentence(rng, *other)
        else:
            prediction = sentence(rng, *scene)
        images.append((references, prediction))
    return images


def make_lines(num_lines, seed):
    """Single lines for the tokenizer: fragments joined with and without blanks, and characters at random."""
    rng = random.Random(seed)
    characters = list("aAbBiIkKsSzZnNtT0159 .,-'’`\"!?;:/\\&<>()[]{}@#$%^*_=+|~éÉ½£€°…–—“”‘«»\u00a0\u00ad\u2009²₂日İıK😀")
    lines = []
    for _ in range(num_lines):
        if rng.random() < 0.6:
            size = rng.randint(1, 7)
            lines.append("".join(rng.choice(ODDITIES) + rng.choice([" ", "", " ", ". "]) for _ in range(size)))
        else:
            lines.append("".join(rng.choice(characters) for _ in range(rng.randint(1, 24))))
    return lines
