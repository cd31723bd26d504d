/** The benchmarks that `eval` generates answers for, in the order of its table. */
import type { BenchmarkResult } from '../results.js';
import type { PublishedBenchmark } from './benchmark.js';
import { COCO_CAPTION, FLICKR30K } from './captions.js';
import { GQA } from './gqa.js';
import { MMBENCH } from './mmbench.js';
import { MME } from './mme.js';
import { MMVP } from './mmvp.js';
import { POPE } from './pope.js';
import { REFCOCO, REFCOCO_PLUS, REFCOCOG } from './rec.js';
import { REG } from './reg.js';
import { SCIENCEQA } from './scienceqa.js';
import { type MetricBase, TASK_METRICS, type TaskMetricName } from './task-metrics.js';
import { OKVQA, TEXTVQA, VQAV2 } from './vqa.js';

export const BENCHMARKS: readonly PublishedBenchmark[] = [
  ...[REFCOCO, REFCOCO_PLUS, REFCOCOG, REG, POPE, COCO_CAPTION, FLICKR30K, VQAV2, OKVQA],
  ...[TEXTVQA, GQA, MME, MMBENCH, SCIENCEQA, MMVP],
];

/** The published benchmark of a name. */
export function findBenchmark(name: string): PublishedBenchmark | undefined {
  return BENCHMARKS.find((benchmark) => benchmark.name === name);
}

/** What results need to be read: the published benchmark's, or that of the metric of a task; undefined for neither. */
export function baseOfResult({ benchmark, metric }: BenchmarkResult): MetricBase | undefined {
  if (metric === undefined) return findBenchmark(benchmark);
  return Object.hasOwn(TASK_METRICS, metric) ? TASK_METRICS[metric as TaskMetricName].base : undefined;
}
