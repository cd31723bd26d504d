"""Reference definitions of the answer metrics, written from what the official tools do, and generated cases for them.

Each `score_*` function is the plainest form of its definition: no caching, no sharing with the product.
"""

import math
import random
import re
import string
import struct

# --- VQA -------------------------------------------------------------------------------------------------------------

APOSTROPHE_FORMS = """
'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't
he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't
needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're
there's they'd they'd've they'll they're they've wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'd've y'all'll you'd you'd've you'll you're you've
""".split()
CONTRACTIONS = {"somebody'd": "somebodyd"}
for form in APOSTROPHE_FORMS:
    for i, char in enumerate(form):
        if char == "'":
            CONTRACTIONS[form[:i] + form[i + 1 :]] = form
NUMBER_WORDS = {word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine ten".split())}
NUMBER_WORDS["none"] = "0"


def vqa_strip(text):
    return text.replace("\n", " ").replace("\t", " ").strip()


def vqa_clean(text):
    out = text
    for mark in ";/[]\"{}()=+\\_-><@`,?!":
        beside_blank = mark + " " in text or " " + mark in text
        if beside_blank or re.search(r"\d,\d", text):
            out = out.replace(mark, "")
        else:
            out = out.replace(mark, " ")
    out = re.sub(r"\.(?!\d)", "", out, count=32)
    words = [NUMBER_WORDS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ("a", "an", "the"))


def vqa_clean_evalai(text):
    return vqa_clean(vqa_strip(text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()))


def vqa_accuracy(humans, answer, reader):
    if reader == "evalai":
        humans, answer = [vqa_clean_evalai(human) for human in humans], vqa_clean_evalai(answer)
    else:
        humans, answer = [vqa_strip(human) for human in humans], vqa_strip(answer)
        if reader == "always" or len(set(humans)) > 1:
            humans, answer = [vqa_clean(human) for human in humans], vqa_clean(answer)
    total = 0.0
    for k in range(len(humans)):
        others = humans[:k] + humans[k + 1 :]
        total += min(1, others.count(answer) / 3)
    return total / len(humans), answer


def score_vqa(annotations, answers, reader):
    """Sums in the order of the annotations; Python's own `sum` compensates since 3.12, so none is used."""
    groups = {}
    per_item = []
    for annotation in annotations:
        accuracy, normalized = vqa_accuracy(annotation["answers"], answers[annotation["id"]], reader)
        per_item.append([round(100 * accuracy, 2), normalized])
        for group in ("all", "a:" + annotation["answerType"], "q:" + annotation["questionType"]):
            groups.setdefault(group, []).append(accuracy)
    means = {}
    for group, values in groups.items():
        total = 0.0
        for value in values:
            total += value
        means[group] = round(100 * total / len(values), 2)
    return {"means": means, "perItem": per_item}


VQA_ANSWERS = """yes|no|Yes|No.|two|2|a dog|the dog|dog|dont|don't|red,white|red white|1,000|1000|1,000-2,000|10002000
x-y -z|xy z|5.|5|.5|hes|he's|none|0||?|the|a|tshirt|t-shirt|t shirt|it's|its|Im|Ive|Id've|somebody'd|a\nb| yes |YES
man's hat|mans hat|3.5|3.5.|u.s.|us|...|a.b.c|!|ten|10|ten o'clock|oclock|é|É|\u00a0yes|yes\u3000|left/right|left right
"quote"|(a)|[b]|x_y|a@b|`|1 , 2|1, 2|youre|you're|y'alldve|yalldve|& co|50%|$5|#1|12:30|12.30|an apple|apple|A.|a a
couldnt've|couldn'tve|shed've|wont|won't|thats|let's|\u0661,\u0662|\u0661.\u0662|5\u20446|hi\tthere|hi there""".replace(
    "\n", "|"
).split("|") + ["." * 40, "a." * 40, "3.4. 5. 6."]


def make_vqa(count, seed):
    rng = random.Random(seed)
    annotations, answers = [], {}
    for i in range(count):
        pool = [rng.choice(VQA_ANSWERS) for _ in range(rng.choice([1, 1, 2, 3, 5]))]
        annotation = {
            "id": 3 * i + 1,
            "answers": [rng.choice(pool) for _ in range(10)],
            "answerType": rng.choice(["yes/no", "number", "other"]),
            "questionType": rng.choice(["is this", "what", "how many"]),
        }
        annotations.append(annotation)
        answers[annotation["id"]] = rng.choice(pool + [rng.choice(VQA_ANSWERS)])
    return annotations, answers


# --- POPE ------------------------------------------------------------------------------------------------------------

YES_NO_ANSWERS = (
    "Yes|No|no|yes|not|NO|Nope|None|no!|no\n|isn't|can't|| no|No,|yes, no|There is no dog.|It is. no|Yes.|nothing|"
    "no  dog|\tno|no\t|snow|know|Yesterday|eyes|The answer is no|Y|   no|no.|Yes, it is|ABCno|abcyes|y\u0435s|\u0130no|"
    "\U0001f600no|noyes|yno|No dog. Yes|n,o|yes no|NOT|Not a dog"
).split("|")


def score_pope(labels, answers):
    tp = fp = tn = fn = 0
    parsed = []
    for label, answer in zip(labels, answers):
        words = answer.split(".")[0].replace(",", "").split(" ")
        says_yes = not ("No" in words or "not" in words or "no" in words)
        parsed.append("yes" if says_yes else "no")
        if says_yes and label != "no":
            tp += 1
        elif says_yes:
            fp += 1
        elif label == "no":
            tn += 1
        else:
            fn += 1
    precision = tp / (tp + fp) if tp + fp else 0
    recall = tp / (tp + fn) if tp + fn else 0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
    count = len(labels)
    return {
        "accuracy": (tp + tn) / count,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "yesRatio": (tp + fp) / count,
        "parsed": parsed,
    }


def score_pope_lmms_eval(labels, answers):
    """Only yes and no are read; the yes ratio is that of the labels."""
    parsed = [text if text in ("yes", "no") else "other" for text in (answer.lower().strip() for answer in answers)]
    cells = [(reading, label) for reading, label in zip(parsed, labels)]
    tp, fp, fn = (cells.count(cell) for cell in (("yes", "yes"), ("yes", "no"), ("no", "yes")))
    precision = tp / (tp + fp) if tp + fp else 0
    recall = tp / (tp + fn) if tp + fn else 0
    f1 = 2 * (precision * recall) / (precision + recall) if precision + recall else 0
    accuracy = sum(reading == label for reading, label in cells) / len(cells)
    yes_ratio = list(labels).count("yes") / len(cells)
    return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1, "yesRatio": yes_ratio, "parsed": parsed}


def make_yes_no(count, seed):
    rng = random.Random(seed)
    tails = ["", "", " dog", ". no", " ", "."]
    return [(rng.choice(["yes", "no"]), rng.choice(YES_NO_ANSWERS) + rng.choice(tails)) for _ in range(count)]


# --- MME -------------------------------------------------------------------------------------------------------------


def score_mme(pairs, reader):
    """`pairs` of (label, answer), two in a row for each picture."""
    parsed = []
    for _, answer in pairs:
        text = answer.lower()
        if reader == "lmms-eval":
            text = {"y": "yes", "n": "no"}.get(text.strip().replace(".", ""), text.strip().replace(".", ""))
        start = text[:4]
        parsed.append("yes" if "yes" in start else "no" if "no" in start else "other")
    hits = [reading == label for reading, (label, _) in zip(parsed, pairs)]
    acc = sum(hits) / len(hits) * 100
    both = sum(hits[i] and hits[i + 1] for i in range(0, len(hits), 2)) / (len(hits) / 2) * 100
    return {"acc": acc, "accPlus": both, "score": acc + both, "parsed": parsed}


# --- MMBench ---------------------------------------------------------------------------------------------------------

REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)


def option_in_text(answer, options):
    found = [letter for letter in options if options[letter].lower() in answer.lower()]
    return found[0] if len(found) == 1 else None


def read_exact(answer, options):
    letter = read_exact_letter(answer, options)
    if letter:
        return letter
    if len(answer.lower()) > 2 * sum(len(option) for option in options.values()):
        return None
    return option_in_text(answer, options)


def read_exact_letter(answer, options):
    if "Failed to obtain answer via API" in answer:
        return None
    if any(refusal in answer for refusal in REFUSALS):
        return "Z"
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", answer).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and words.index(named[0]) > len(words) - 5:
        return named[0]
    if not named and "Z" in words:
        return "Z"
    stated = re.search(r"(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", answer, re.IGNORECASE)
    if stated and stated.group(1).upper() in options:
        return stated.group(1).upper()
    return None


def read_2023(answer, options):
    if "Failed to obtain answer via API" not in answer:
        words = answer.split()
        frames = [("", ""), ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ").")]
        frames += [(":", end) for end in ("", ",", ".", ")", ").")]
        for before, after in frames:
            named = [letter for letter in "ABCDE" if before + letter + after in words]
            if len(named) != 1:
                continue
            if (before, after) == ("", "") and "A" in words and len(words) > 3:
                continue
            return named[0]
    return option_in_text(answer, options)


def score_mmbench(rows, answers, reader):
    read = read_exact if reader == "exact" else read_2023
    parsed = [read(answer, row["options"]) for row, answer in zip(rows, answers)]
    hits = [reading == row["answer"] for reading, row in zip(parsed, rows)]
    groups = {}
    for row, hit in zip(rows, hits):
        groups.setdefault(row["index"] % 10**6, []).append(hit)
    first = [hit for row, hit in zip(rows, hits) if row["index"] < 10**6]
    circular = [all(groups[row["index"]]) for row in rows if row["index"] < 10**6]
    return {"parsed": parsed, "circular": sum(circular) / len(circular), "vanilla": sum(first) / len(first)}


OPTION_TEXTS = ["a dog", "cat", "no", "nothing", "1", "12", "2", "right", "bright", "left", "A big house", "Red", "é", "yes"]
CHOICE_FRAMES = [
    "{L}", "{L}.", "({L})", "{L})", "{L}:", ":{L}", "({L}).", "{L}. {T}", "{T}", "The answer is {L}", "The answer is {L}.",
    "the correct answer is **{L}**. Because", "Answer: {L}", "I think it is {L} because of the ears and the tail",
    "A dog is here", "A large brown dog is standing there", "{L} and {M}", "Z", "none of these", "",
    "Failed to obtain answer via API", "Sorry, I can't help with images of people yet.", "{l}", "it is {T} or not {L}",
    "{L},{M}", "**{L}**", "#{L}", "{{{L}}}", "{L}\u00a0{M}", "answer is cat", "THE ANSWER IS {T}!", "[{L}]", "{L};",
    "Cannot determine the answer", "{T} {T} {T} {T} {T} {T} {T} {T} {T} {T} {T} {T} {T} {T}", "option {L}\n", "E", "nan",
]


def fill(rng, frame, letters, options):
    letter, other = rng.choice(letters), rng.choice(letters)
    return (
        frame.replace("{L}", letter)
        .replace("{M}", other)
        .replace("{l}", letter.lower())
        .replace("{T}", options[letter] if isinstance(options, dict) else rng.choice(options))
    )


def make_mmbench(count, seed):
    rng = random.Random(seed)
    rows, answers = [], []
    for i in range(count):
        num_options = rng.choice([2, 3, 4, 4])
        letters = "ABCD"[:num_options]
        texts = rng.sample(OPTION_TEXTS, num_options)
        right = rng.randrange(num_options)
        knows = rng.random() < 0.5
        for turn in range(num_options):
            shifted = texts[turn:] + texts[:turn]
            options = dict(zip(letters, shifted))
            answer = letters[(right - turn) % num_options]
            rows.append({"index": i + turn * 10**6, "options": options, "answer": answer})
            answers.append(f"{answer}." if knows else fill(rng, rng.choice(CHOICE_FRAMES), letters, options))
    return rows, answers


# --- REC -------------------------------------------------------------------------------------------------------------


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def read_box(answer):
    number = r"\d(?:\.\d*)?"
    box = ",".join([number] * 4)
    found = re.findall(rf"\[({box}(?:;{box})*)\]", answer)
    boxes = found[0].split(";") if len(found) == 1 else []
    return [float(value) for value in boxes[0].split(",")] if len(boxes) == 1 else None


def score_rec(targets, answers):
    per_item, failed, hits = [], 0, 0
    for target, answer in zip(targets, answers):
        width, height = target["width"], target["height"]
        side = max(width, height)
        shift = [(side - width) // 2, (side - height) // 2] * 2
        truth = [float(f"{max(0.0, min((v + s) / side, 1.0)):.3f}") for v, s in zip(target["box"], shift)]
        box = read_box(answer)
        failed += box is None
        a = [f32(f32(v) * 1000) for v in box or [0, 0, 0, 0]]
        b = [f32(f32(v) * 1000) for v in truth]
        area_a = f32(f32(a[2] - a[0]) * f32(a[3] - a[1]))
        area_b = f32(f32(b[2] - b[0]) * f32(b[3] - b[1]))
        overlap = f32(
            max(0.0, f32(min(a[2], b[2]) - max(a[0], b[0]))) * max(0.0, f32(min(a[3], b[3]) - max(a[1], b[1])))
        )
        union = f32(f32(area_a + area_b) - overlap)
        iou = f32(overlap / union) if union != 0 else math.nan
        hits += iou > 0.5
        per_item.append([box, None if math.isnan(iou) else iou])
    return {"accuracy": hits / len(targets), "failed": failed, "perItem": per_item}


def score_rec_lmms_eval(targets, answers):
    number = r"\s*(-?\d+(?:\.\d+)?)"
    per_item, hits = [], 0
    for target, answer in zip(targets, answers):
        x1, y1, x2, y2 = target["box"]
        width, height = target["width"], target["height"]
        truth = [x1 / width, y1 / height, (x1 + (x2 - x1)) / width, (y1 + (y2 - y1)) / height]
        found = re.search(r"\[" + ",".join([number] * 4) + r"\s*\]", answer)
        box = [float(value) for value in found.groups()] if found else None
        a = box or [0, 0, 0, 0]
        overlap = max(0, min(a[2], truth[2]) - max(a[0], truth[0])) * max(0, min(a[3], truth[3]) - max(a[1], truth[1]))
        areas = (a[2] - a[0]) * (a[3] - a[1]) + (truth[2] - truth[0]) * (truth[3] - truth[1])
        iou = overlap / (areas - overlap)
        hits += iou >= 0.5
        per_item.append([box, iou])
    failed = sum(box is None for box, _ in per_item)
    return {"accuracy": hits / len(targets), "failed": failed, "perItem": per_item}


def make_rec(count, seed):
    rng = random.Random(seed)
    targets, answers = [], []
    for _ in range(count):
        width, height = rng.randint(40, 640), rng.randint(40, 640)
        if rng.random() < 0.2:
            width = height = 16 * rng.randint(1, 40)
        x1, y1 = rng.uniform(0, width - 8), rng.uniform(0, height - 8)
        box = [x1, y1, rng.uniform(x1 + 1, width), rng.uniform(y1 + 1, height)]
        box = [float(round(v)) for v in box] if rng.random() < 0.5 else [round(v, 2) for v in box]
        targets.append({"box": box, "width": width, "height": height})
        side = max(width, height)
        shift = [(side - width) // 2, (side - height) // 2] * 2
        noise = rng.choice([0, 0.01, 0.05, 0.2])
        guess = [min(1, max(0, (v + s) / side + rng.uniform(-noise, noise))) for v, s in zip(box, shift)]
        text = "[" + ",".join(f"{v:.3f}" for v in guess) + "]"
        answers.append(
            rng.choice(
                [text] * 8
                + ["Answer: " + text + " .", text + text, text[:-1] + ";" + text[1:], text.replace(",", ", "), "no box", ""]
                + ["[0.5,0.5,0.2,0.2]", "[0,0,1,1]", "[.1,.2,.3,.4]", "[10.5,0.1,0.2,0.3]", "[-0.1,0.2,0.3,0.4]"]
                + ["[1.,0.,1.,1.]", "[0.1,0.2,0.3]", "[0.1,0.2,0.3,0.4,0.5]", "[[" + text[1:-1] + "]]", text.upper() + "[a]"]
            )
        )
    return targets, answers


# --- GQA, ScienceQA, MMVP --------------------------------------------------------------------------------------------


def read_gqa(text, reader):
    if reader == "llava":
        return text.rstrip(".").lower()
    if reader == "lmms-eval":
        return text.lower().translate(str.maketrans("", "", string.punctuation))
    if reader == "shikra":
        found = re.findall(r"(?:(?:So t|T|t)he answer is|Answer:) (.+)", text.strip())
        return found[0].strip().rstrip(".").strip() if len(found) == 1 else None
    return text


def score_gqa(questions, predictions, reader):
    parsed = [read_gqa(text, reader) for text in predictions]
    targets = [read_gqa(q["answer"], reader) if reader == "lmms-eval" else q["answer"] for q in questions]
    hits = [reading == target for reading, target in zip(parsed, targets)]
    return {"accuracy": sum(hits) / len(hits) * 100, "parsed": parsed, "hits": hits}


GQA_ANSWERS = ["yes", "no", "t-shirt", "tshirt", "dog", "Dog", "left", "bus driver", "on the table", "café", "sky."]
GQA_FRAMES = [
    "{A}", "{A}.", "{A}..", " {A}", "{A} ", "The answer is {A}.", "So the answer is {A} .", "the answer is {A}. Answer: {A}",
    "Answer: {A}.\nBecause", "answer: {A}", "The answer is {A}\nThe answer is {A}", "{A}, I think", "", "THE ANSWER IS {A}",
]


def make_gqa(count, seed):
    rng = random.Random(seed)
    questions = [
        {"id": f"{i:06d}", "answer": rng.choice(GQA_ANSWERS), "isOpen": rng.random() < 0.5} for i in range(count)
    ]
    texts = []
    for question in questions:
        answer = question["answer"] if rng.random() < 0.6 else rng.choice(GQA_ANSWERS)
        answer = rng.choice([answer, answer.upper(), answer.capitalize(), answer])
        texts.append(rng.choice(GQA_FRAMES).replace("{A}", answer))
    return questions, texts


def read_scienceqa(text):
    letters = ["A", "B", "C", "D", "E"]
    if text in letters:
        return text
    if len(text) >= 3 and text[0] in letters and text[1:3] == ". ":
        return text[0]
    found = re.findall(r"The answer is ([A-Z]).", text)
    return found[0] if len(found) == 1 else None


def score_scienceqa(problems, predictions):
    parsed = [None if text is None else read_scienceqa(text) for text in predictions]
    hits = [
        reading in list("ABCDE"[: p["numChoices"]]) and "ABCDE".index(reading) == p["answer"]
        for reading, p in zip(parsed, problems)
    ]
    return {"accuracy": sum(hits) / len(hits) * 100, "parsed": parsed, "hits": hits}


SCIENCE_FRAMES = CHOICE_FRAMES + [
    "The answer is {L}.", "The answer is {L}. The answer is {M}.", "The answer is Apple", "The answer is {L}\n", "{L}. ",
    "{L}. yes", "{L}.", "The answer is {L}!", "Because. The answer is {L}.", "The answer is \u00c9.", "The answer is {L}\U0001f600",
]


def make_scienceqa(count, seed):
    rng = random.Random(seed)
    problems, texts = [], []
    for i in range(count):
        num_choices = rng.randint(2, 5)
        problems.append({"id": str(i + 1), "numChoices": num_choices, "answer": rng.randrange(num_choices)})
        texts.append(fill(rng, rng.choice(SCIENCE_FRAMES), "ABCDE"[: num_choices + 1][:5], OPTION_TEXTS))
        if rng.random() < 0.03:
            texts[-1] = None
    return problems, texts


def read_mmvp(text):
    text = text.strip()
    for pattern in (
        r"^\s*\(?([AB])\)?\.?\s*$",
        r"^\s*\(?([AB])\)?[\.\s]",
        r"answer\s+is\s+\(?([AB])\)?",
        r"option\s+\(?([AB])\)?",
        r"\(?([AB])\)?(?:\s|$)",
    ):
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return found.group(1).upper()
    return text[0].upper() if text and text[0].upper() in "AB" else None


def score_mmvp(labels, answers):
    parsed = [read_mmvp(answer) for answer in answers]
    hits = [reading == label for reading, label in zip(parsed, labels)]
    pairs = [hits[i] and hits[i + 1] for i in range(0, len(hits), 2)]
    return {"parsed": parsed, "accuracy": sum(hits) / len(hits), "pairAccuracy": sum(pairs) / len(pairs)}


def make_mmvp(count, seed):
    rng = random.Random(seed)
    frames = CHOICE_FRAMES + ["({l})", "It is a cat", "Open", "Both", "apple", "  (b) ", "Option ({L})", "the answer  is ({l})"]
    labels = [rng.choice("AB") for _ in range(count)]
    return labels, [fill(rng, rng.choice(frames), "AB", OPTION_TEXTS) for _ in range(count)]
