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
export type { Benchmark } from './eval/benchmarks/benchmark.js';
export type { DataChoices } from './eval/benchmarks/data-folder.js';
export { BENCHMARKS, findBenchmark } from './eval/benchmarks/index.js';
export { type CompareRequest, type Comparison, compareResults } from './eval/compare.js';
export type { EvalDecoding } from './eval/defaults.js';
export { type EndpointOptions, EndpointRespondent } from './eval/endpoint.js';
export type { EvalRequest, Shard } from './eval/eval-request.js';
export { type EvalOutcome, evaluate } from './eval/evaluate.js';
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
export { type EvalPrompt, loadPrompts, PROMPT_SETS, type PromptName, type PromptSet } from './eval/prompts.js';
export { writeReport } from './eval/report/write-report.js';
export { type AskedQuestion, ModelRespondent, type Reply, type Respondent } from './eval/respondent.js';
export type { EvalResults, EvaluatedModel } from './eval/results.js';
export { type EvalEndpoint, type EvalOptions, runEval } from './eval/run-eval.js';
export { type ScoreRequest, type ScoreResult, scoreFiles } from './eval/score.js';
export { evaluateWorld, type WorldEvalOptions, type WorldResults } from './eval/world.js';
