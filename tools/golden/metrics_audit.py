"""Compares `commlm score` with the reference tools on cases that no golden file holds: another seed, nastier texts.

    npm run build
    venv/bin/pip install -r tools/golden/requirements-metrics.txt
    venv/bin/python tools/golden/metrics_audit.py --seed 1 --count 2500

Captions are scored by pycocoevalcap (PTB tokenizer and METEOR in Java), item by item; every other benchmark by the plain
definitions in answers.py. Each line says how many cases were compared, how many differ, and the largest difference.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile

import answers
import captions

COMMAND = os.path.join(os.path.dirname(__file__), "..", "..", "packages", "commlm", "bin", "commlm.js")
TOLERANCE = 1e-9
# Line ends inside a caption shift every caption after it in the original tool, so they are no case of it.
LINE_ENDS = "\n\r\x0b\x0c\x85\u2028\u2029\x1c\x1d\x1e"
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
    (0x900, 0x97F), (0xE00, 0xE5B), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x214F), (0x2150, 0x27BF), (0x3000, 0x30FF),
    (0x4E00, 0x4FFF), (0xAC00, 0xACFF), (0xF900, 0xFFEF), (0x1F300, 0x1F6FF), (0x1, 0x1F),
]
PIECES = captions.ODDITIES + answers.VQA_ANSWERS + """
dogs' children's it'd who're o'neil d'angelo l'eau 'twasn't isn`t can’t won‘t y’all don't. don't, U.S.A. u.k. U.N. Ph.D. i.e. e.g.,
St. John No. 10 no. ten Fig. 2a pp. 12-15 10:30 10:30:15 10am 5'9" 6ft 3/4 1/2-inch 7-eleven 24/7 1,234.56 .5 5. 5.. -5 +5 1e9 0x1F 50%
100% $1,000.00 US$ 20 £20 €1.50 99¢ #hashtag @someone a@b.co http://x.y/z?q=1 www.a.com a.com/b file.txt C:\\dir a/b/c and/or w/ w/o
(a) [b] {c} <d> <e f="g"> </h> <!-- i --> &gt; &#39; &eacute; caf&eacute; -LRB- -RRB- -lrb- -rsb- :-) ;) :P =D ^.^ (^_^) o_O <3 ... …. . . .
-- --- – — ‑ _x_ __ a_b *b* ** ~ ^ | \\ / ' " `` '' “ ” ‘ ’ « » ‹ › „ ! !! ?! ?? ;; :: , ,, rock'n'roll 'n' 'em 'til '90s 1990s' x-ray
T-shirt t-shirts pre-1990 non-u.s. U.S.-based anti- pro-life co-op mother-in-law black-and-white 3-year-old A.M. a.m. p.m. P.M., Inc. Co. Ltd
c'mon ma'am o'clock gonna wanna gotta gimme lemme cannot Cannot CANNOT 'Tis 'twas IT'S HE'LL İt's ﬁne ﬀ Straße ß ŉ ǆ Σς ᾳ
""".split()


def word(rng):
    chance = rng.random()
    if chance < 0.55:
        return rng.choice(PIECES)
    low, high = rng.choice(RANGES)
    return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))


def spoil(rng, text):
    """Text with something unpleasant put in, taken out, or run together."""
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at = rng.randint(0, len(text))
        chance = rng.random()
        if chance < 0.5:
            text = text[:at] + rng.choice(["", " ", "  "]) + word(rng) + rng.choice(["", " ", "."]) + text[at:]
        elif chance < 0.7:
            text = text[:at] + text[at + rng.randint(1, 3) :]
        elif chance < 0.85:
            text = text[:at] + text[at:].swapcase()
        else:
            text = text[:at] + text[at:].replace(" ", rng.choice(["\u00a0", "-", "  ", "'", "\t", "."]), 1)
    return text


def caption(rng, text):
    text = "".join(" " if char in LINE_ENDS or 0xD800 <= ord(char) <= 0xDFFF else char for char in spoil(rng, text))
    return text.replace("|||", "")


def foreign_digits(rng, text):
    """Digits of another script, which Python's patterns and `float` take for digits too."""
    zero = rng.choice([0x660, 0x966, 0xFF10, 0x1D7CE, 0x1D7E2, 0x1E950])
    return "".join(chr(zero + int(char)) if char in "0123456789" else char for char in text)


def foreign_letters(rng, text):
    """Letters and blanks that Python's caseless patterns and `\\s` take for those of a stated answer."""
    return "".join(rng.choice({"s": "s\u017fS", "i": "i\u0131\u0130I", " ": " \u0085\x1c\u00a0\ufeff"}.get(char, char)) for char in text)


def score(benchmark, *options):
    command = ["node", COMMAND, "score", benchmark, "--json", "--per-item", *options]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)
    return path


def write_lines(path, values):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    return path


class Report:
    """Counts of compared values by name; the process fails when one differs."""

    def __init__(self):
        self.failed = False

    def numbers(self, name, ours, theirs, show=lambda i: ""):
        """Equal to the tolerance."""
        assert len(ours) == len(theirs), (name, len(ours), len(theirs))
        differences = [abs(a - b) for a, b in zip(ours, theirs)]
        bad = [i for i, difference in enumerate(differences) if not difference <= TOLERANCE]
        self.line(name, len(ours), bad, f"largest difference {max(differences):.3g}", lambda i: f"{ours[i]} {theirs[i]} {show(i)}")

    def values(self, name, ours, theirs, show=lambda i: ""):
        """Equal in every bit."""
        assert len(ours) == len(theirs), (name, len(ours), len(theirs))
        bad = [i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b]
        self.line(name, len(ours), bad, "compared exactly", lambda i: f"{ours[i]!r} {theirs[i]!r} {show(i)}")

    def line(self, name, count, bad, note, show):
        print(f"{name:<28} {count:>7} compared {len(bad):>5} differ   {note}", flush=True)
        self.failed = self.failed or len(bad) > 0
        for i in bad[:8]:
            print(f"    {i}: {show(i)}")


def audit_captions(report, folder, rng, seed, count):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor import meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    images = [
        ([caption(rng, text) for text in references], caption(rng, prediction))
        for references, prediction in captions.make_images(count, seed)
    ]
    coco = {
        "images": [{"id": i} for i in range(count)],
        "annotations": [{"image_id": i, "caption": text} for i, (texts, _) in enumerate(images) for text in texts],
    }
    predictions = [{"image_id": i, "caption": text} for i, (_, text) in enumerate(images)]
    files = ["--annotations", write_json(f"{folder}/coco.json", coco)]
    files += ["--predictions", write_json(f"{folder}/captions.json", predictions)]
    ours = score("coco-caption", *files, "--meteor-data", os.path.dirname(meteor.__file__))

    tokenizer = PTBTokenizer()
    references = tokenizer.tokenize({i: [{"caption": text} for text in texts] for i, (texts, _) in enumerate(images)})
    predicted = tokenizer.tokenize({i: [{"caption": text}] for i, (_, text) in enumerate(images)})
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, bleu_each = Bleu(4).compute_score(references, predicted, 0)
        rouge, rouge_each = Rouge().compute_score(references, predicted)
        cider, cider_each = Cider().compute_score(references, predicted)
    theirs = {f"BLEU-{n + 1}": (bleu[n], bleu_each[n]) for n in range(4)}
    theirs |= {"ROUGE-L": (rouge, rouge_each), "CIDEr": (cider, cider_each)}
    theirs["METEOR"] = meteor.Meteor().compute_score(references, predicted)
    for name, (corpus, each) in theirs.items():
        show = lambda i: f"{predicted[i]} <- {images[i][1]!r}"
        report.numbers(name, [item[name] for item in ours["perItem"]], [float(value) for value in each], show)
        report.numbers(f"{name} of the set", [ours["metrics"][name]], [float(corpus)])


def audit_vqa(report, folder, rng, seed, count):
    annotations, texts = answers.make_vqa(count, seed)
    for annotation in annotations:
        spoilt = {text: spoil(rng, text) if rng.random() < 0.5 else text for text in set(annotation["answers"])}
        annotation["answers"] = [spoilt[text] for text in annotation["answers"]]
        text = texts[annotation["id"]]
        texts[annotation["id"]] = rng.choice([text, rng.choice(annotation["answers"]), spoil(rng, rng.choice(annotation["answers"]))])
    layout = {
        "annotations": [
            {
                "question_id": a["id"],
                "question_type": a["questionType"],
                "answer_type": a["answerType"],
                "answers": [{"answer": text, "answer_id": k + 1} for k, text in enumerate(a["answers"])],
            }
            for a in annotations
        ]
    }
    data = {"data": [{"question_id": a["id"], "answers": a["answers"]} for a in annotations]}
    predictions = [{"question_id": i, "answer": text} for i, text in texts.items()]
    files = ["--annotations", write_json(f"{folder}/vqa.json", layout)]
    files += ["--predictions", write_json(f"{folder}/answers.json", predictions)]
    runs = [(name, reader, files) for name in ("vqav2", "okvqa") for reader in ("official", "always", "evalai")]
    runs.append(("textvqa", "evalai", ["--annotations", write_json(f"{folder}/textvqa.json", data), *files[2:]]))
    for benchmark, reader, paths in runs:
        ours = score(benchmark, "--reader", reader, *paths)
        theirs = answers.score_vqa(annotations, texts, reader)
        show = lambda i: f"{predictions[i]} {annotations[i]['answers']}"
        got = [[item["accuracy"], item["normalized"]] for item in ours["perItem"]]
        report.values(f"{benchmark} {reader}", got, theirs["perItem"], show)
        metrics = ours["metrics"]
        means = {"all": metrics["accuracy"]}
        means |= {f"a:{name}": value for name, value in metrics.get("accuracyByAnswerType", {}).items()}
        means |= {f"q:{name}": value for name, value in metrics.get("accuracyByQuestionType", {}).items()}
        report.values(f"{benchmark} {reader} means", list(means.values()), [theirs["means"][name] for name in means])


def audit_yes_no(report, folder, rng, seed, count):
    pairs = [(label, rng.choice([text, spoil(rng, text)])) for label, text in answers.make_yes_no(count - count % 28, seed)]
    labels, texts = zip(*pairs)
    questions = [{"question_id": i, "image": "a.jpg", "text": f"q{i}", "label": label} for i, label in enumerate(labels)]
    files = ["--annotations", write_lines(f"{folder}/pope.json", questions)]
    in_order = write_lines(f"{folder}/pope.jsonl", [{"question": f"q{i}", "answer": text} for i, text in enumerate(texts)])
    by_id = [{"question_id": i, "text": text} for i, text in enumerate(texts)]
    rng.shuffle(by_id)
    by_id = write_lines(f"{folder}/pope_id.jsonl", by_id)
    for reader, definition in (("official", answers.score_pope), ("lmms-eval", answers.score_pope_lmms_eval)):
        for layout, path in (("in order", in_order), ("by id", by_id)):
            ours = score("pope", "--reader", reader, "--predictions", path, *files)
            theirs = definition(labels, texts)
            parsed = theirs.pop("parsed")
            report.values(f"pope {reader}, {layout}", [i["parsed"] for i in ours["perItem"]], parsed, lambda i: repr(texts[i]))
            report.values(f"pope {reader} figures", [ours["metrics"][name] for name in theirs], list(theirs.values()))

    names = "existence count position color posters celebrity scene landmark artwork OCR commonsense_reasoning"
    names = f"{names} numerical_calculation text_translation code_reasoning".split()
    size = len(pairs) // len(names)
    results = f"{folder}/mme"
    os.makedirs(results)
    tasks = {}
    for k, name in enumerate(names):
        rows = [(label, "".join(" " if c in "\t\n\r" else c for c in text)) for label, text in pairs[k * size : (k + 1) * size]]
        tasks[name] = rows
        with open(f"{results}/{name}.txt", "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{i // 2}.jpg\tq?\t{label.capitalize()}\t{text}\n" for i, (label, text) in enumerate(rows))
    for reader in ("official", "lmms-eval"):
        ours = score("mme", "--reader", reader, "--predictions", results)
        theirs = {name: answers.score_mme(rows, reader) for name, rows in tasks.items()}
        flat = [text for rows in tasks.values() for _, text in rows]
        parsed = [reading for task in theirs.values() for reading in task["parsed"]]
        report.values(f"mme {reader}", [item["parsed"] for item in ours["perItem"]], parsed, lambda i: repr(flat[i]))
        figures = [[ours["metrics"][name][key] for key in ("acc", "accPlus", "score")] for name in names]
        report.values(f"mme {reader} subtasks", figures, [[theirs[n][key] for key in ("acc", "accPlus", "score")] for n in names])
        totals = [0, 0]
        for k, name in enumerate(names):
            totals[k >= 10] += theirs[name]["score"]
        report.values(f"mme {reader} sums", [ours["metrics"][part] for part in ("perception", "cognition")], totals)


def audit_mmbench(report, folder, rng, seed, count):
    rows, texts = answers.make_mmbench(count // 3, seed)
    texts = [rng.choice([text, text, spoil(rng, text), foreign_letters(rng, text)]) for text in texts]
    shown = [{**row["options"], "index": row["index"], "question": 'a "b"', "answer": row["answer"]} for row in rows]
    for row in shown:
        row |= {"category": f"c{row['index'] % 7}", "l2-category": f"l{row['index'] % 3}"}
    table = f"{folder}/mmbench.tsv"
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, "index question A B C D answer category l2-category".split(), restval="", delimiter="\t")
        writer.writeheader()
        writer.writerows(shown)
    as_json = [{"index": row["index"], "prediction": text} for row, text in zip(rows, texts)]
    files = {"json": write_json(f"{folder}/choices.json", as_json), "tsv": f"{folder}/choices.tsv"}
    missing = {"", "nan", "None", "NA"}
    with open(files["tsv"], "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["index", "prediction"], delimiter="\t")
        writer.writeheader()
        writer.writerows(as_json)
    for reader in ("exact", "2023"):
        for kind, path in files.items():
            read = [text if kind == "json" or text not in missing else "nan" for text in texts]
            ours = score("mmbench", "--reader", reader, "--annotations", table, "--predictions", path)
            theirs = answers.score_mmbench(rows, read, reader)
            show = lambda i: f"{read[i]!r} {rows[i]['options']}"
            report.values(f"mmbench {reader} {kind}", [item["parsed"] for item in ours["perItem"]], theirs["parsed"], show)
            figures = ["circular", "vanilla"]
            report.values(f"mmbench {reader} figures", [ours["metrics"][n] for n in figures], [theirs[n] for n in figures])


def audit_rec(report, folder, rng, seed, count):
    targets, texts = answers.make_rec(count, seed)
    texts = [text if rng.random() < 0.8 else spoil(rng, text) for text in texts]
    texts = [text if rng.random() < 0.9 else foreign_digits(rng, text) for text in texts]
    rows = [{"img_path": "a.jpg", "expression": "b", "bbox": t["box"], "width": t["width"], "height": t["height"]} for t in targets]
    files = ["--annotations", write_lines(f"{folder}/rec.jsonl", rows)]
    files += ["--predictions", write_lines(f"{folder}/boxes.jsonl", [{"answer": text} for text in texts])]
    runs = [(name, "shikra", answers.score_rec) for name in ("refcoco", "refcoco+", "refcocog")]
    for benchmark, reader, definition in [*runs, ("refcoco", "lmms-eval", answers.score_rec_lmms_eval)]:
        ours = score(benchmark, "--reader", reader, *files)
        theirs = definition(targets, texts)
        got = [[item["box"], item["iou"]] for item in ours["perItem"]]
        want = [[box, 0 if iou is None else iou] for box, iou in theirs["perItem"]]
        report.values(f"{benchmark} {reader}", got, want, lambda i: f"{texts[i]!r} {targets[i]}")
        report.values(f"{benchmark} figures", [ours["metrics"][n] for n in ("accuracy", "failed")], [theirs[n] for n in ("accuracy", "failed")])


def audit_rest(report, folder, rng, seed, count):
    questions, texts = answers.make_gqa(count, seed)
    texts = [rng.choice([text, text, spoil(rng, text)]) for text in texts]
    layout = {
        q["id"]: {"answer": q["answer"], "isBalanced": True, "types": {"structural": "query" if q["isOpen"] else "verify"}}
        for q in questions
    }
    files = ["--annotations", write_json(f"{folder}/gqa.json", layout)]
    predictions = [{"questionId": q["id"], "prediction": text} for q, text in zip(questions, texts)]
    files += ["--predictions", write_json(f"{folder}/gqa_answers.json", predictions)]
    for reader in ("official", "llava", "lmms-eval", "shikra"):
        ours = score("gqa", "--reader", reader, *files)
        theirs = answers.score_gqa(questions, texts, reader)
        got = [[item["parsed"], item["hit"]] for item in ours["perItem"]]
        report.values(f"gqa {reader}", got, [list(pair) for pair in zip(theirs["parsed"], theirs["hits"])], lambda i: repr(texts[i]))
        report.values(f"gqa {reader} accuracy", [ours["metrics"]["accuracy"]], [theirs["accuracy"]])

    problems, texts = answers.make_scienceqa(count, seed)
    texts = [text if text is None or rng.random() < 0.5 else spoil(rng, text) for text in texts]
    layout = {p["id"]: {"choices": ["x"] * p["numChoices"], "answer": p["answer"], "split": "test", "image": None} for p in problems}
    lines = [{"question_id": p["id"], "text": text} for p, text in zip(problems, texts) if text is not None]
    files = ["--annotations", write_json(f"{folder}/problems.json", layout)]
    files += ["--split-file", write_json(f"{folder}/pid_splits.json", {"test": [p["id"] for p in problems]}), "--split", "test"]
    ours = score("scienceqa", *files, "--predictions", write_lines(f"{folder}/science.jsonl", lines))
    theirs = answers.score_scienceqa(problems, texts)
    got = [[item["parsed"], item["hit"]] for item in ours["perItem"]]
    report.values("scienceqa llava", got, [list(pair) for pair in zip(theirs["parsed"], theirs["hits"])], lambda i: repr(texts[i]))
    report.values("scienceqa accuracy", [ours["metrics"]["accuracy"]], [theirs["accuracy"]])

    labels, texts = answers.make_mmvp(count, seed)
    texts = [rng.choice([text, spoil(rng, text), foreign_letters(rng, text)]) for text in texts]
    table = f"{folder}/Questions.csv"
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Index", "Question", "Options", "Correct Answer"])
        writer.writerows([i + 1, 'Is it, "so"?', "(a) Open (b) Closed", f"({label.lower()})"] for i, label in enumerate(labels))
    lines = [{"question_id": i + 1, "text": text} for i, text in enumerate(texts)]
    ours = score("mmvp", "--annotations", table, "--predictions", write_lines(f"{folder}/mmvp.jsonl", lines))
    theirs = answers.score_mmvp(labels, texts)
    report.values("mmvp", [item["parsed"] for item in ours["perItem"]], theirs["parsed"], lambda i: repr(texts[i]))
    report.values("mmvp figures", [ours["metrics"][n] for n in ("accuracy", "pairAccuracy")], [theirs[n] for n in ("accuracy", "pairAccuracy")])


AUDITS = {
    "captions": audit_captions,
    "vqa": audit_vqa,
    "yes-no": audit_yes_no,
    "mmbench": audit_mmbench,
    "rec": audit_rec,
    "rest": audit_rest,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2500)
    parser.add_argument("--only", choices=AUDITS, nargs="*", default=list(AUDITS))
    options = parser.parse_args()
    report = Report()
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            AUDITS[name](report, folder, random.Random(f"{name} {options.seed}"), options.seed, options.count)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
