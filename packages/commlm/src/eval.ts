/**
 * `commlm/eval`: benchmarks, scorers and metrics, comparisons of two results.
 *
 * ```ts
 * import { loadModel } from 'commlm';
 * import { evaluate, scoreFiles } from 'commlm/eval';
 *
 * const { metrics } = await scoreFiles('pope', { predictions: 'answers.jsonl', annotations: 'pope.jsonl' });
 * ```
 */
export { BENCHMARKS, findBenchmark } from './eval/benchmarks/index.js';
export { type CompareRequest, type Comparison, compareResults } from './eval/compare.js';
export { type EndpointOptions, EndpointRespondent } from './eval/endpoint.js';
export { type EvalOutcome, type EvalRequest, evaluate } from './eval/evaluate.js';
export { bleu } from './eval/metrics/bleu.js';
export { scoreCaptions } from './eval/metrics/captions.js';
export { cider } from './eval/metrics/cider.js';
export { scoreGqa } from './eval/metrics/gqa.js';
export { scoreMmbench } from './eval/metrics/mmbench.js';
export { scoreMmvp } from './eval/metrics/mmvp.js';
export { scorePope } from './eval/metrics/pope.js';
export { boxIou, scoreRec } from './eval/metrics/rec.js';
export { rougeL } from './eval/metrics/rouge.js';
export { scoreScienceQa } from './eval/metrics/scienceqa.js';
export { scoreTextVqa } from './eval/metrics/textvqa.js';
export { normalizeVqaAnswer, scoreVqa } from './eval/metrics/vqa.js';
export { writeReport } from './eval/report/write-report.js';
export { ModelRespondent, type Respondent } from './eval/respondent.js';
export type { EvalResults } from './eval/results.js';
export { type ScoreRequest, type ScoreResult, scoreFiles } from './eval/score.js';
export { evaluateWorld, type WorldEvalOptions, type WorldResults } from './eval/world.js';
