"""Writes tests/golden/sentencepiece: small models of every kind and what the reference library makes of texts.

Run from the repository root with sentencepiece==0.2.3: python3 tools/golden/sentencepiece_models.py [NUM_TEXTS OUT_FOLDER]
"""

import gzip
import io
import json
import random
import sys
from pathlib import Path

import sentencepiece

NUM = int(sys.argv[1]) if len(sys.argv) > 1 else 60
OUT = Path(sys.argv[2] if len(sys.argv) > 2 else "tests/golden/sentencepiece")
OUT.mkdir(parents=True, exist_ok=True)
random.seed(7)
NOUNS = "dog cat horse elephant tree umbrella naïve café Straße 日本 привет ½ ﬁne １２３ aaaa ==== banana".split()
CORPUS = [f"A {random.choice(NOUNS)} and a {random.choice(NOUNS)}  at [0.{random.randrange(1000):03},0.5] is {random.choice(NOUNS)}." for _ in range(3000)]
KINDS = {
    # As Llama and Vicuna are: identity, spaces kept, bytes for what is unknown.
    "bpe-llama": dict(model_type="bpe", normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False, split_digits=True, vocab_size=420),
    "bpe-symbols": dict(model_type="bpe", normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False, add_dummy_prefix=False, user_defined_symbols=["[img]", "▁▁", "\n\n", "dog"], vocab_size=420),
    "bpe-nfkc": dict(model_type="bpe", normalization_rule_name="nmt_nfkc", vocab_size=120),
    "unigram-nfkc": dict(model_type="unigram", normalization_rule_name="nmt_nfkc", user_defined_symbols=["[img]"], vocab_size=130),
    "unigram-bytes": dict(model_type="unigram", normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False, vocab_size=400),
}
if NUM > 60:  # a third large character map, for comparing many texts elsewhere
    KINDS["unigram-fold"] = dict(model_type="unigram", normalization_rule_name="nmt_nfkc_cf", vocab_size=120)
PARTS = NOUNS + [" ", "  ", "   ", "\t", "\n", "\n\n", "▁", "▁▁", "a", "aa", "=", "[img]", "<s>", "</s>", "<unk>", "<0x41>", "🐘", "é", "e\u0301", "\u00a0", "\u3000", "ｱ", "ﬀ", "\u200b", "\x07", "ÅΩ", "0.5", "[0.123,", "ẞ", "한", "\ufffd"]


def text() -> str:
    return "".join(random.choice(PARTS) + random.choice(["", "", " "]) for _ in range(random.randrange(0, 12)))


cases = {}
for name, options in KINDS.items():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=model, character_coverage=1.0, minloglevel=2, **options)
    (OUT / f"{name}.model.gz").write_bytes(gzip.compress(model.getvalue(), mtime=0))
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    texts = [text() for _ in range(NUM)]
    cases[name] = [{"text": t, "ids": processor.encode(t), "decoded": processor.decode(processor.encode(t))} for t in texts]
(OUT / "cases.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n", encoding="utf-8")
print(sum(file.stat().st_size for file in OUT.iterdir()), "bytes")
