#!/usr/bin/env bash
# Rebuilds the embedded model models/comm-tiny from nothing: tokenizer, both towers, the two stages, the figures.
# Every step goes on after a kill: run the script again. Two cores take a working day; a kill costs at most 250 steps.
set -euo pipefail
cd "$(dirname "$0")/.."

run() {
  if [ -e "runs/out/$1/run.json" ]; then npx commlm train "$1" --resume; else npx commlm train "$1"; fi
}

run tiny-tokenizer
# The towers do not depend on each other; one thread each is faster than two threads one after the other.
OMP_NUM_THREADS=1 run tiny-clip & clip=$!
OMP_NUM_THREADS=1 run tiny-dinov2 & dino=$!
wait "$clip"
wait "$dino"
# Nothing is built on a tower that has not learned.
for tower in tiny-clip tiny-dinov2; do
  node tools/world/probe.mjs "runs/out/$tower/result" --json "runs/out/$tower/gate.json"
done
run tiny-align
run tiny-stage1
run tiny-stage2
npx commlm eval world --model runs/out/tiny-stage2/result --count 1000 --out runs/out/tiny-eval
npx commlm world runs/out/tiny-test --split test --count 2000 --seed 79
npx commlm eval pope refcoco vqav2 --model runs/out/tiny-stage2/result --data runs/out/tiny-test --out runs/out/tiny-eval-files
npx commlm eval reg coco-caption --blind --model runs/out/tiny-stage2/result --data runs/out/tiny-test --out runs/out/tiny-eval-texts
npx commlm eval world --model runs/out/tiny-stage2/result --count 500 --style shift --out runs/out/tiny-eval-shift
