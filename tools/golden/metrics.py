"""Writes the golden results of the metrics to tests/golden/metrics.

    python3 -m venv venv && venv/bin/pip install -r tools/golden/requirements-metrics.txt
    venv/bin/python tools/golden/metrics.py tests/golden/metrics

Captions are scored by pycocoevalcap itself (Java must be on the path: it runs the PTB tokenizer and METEOR); the answer
metrics by the plain definitions in answers.py. METEOR is there twice: with the tables of its release, which are not shipped,
and with small invented ones that are. Everything is generated from fixed seeds, no data set is needed.
"""

import gzip
import json
import os
import subprocess
import sys

import answers
import captions

NUM_IMAGES = 400
NUM_LINES = 2400
NUM_ANSWERS = 2000


def write(folder, name, value):
    """Gzip without a time stamp, so that the same content gives the same bytes."""
    path = os.path.join(folder, name + ".json.gz")
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    with open(path, "wb") as file:
        file.write(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    print(f"{path}: {os.path.getsize(path)} bytes")


def tokenize(texts):
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    return [tokens for group in PTBTokenizer().tokenize({0: [{"caption": text} for text in texts]}).values() for tokens in group]


def make_tokenizer_golden():
    lines = captions.make_lines(NUM_LINES, seed=11)
    return {"lines": lines, "tokens": tokenize(lines)}


METEOR_MODULES = {
    "METEOR": "exact stem synonym paraphrase",
    "METEOR ex+st": "exact stem",
    "METEOR ex+st+sy": "exact stem synonym",
}


def score_meteor(references, predicted, tables, modules):
    """The METEOR jar with given tables, asked as pycocoevalcap asks it: corpus score and the score of each image."""
    from pycocoevalcap.meteor import meteor as wrapper

    jar = os.path.join(os.path.dirname(wrapper.__file__), "meteor-1.5.jar")
    command = ["java", "-Xmx2G", "-jar", jar, "-", "-", "-stdio", "-l", "en", "-norm", "-m", modules]
    command += ["-d", os.path.abspath(os.path.join(tables, "synonym"))]
    command += ["-a", os.path.abspath(os.path.join(tables, "data", "paraphrase-en.gz"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as meteor:

        def ask(line, num_lines=1):
            meteor.stdin.write(line + "\n")
            meteor.stdin.flush()
            return [meteor.stdout.readline().strip() for _ in range(num_lines)]

        counts = []
        for i, group in references.items():
            test = predicted[i][0].replace("|||", "").replace("  ", " ")
            counts += ask(" ||| ".join(["SCORE", *group, test]))
        scores = [float(value) for value in ask("EVAL ||| " + " ||| ".join(counts), len(counts) + 1)]
        meteor.stdin.close()
    return scores[-1], scores[:-1]


def make_caption_golden(tables):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    images = captions.make_images(NUM_IMAGES, seed=12)
    tokens = iter(tokenize([reference for references, _ in images for reference in references]))
    references = {i: [next(tokens) for _ in group] for i, (group, _) in enumerate(images)}
    predicted = {i: [text] for i, text in enumerate(tokenize([prediction for _, prediction in images]))}
    bleu, bleu_each = Bleu(4).compute_score(references, predicted, 0)
    rouge, rouge_each = Rouge().compute_score(references, predicted)
    cider, cider_each = Cider().compute_score(references, predicted)
    meteor, meteor_each = Meteor().compute_score(references, predicted)
    invented = {name: score_meteor(references, predicted, tables, modules) for name, modules in METEOR_MODULES.items()}
    return {
        "images": images,
        "meteorWithInventedTables": {name: {"corpus": score, "perImage": each} for name, (score, each) in invented.items()},
        "names": ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR"],
        "corpus": [float(value) for value in [cider, *bleu, rouge, meteor]],
        "perImage": [
            [float(value) for value in [cider_each[i], *(each[i] for each in bleu_each), rouge_each[i], meteor_each[i]]]
            for i in range(len(images))
        ],
    }


def make_answer_golden():
    vqa, vqa_answers = answers.make_vqa(NUM_ANSWERS, seed=21)
    yes_no = answers.make_yes_no(NUM_ANSWERS, seed=22)
    rows, choices = answers.make_mmbench(NUM_ANSWERS // 3, seed=23)
    targets, boxes = answers.make_rec(NUM_ANSWERS, seed=24)
    questions, predictions = answers.make_gqa(NUM_ANSWERS, seed=25)
    problems, texts = answers.make_scienceqa(NUM_ANSWERS, seed=26)
    labels, letters = answers.make_mmvp(NUM_ANSWERS, seed=27)
    return {
        "vqa": {
            "annotations": vqa,
            "answers": list(vqa_answers.values()),
            "scores": {reader: answers.score_vqa(vqa, vqa_answers, reader) for reader in ("official", "always", "evalai")},
        },
        "pope": {
            "pairs": yes_no,
            "scores": {
                "official": answers.score_pope(*zip(*yes_no)),
                "lmms-eval": answers.score_pope_lmms_eval(*zip(*yes_no)),
            },
        },
        "mme": {
            "pairs": yes_no,
            "scores": {reader: answers.score_mme(yes_no, reader) for reader in ("official", "lmms-eval")},
        },
        "mmbench": {
            "rows": rows,
            "answers": choices,
            "scores": {reader: answers.score_mmbench(rows, choices, reader) for reader in ("exact", "2023")},
        },
        "rec": {
            "targets": targets,
            "answers": boxes,
            "scores": {
                "shikra": answers.score_rec(targets, boxes),
                "lmms-eval": answers.score_rec_lmms_eval(targets, boxes),
            },
        },
        "gqa": {
            "questions": questions,
            "predictions": predictions,
            "scores": {
                reader: answers.score_gqa(questions, predictions, reader)
                for reader in ("official", "llava", "lmms-eval", "shikra")
            },
        },
        "scienceqa": {"problems": problems, "texts": texts, "scores": answers.score_scienceqa(problems, texts)},
        "mmvp": {"labels": labels, "answers": letters, "scores": answers.score_mmvp(labels, letters)},
    }


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/metrics"
    os.makedirs(folder, exist_ok=True)
    write(folder, "tokenizer", make_tokenizer_golden())
    tables = os.path.join(folder, "meteor")
    captions.write_meteor_tables(tables)
    write(folder, "captions", make_caption_golden(tables))
    write(folder, "answers", make_answer_golden())


if __name__ == "__main__":
    main()
