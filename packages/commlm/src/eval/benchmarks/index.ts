/** The benchmarks that `eval` generates answers for, in the order of its table. */
import type { Benchmark } from './benchmark.js';
import { COCO_CAPTION, FLICKR30K } from './captions.js';
import { GQA } from './gqa.js';
import { MMBENCH } from './mmbench.js';
import { MME } from './mme.js';
import { MMVP } from './mmvp.js';
import { POPE } from './pope.js';
import { REFCOCO, REFCOCO_PLUS, REFCOCOG } from './rec.js';
import { REG } from './reg.js';
import { SCIENCEQA } from './scienceqa.js';
import { OKVQA, TEXTVQA, VQAV2 } from './vqa.js';

export const BENCHMARKS: readonly Benchmark[] = [
  ...[REFCOCO, REFCOCO_PLUS, REFCOCOG, REG, POPE, COCO_CAPTION, FLICKR30K, VQAV2, OKVQA],
  ...[TEXTVQA, GQA, MME, MMBENCH, SCIENCEQA, MMVP],
];

/** The benchmark of a name. */
export function findBenchmark(name: string): Benchmark | undefined {
  return BENCHMARKS.find((benchmark) => benchmark.name === name);
}
