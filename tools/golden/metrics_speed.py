"""Times `commlm score` beside pycocoevalcap on 5,000 generated images, and on 214,354 VQA answers, in one run.

    npm run build
    venv/bin/pip install -r tools/golden/requirements-metrics.txt
    venv/bin/python tools/golden/metrics_speed.py

Ours is the whole command from its start to its exit; theirs is the library with its Java tokenizer, without the time to
load Python or to read the files. Wall and processor seconds are printed; the comparison needs an idle machine.
"""

import contextlib
import io
import json
import os
import random
import resource
import subprocess
import tempfile
import time

import answers
import captions

COMMAND = os.path.join(os.path.dirname(__file__), "..", "..", "packages", "commlm", "bin", "commlm.js")
NUM_IMAGES = 5000
NUM_QUESTIONS = 214354


def processor_seconds():
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(name, work):
    processor, wall = processor_seconds(), time.perf_counter()
    result = work()
    wall, processor = time.perf_counter() - wall, processor_seconds() - processor
    print(f"{name:<44} {wall:7.2f} s wall {processor:7.2f} s processor")
    return result, wall, processor


def score(benchmark, folder):
    command = ["node", COMMAND, "score", benchmark, "--json"]
    command += ["--predictions", f"{folder}/predictions.json", "--annotations", f"{folder}/annotations.json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["metrics"]


def write(folder, predictions, annotations):
    for name, value in (("predictions", predictions), ("annotations", annotations)):
        with open(f"{folder}/{name}.json", "w") as file:
            json.dump(value, file)


def score_with_pycocoevalcap(images):
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    references = tokenizer.tokenize({i: [{"caption": c} for c in group] for i, (group, _) in enumerate(images)})
    predicted = tokenizer.tokenize({i: [{"caption": prediction}] for i, (_, prediction) in enumerate(images)})
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(references, predicted, 0)
        rouge, _ = Rouge().compute_score(references, predicted)
        cider, _ = Cider().compute_score(references, predicted)
    return {"CIDEr": cider, **{f"BLEU-{n + 1}": value for n, value in enumerate(bleu)}, "ROUGE-L": rouge}


def compare_captions(folder):
    images = [(group * 5, prediction) for group, prediction in captions.make_images(NUM_IMAGES, seed=31)]
    images = [(group[:5], prediction) for group, prediction in images]
    listed = [(i, caption) for i, (group, _) in enumerate(images) for caption in group]
    annotations = [{"id": k, "image_id": i, "caption": caption} for k, (i, caption) in enumerate(listed)]
    predictions = [{"image_id": i, "caption": prediction} for i, (_, prediction) in enumerate(images)]
    write(folder, predictions, {"images": [{"id": i} for i in range(len(images))], "annotations": annotations})
    ours, our_wall, our_processor = timed("captions, commlm score", lambda: score("coco-caption", folder))
    theirs, their_wall, their_processor = timed("captions, pycocoevalcap", lambda: score_with_pycocoevalcap(images))
    difference = max(abs(ours[name] - theirs[name]) for name in theirs)
    print(f"{their_wall / our_wall:.1f} times as fast by wall, {their_processor / our_processor:.1f} by processor;", end=" ")
    print(f"largest difference of a figure {difference:.1e}")


def time_vqa(folder):
    rng = random.Random(32)
    annotations = []
    for i in range(NUM_QUESTIONS):
        pool = [rng.choice(answers.VQA_ANSWERS) for _ in range(3)] + [f"word {rng.randrange(20000)}"]
        humans = [{"answer_id": k + 1, "answer": rng.choice(pool), "answer_confidence": "yes"} for k in range(10)]
        groups = {"question_type": "what", "answer_type": "other"}
        annotations.append({"question_id": i, "image_id": i // 5, **groups, "answers": humans})
    predictions = [{"question_id": i, "answer": a["answers"][0]["answer"]} for i, a in enumerate(annotations)]
    write(folder, predictions, {"annotations": annotations})
    timed(f"{NUM_QUESTIONS} VQA answers, commlm score", lambda: score("vqav2", folder))


def main():
    with tempfile.TemporaryDirectory() as folder:
        compare_captions(folder)
        time_vqa(folder)


if __name__ == "__main__":
    main()
