"""Writes tests/golden/text/tokenizers.json: ids, labels and texts by the Python `tokenizers` library.

Four small tokenizers: Llama-like with legacy prefix (a space before every section), Llama-like with the newer prefix (before
the first section only), byte-level with NFC (Qwen-like), and the project's own (tests/golden/text/trained.json, written by
tools/golden/trained_tokenizer.mjs). Labels come from the offsets of the encoded text; for the legacy one they are checked
against the rule of Shikra: count the tokens of everything up to `ASSISTANT: ` and mask two fewer.
Run from the repository root with tokenizers==0.23.3 and jinja2==3.1.6: python3 tools/golden/conversation.py
"""

import json
import random
from pathlib import Path

import jinja2
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
OUT = Path("tests/golden/text")
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
SPECIAL = ["<unk>", "<s>", "</s>"]
IMAGE = ["<im_patch>", "<im_start>", "<im_end>", "<image>"]
CORPUS = [
    SYSTEM,
    "USER: Is there a dog in the image? ASSISTANT: The answer is yes.",
    "Can you point out the red car in the image and provide the coordinates of its location? Answer: [0.274,0.074,0.714,0.998].",
    "A picture of a cat and two elephants near a tree, with naïve café words.",
    "What is the colour of the umbrella? The answer is blue. How many ducks are there? There are 3.",
] * 3
SPACE = "\u2581"


def train(byte_level: bool, vocab_size: int) -> tuple[dict, list]:
    """Vocabulary and merges that never cross a word, as the real tokenizers of either kind have them."""
    if byte_level:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Digits(individual_digits=True)]
        )
        special = SPECIAL + [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def llama(legacy: bool) -> Tokenizer:
    vocab, merges = train(False, 620)
    # A merge that spells a special token: plain text must not become it even so.
    for piece in ["/s", "/s>"]:
        vocab.setdefault(piece, len(vocab))
    for piece in "</>":
        vocab.setdefault(piece, len(vocab))
    merges += [("/", "s"), ("/s", ">"), ("<", "/s>")]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    add_special(tokenizer)
    return tokenizer


def byte_level() -> Tokenizer:
    vocab, merges = train(True, 420)
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    add_special(tokenizer)
    return tokenizer


def add_special(tokenizer: Tokenizer) -> None:
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL + IMAGE])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )


def without_special(tokenizer: Tokenizer, names: list[str]) -> Tokenizer:
    """The same tokenizer for which special spellings are letters like all others."""
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = []
    description["post_processor"] = None
    model = description["model"]
    model["merges"] = [merge for merge in model["merges"] if "".join(merge) not in names]
    return Tokenizer.from_str(json.dumps(description))


TEXTS = [
    "Is there a dog in the image?", " leading", "trailing ", "  two  spaces  ", "", "\n", "a\n\nb\tc", "café naïve", "cafe\u0301",
    "日本語のテキスト", "👩‍👩‍👧 family", "1234567890", "[0.274,0.074,0.714,0.998]", "x [0.100,1.000,0.5,0.250;0.1,0.2,0.3,0.4].",
    "</s>", "a</s>b", "<s>USER: hi</s>", "<im_start><im_patch><im_end>", "say <image> and <unk>", "<0x41><0x0A>", SPACE + "x", "\u00a0\u2003\u3000",
    "don't we'll I'M", "\u0000\u001f", "İstanbul ß ﬁ", "½ ² Ⅷ ٣", "a\u200db", "\ufeffbom", "A" * 300,
]  # fmt: skip


def fuzz(count: int) -> list[str]:
    source = random.Random(7)
    pool = ["dog", " ", "  ", "\n", "é", "e\u0301", "日", "👍🏽", "1", "0.", "[0.", ",0.", "]", "</s>", "<s>", "<im_patch>", "<", ">", "'", "USER:", "\t", "ß", "\u0301"]
    texts = []
    for _ in range(count):
        pieces = []
        for _ in range(source.randint(1, 10)):
            if source.random() < 0.8:
                pieces.append(source.choice(pool))
            else:
                pieces.append(chr(source.choice([source.randrange(32, 127), source.randrange(0xA1, 0x2000), source.randrange(0x1F300, 0x1F600)])))
        texts.append("".join(pieces))
    return texts


CONVERSATIONS = [
    [("<image> Is there a dog in the image? please answer yes or no.", "The answer is yes.")],
    [("Is there a dog in <image> or not?", "No.")],
    [("What colour is the umbrella in the picture? <image>", "The answer is blue.")],
    [("Hello!", "Hi."), ("<image> Where is the red car?", "Answer: [0.274,0.074,0.714,0.998].")],
    [("<image> How many ducks?", "3"), ("And cats?", " 12 "), ("Why?", "日本 — café\nnew line")],
    [("<image> and <image>: what differs?", "The  second has {braces} and 'quotes'.")],
]


def render(turns: list, patches: int, style: str) -> tuple[str, list[tuple[int, int]]]:
    """The whole text and the spans that are learned (from behind `ASSISTANT:` to behind `</s>`)."""
    picture = "<im_start>" + "<im_patch>" * patches + "<im_end>" if style == "shikra" else "<image>" * patches
    text, spans = SYSTEM + " ", []
    for question, answer in turns:
        text += "USER: " + question.replace("<image>", picture) + " ASSISTANT:"
        start = len(text)
        text += " " + answer + "</s>"
        spans.append((start, len(text)))
    return text, spans


def shikra_labels(tokenizer: Tokenizer, text: str, ids: list[int]) -> list[int]:
    labels = list(ids)
    labels[0] = -100
    position = 1
    for part in text.split("</s>"):
        if part == "":
            break
        prefix = part.split(" ASSISTANT: ")[0] + " ASSISTANT: "
        instruction = len(tokenizer.encode(prefix).ids) - 2
        labels[position : position + instruction] = [-100] * instruction
        position += len(tokenizer.encode(part).ids)
    assert position == len(ids), (position, len(ids))
    return labels


def conversations(tokenizer: Tokenizer, legacy: bool, styles: list[str]) -> list[dict]:
    records = []
    for number, turns in enumerate(CONVERSATIONS):
        for style in styles:
            patches = 3 + number
            text, spans = render(turns, patches, style)
            encoding = tokenizer.encode(text)
            labels = []
            for index, (token, (_, end)) in enumerate(zip(encoding.ids, encoding.offsets)):
                learned = index > 0 and any(start < end <= stop for start, stop in spans)
                labels.append(token if learned else -100)
            if legacy and style == "shikra" and all(not answer.startswith(" ") for _, answer in turns):
                assert labels == shikra_labels(tokenizer, text, encoding.ids), text
            records.append(
                {
                    "turns": [{"question": question, "answer": answer} for question, answer in turns],
                    "imageTokens": patches,
                    "imageStyle": style,
                    "ids": encoding.ids,
                    "labels": labels,
                }
            )
    return records


TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] | trim }} "
    "{% elif message['role'] == 'user' %}USER: {{ message['content'] }} "
    "{% else %}ASSISTANT: {{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def chat_cases() -> list[dict]:
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE)
    talks = [
        [{"role": "user", "content": "Is there a dog?"}],
        [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "{{ bos_token }} {% x %}"}],
    ]
    return [
        {"messages": talk, "text": template.render(messages=talk, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")}
        for talk in talks
    ]


def entry(name: str, tokenizer: Tokenizer, config: dict, styles: list[str]) -> dict:
    names = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    plain = without_special(tokenizer, names)
    texts = []
    for text in TEXTS + fuzz(120):
        ids = plain.encode(text, add_special_tokens=False).ids
        texts.append(
            {
                "text": text,
                "ids": tokenizer.encode(text, add_special_tokens=False).ids,
                "plain": ids,
                "decoded": plain.decode(ids),
            }
        )
    return {
        "name": name,
        "tokenizerJson": json.loads(tokenizer.to_str()),
        "tokenizerConfig": config,
        "texts": texts,
        "conversations": conversations(tokenizer, name == "llama-legacy", styles),
        "chat": {"template": TEMPLATE, "cases": chat_cases()},
    }


if __name__ == "__main__":
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False}
    trained = json.loads((OUT / "trained.json").read_text())
    both = ["shikra", "llava-1.5"]
    entries = [
        entry("llama-legacy", llama(True), config, both),
        entry("llama-new", llama(False), config, both),
        entry("byte-level", byte_level(), config, both),
        entry("own", Tokenizer.from_str(json.dumps(trained["tokenizerJson"])), trained["tokenizerConfig"], ["shikra"]),
    ]
    (OUT / "tokenizers.json").write_text("[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in entries) + "\n]\n")
