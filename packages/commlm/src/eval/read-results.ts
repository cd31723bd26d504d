/** Reads the folder that `eval` leaves: results.json and the samples of a benchmark. */
import { join } from 'node:path';
import { CommError } from '../config/errors.js';
import { Place, readJson, readJsonLines } from './formats/files.js';
import { type BenchmarkResult, type EvalResults, type EvalSample, RESULTS_VERSION } from './results.js';

/** The results of a folder. @throws CommError when there are none, or of another version */
export async function readResults(folder: string): Promise<EvalResults> {
  const path = join(folder, 'results.json');
  const root = (await readJson(path)) as Partial<EvalResults> | null;
  if (root?.version !== RESULTS_VERSION || root.run === undefined || !Array.isArray(root.benchmarks)) {
    throw new CommError(`${path} is not a results file of version ${RESULTS_VERSION}.`, {
      code: 'eval/bad-results',
      fix: 'Give the folder that "commlm eval <benchmark> --out" wrote.',
    });
  }
  return root as EvalResults;
}

/** The samples of a benchmark of a folder. @throws CommError when their number is not that of the results */
export async function readSamples(folder: string, result: BenchmarkResult): Promise<readonly EvalSample[]> {
  const path = join(folder, result.samples);
  // Where no question has an answer the file is empty.
  if (result.count === 0) return [];
  const samples = (await readJsonLines(path)).map(({ value, place }) => {
    for (const name of ['id', 'unit', 'prompt', 'answer', 'score', 'figures']) {
      if (value[name] === undefined)
        throw place.error(`the field "${name}" is missing.`, undefined, 'eval/bad-results');
    }
    return value as unknown as EvalSample;
  });
  if (samples.length !== result.count) {
    throw new Place(path).error(
      `${samples.length} samples, but results.json counts ${result.count}.`,
      'Run the evaluation again; it asks nothing twice.',
      'eval/bad-results',
    );
  }
  return samples;
}
