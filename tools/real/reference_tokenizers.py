"""What the tokenizers library gives for texts: python reference_tokenizers.py OUT FOLDER...   (folders with a tokenizer.json)

OUT/<name of the folder>.jsonl holds a line for each text:
  {"kind": "text", "script", "text", "ids", "whole", "decoded"}   ids of the text alone, with what the post-processor adds, and back
  {"kind": "special", ...}    the same for texts in which special tokens are spelled
  {"kind": "ids", "ids", "decoded"}                               ids at random, most of them no valid text
"""

import json
import pathlib
import random
import sys

from texts import make_texts
from tokenizers import Tokenizer

NUM_SPECIAL = 1000
NUM_IDS = 1000


def with_special_tokens(rng, tokenizer, texts):
    """Texts with one to three of the tokenizer's special tokens between their words."""
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    for entry in rng.sample(texts, NUM_SPECIAL):
        words = entry["text"].split(" ")
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randint(0, len(words)), rng.choice(special))
        yield entry | {"text": rng.choice(["", " "]).join(words)}


def encoded(tokenizer, entry, kind):
    ids = tokenizer.encode(entry["text"], add_special_tokens=False).ids
    whole = tokenizer.encode(entry["text"]).ids
    return {"kind": kind} | entry | {"ids": ids, "whole": whole, "decoded": tokenizer.decode(ids, skip_special_tokens=True)}


def write_reference(folder, texts, path):
    rng = random.Random(4)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    lines = [encoded(tokenizer, entry, "text") for entry in texts]
    lines += [encoded(tokenizer, entry, "special") for entry in with_special_tokens(rng, tokenizer, texts)]
    size = tokenizer.get_vocab_size()
    for _ in range(NUM_IDS):
        ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        lines.append({"kind": "ids", "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)


if __name__ == "__main__":
    out, *folders = map(pathlib.Path, sys.argv[1:])
    texts = make_texts()
    for folder in folders:
        write_reference(folder, texts, out / f"{folder.name}.jsonl")
        print(f"tokenizers: {len(texts)} texts through {folder.name}", file=sys.stderr)
