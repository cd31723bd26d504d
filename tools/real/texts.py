"""Texts in many scripts, the same ones each time: names of the Unicode CLDR (by babel), and characters at random.

A text is {"script", "text"}. Half of a script's texts are names of countries, languages, currencies, months and days, put
together with digits and punctuation; the rest are any letters, marks and digits of the script. Behind them come texts without
a script: code, numbers in every notation, white space, emoji, composed and decomposed letters.

About a hundred marks are left out, those that Unicode took in after the tables of the `tokenizers` library were made: it leaves
them where they stand, where Unicode (and Node) sort them among other marks.
"""

import random
import unicodedata

from babel import Locale
from tokenizers import normalizers

# The script's name in the names of its characters, and locales that write it.
SCRIPTS = {
    "LATIN": ["en", "de", "fr", "vi", "tr", "pl", "cs", "is", "yo"],
    "GREEK": ["el"],
    "CYRILLIC": ["ru", "uk", "bg", "sr", "mn", "kk"],
    "ARMENIAN": ["hy"],
    "HEBREW": ["he", "yi"],
    "ARABIC": ["ar", "fa", "ur", "ps"],
    "DEVANAGARI": ["hi", "mr", "ne"],
    "BENGALI": ["bn", "as"],
    "GURMUKHI": ["pa"],
    "GUJARATI": ["gu"],
    "ORIYA": ["or"],
    "TAMIL": ["ta"],
    "TELUGU": ["te"],
    "KANNADA": ["kn"],
    "MALAYALAM": ["ml"],
    "SINHALA": ["si"],
    "THAI": ["th"],
    "LAO": ["lo"],
    "TIBETAN": ["bo", "dz"],
    "MYANMAR": ["my"],
    "GEORGIAN": ["ka"],
    "HANGUL": ["ko"],
    "ETHIOPIC": ["am", "ti"],
    "KHMER": ["km"],
    "CHEROKEE": ["chr"],
    "HIRAGANA": ["ja"],
    "CJK UNIFIED": ["zh", "zh_Hant", "ja", "yue"],
}
PER_SCRIPT = 800
WITHOUT_SCRIPT = 2400

PUNCTUATION = [" ", " ", " ", " ", ", ", ". ", "! ", "? ", ": ", "; ", " - ", " — ", "\n", "\n\n", "  ", "\t", "/", "(", ") ", '"',
               "'", "’s ", "…", "«", "» ", "、", "。", "،", "؟", "।", " ", "\u200b", "\u00a0", "'ll ", "'S "]
EMOJI = ["🐕", "🐕‍🦺", "👩🏽‍🚀", "👨‍👩‍👧‍👦", "🇫🇷", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "❤️", "1️⃣", "😀", "🫠", "☂", "✓", "→", "♞"]
SPACES = [" ", "  ", "    ", "\t", "\n", "\r\n", "\n\n", "\u00a0", "\u2003", "\u200b", "\u2028", "\u3000", "\u0085", "\x0b", "\x0c", "\ufeff"]
CODE = ["def f(x):\n    return x * 2\n", "for (let i = 0; i < n; i++) { sum += a[i]; }", "SELECT * FROM t WHERE id=42;", "</div>",
        "#include <vector>\n\n", "x_1 += 0x1F; // hex", "a[1:-1]", "`echo $HOME`", "\\frac{a}{b}", "https://a.b/c?d=1&e=%20", "{'k': [1, 2.5e-3]}",
        "\t\tif err != nil {\n\t\t\treturn err\n\t\t}\n", "user@host.org", "C:\\dir\\file.txt", "I'm, you're, we'll, THEY'VE, it'S"]


def names_of(locale):
    """Words and phrases that a language has for countries, languages, currencies, months and days."""
    data = Locale.parse(locale)
    tables = [data.territories, data.languages, data.currencies, data.scripts, data.months["format"]["wide"], data.days["format"]["wide"]]
    return sorted({str(name) for table in tables for name in table.values()})


def is_sorted(character):
    """Whether the library's NFC puts a mark before or behind others as Unicode does: with one of the lowest class, and the highest."""
    nfc = normalizers.NFC()
    pairs = (f"q{one}{two}" for other in "\u0334\u0345" for one, two in ((character, other), (other, character)))
    return unicodedata.combining(character) == 0 or all(
        nfc.normalize_str(pair) == unicodedata.normalize("NFC", pair) for pair in pairs)


def characters_by_script():
    """Letters, marks and numbers of each script, and all numbers whatever their script."""
    found = {script: [] for script in SCRIPTS}
    numbers = []
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] == "N":
            numbers.append(character)
        if category[0] not in "LMN" or not is_sorted(character):
            continue
        name = unicodedata.name(character, "")
        for script in SCRIPTS:
            if name.startswith(script):
                found[script].append(character)
    return found, numbers


def sentence(rng, names, digits):
    parts = []
    for _ in range(rng.randint(1, 7)):
        draw = rng.random()
        if draw < 0.12:
            parts.append("".join(rng.choice(digits) for _ in range(rng.randint(1, 6))))
        elif draw < 0.2:
            parts.append(str(rng.randint(0, 10 ** rng.randint(1, 8))))
        else:
            parts.append(rng.choice(names))
        parts.append(rng.choice(PUNCTUATION))
    return "".join(parts)


def scramble(rng, characters):
    words = ("".join(rng.choice(characters) for _ in range(rng.randint(1, 9))) for _ in range(rng.randint(1, 6)))
    return rng.choice(PUNCTUATION).join(words)


def without_script(rng, numbers, everything):
    def composed():
        text = rng.choice(everything)
        return unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC", "NFKD"]), text)

    kinds = [
        lambda: rng.choice(CODE),
        lambda: rng.choice(SPACES) * rng.randint(1, 5),
        lambda: rng.choice(EMOJI),
        lambda: "".join(rng.choice(numbers) for _ in range(rng.randint(1, 5))),
        lambda: str(rng.randint(0, 10**9)),
        lambda: f"{rng.uniform(-1000, 1000):.3f}",
        composed,
        lambda: chr(rng.choice([rng.randint(1, 31), rng.randint(0x20, 0x2FF), rng.randint(0xE000, 0xE0FF), rng.randint(0x1F300, 0x1F9FF)])),
        lambda: rng.choice(["a", "Z", "é", "ß", "ﬁ", "K", "Å", "ſ", "İ", "ı", "ǆ"]),
    ]
    return "".join(rng.choice(kinds)() for _ in range(rng.randint(1, 8)))


def make_texts():
    rng = random.Random(20)
    characters, numbers = characters_by_script()
    texts = []
    for script, locales in SCRIPTS.items():
        names = [name for locale in locales for name in names_of(locale)]
        digits = [c for c in characters[script] if unicodedata.category(c)[0] == "N"] or list("0123456789")
        for number in range(PER_SCRIPT):
            text = sentence(rng, names, digits) if number % 2 == 0 else scramble(rng, characters[script])
            texts.append({"script": script.capitalize(), "text": text})
    everything = [entry["text"] for entry in texts]
    texts += [{"script": "none", "text": without_script(rng, numbers, everything)} for _ in range(WITHOUT_SCRIPT)]
    return texts
