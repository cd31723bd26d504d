"""What the tokenizers library gives for texts: python reference_tokenizers.py TOKENIZER_JSON OUT_JSONL

A line for each text, or run of ids:
  {"kind": "text", "script", "text", "ids", "whole", "decoded"}   ids of the text alone, with what the post-processor adds, and back
  {"kind": "added", ...}      the same for texts in which the tokenizer's added tokens are spelled, special ones and others
  {"kind": "ids", "ids", "decoded"}                               ids at random, most of them no valid text
"""

import json
import random
import sys

from texts import make_texts
from tokenizers import Tokenizer

NUM_ADDED = 1000
NUM_IDS = 1000


def with_added_tokens(rng, tokenizer, texts):
    """Texts with one to three of the tokenizer's added tokens between their words."""
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    for entry in rng.sample(texts, NUM_ADDED):
        words = entry["text"].split(" ")
        for _ in range(rng.randint(1, 3)):
            words.insert(rng.randint(0, len(words)), rng.choice(added))
        yield entry | {"text": rng.choice(["", " "]).join(words)}


def encoded(tokenizer, entry, kind):
    ids = tokenizer.encode(entry["text"], add_special_tokens=False).ids
    whole = tokenizer.encode(entry["text"]).ids
    return {"kind": kind} | entry | {"ids": ids, "whole": whole, "decoded": tokenizer.decode(ids, skip_special_tokens=True)}


if __name__ == "__main__":
    source, out = sys.argv[1:]
    rng = random.Random(4)
    tokenizer, texts = Tokenizer.from_file(source), make_texts()
    lines = [encoded(tokenizer, entry, "text") for entry in texts]
    lines += [encoded(tokenizer, entry, "added") for entry in with_added_tokens(rng, tokenizer, texts)]
    size = tokenizer.get_vocab_size()
    for _ in range(NUM_IDS):
        ids = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        lines.append({"kind": "ids", "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
    with open(out, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    print(f"tokenizers: {len(lines)} texts through {source}", file=sys.stderr)
