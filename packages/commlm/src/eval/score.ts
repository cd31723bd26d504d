/** Scores prediction files made by anything against the published annotation files: each benchmark by its own `scoreFile`. */
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { BENCHMARKS, findBenchmark } from './benchmarks/index.js';
import type { FileScores, ScoreRequest } from './benchmarks/score-file.js';

export type { MetricValue, ScoreRequest } from './benchmarks/score-file.js';

/** What `score --json` prints. */
export interface ScoreResult extends Omit<FileScores, 'samples'> {
  readonly benchmark: string;
  readonly reader: string;
}

const REQUEST: Checks<ScoreRequest> = {
  predictions: anything,
  annotations: anything,
  reader: anything,
  split: anything,
  subtasks: anything,
  splitFile: anything,
  subset: anything,
  meteor: anything,
  meteorData: anything,
  spiceCommand: anything,
  keepThinking: anything,
  coordinates: anything,
  notify: anything,
};

function usageError(message: string, fix: string): CommError {
  return new CommError(message, { code: 'score/usage', fix, exitCode: 2 });
}

/**
 * Scores a prediction file.
 *
 * @throws CommError for an unknown benchmark or reader, and for files that are not as they must be; it names file and line
 */
export async function scoreFiles(name: string, request: ScoreRequest): Promise<ScoreResult> {
  checkOptions(request, REQUEST, { what: 'A request to score' });
  return (await scoreWithSamples(name, request)).result;
}

/** The same, and what `eval` would say about each answer. */
export async function scoreWithSamples(
  name: string,
  request: ScoreRequest,
): Promise<{ readonly result: ScoreResult; readonly samples: FileScores['samples'] }> {
  const benchmark = findBenchmark(name);
  if (benchmark === undefined) {
    throw usageError(
      `There is no benchmark "${name}" to score.`,
      `Use one of ${BENCHMARKS.map((each) => each.name).join(', ')}.`,
    );
  }
  const reader = request.reader ?? benchmark.readers[0];
  if (!benchmark.readers.includes(reader)) {
    throw usageError(`${name} has no reader "${reader}".`, `Use one of ${benchmark.readers.join(', ')}.`);
  }
  if (request.coordinates !== undefined && benchmark.prompt !== 'rec') {
    throw usageError(`--coordinates has no effect on ${name}, which has no boxes to read.`, 'Leave it out.');
  }
  const { annotations } = request;
  // The results of MME hold their labels.
  if (annotations === undefined && name !== 'mme') {
    throw usageError(`${name} needs its annotation file.`, 'Give it with --annotations FILE.');
  }
  const { notes, samples, ...scores } = await benchmark.scoreFile({
    ...request,
    annotations: annotations ?? '',
    reader,
  });
  return { result: { benchmark: name, reader, notes, ...scores }, samples };
}
