/** Thread of `data validate`: goes through stretches of the data sets and reports every fault. */
import { emptyBoxes, type ProblemKind, SampleError } from '../data/example.js';
import { hashNumbers } from '../data/permutation.js';
import { paddedFrame } from '../images/frames.js';
import type { CreateBatcher, RawBatch } from './batch-pool.js';
import { openStageData, type StageBatchOptions } from './stage-batches.js';

/** What a check looks at. */
export interface CheckOptions extends StageBatchOptions {
  readonly chunks: readonly Chunk[];
  /** Decode every picture; otherwise only look whether it is there. */
  readonly decode: boolean;
}

/** Samples `from` to `to` (not included) of a set. */
export interface Chunk {
  readonly set: string;
  readonly from: number;
  readonly to: number;
}

/** A fault; an empty box does not stop a training. */
export interface Problem {
  readonly kind: ProblemKind | 'empty-box';
  readonly set: string;
  readonly message: string;
}

/** What was found in a stretch. */
export interface CheckBatch extends RawBatch {
  readonly chunk: Chunk;
  readonly problems: readonly Problem[];
  /** Samples that would be truncated where the recipe truncates. */
  readonly numCut: number;
  readonly numPictures: number;
  readonly numTokens: number;
  readonly numLearned: number;
}

/** Stands for a picture that is not decoded: boxes cannot be judged then, lengths nearly. */
const UNKNOWN = paddedFrame(1000, 1000);

export const createBatcher: CreateBatcher<CheckOptions> = async (options) => {
  const { reader } = await openStageData(options);
  return async (index): Promise<CheckBatch> => {
    const chunk = options.chunks[index]!;
    const { set } = chunk;
    const problems: Problem[] = [];
    const sums = { numCut: 0, numPictures: 0, numTokens: 0, numLearned: 0 };
    const check = async (at: number): Promise<void> => {
      try {
        const sample = reader.sample({ set, index: at }, hashNumbers(options.seed, at));
        sums.numPictures += sample.pictures.length;
        if (!options.decode) await reader.requirePictures(sample);
        const prepared = options.decode ? await reader.prepare(sample) : undefined;
        const { cut, ids, labels } =
          prepared?.example ??
          reader.example(
            sample,
            sample.pictures.map(() => UNKNOWN),
          );
        if (cut !== undefined) sums.numCut++;
        sums.numTokens += ids.length;
        sums.numLearned += labels.filter((label) => label >= 0).length;
        if (prepared === undefined) return;
        const frames = prepared.pictures.map(({ frame }) => frame);
        for (const box of emptyBoxes(sample, frames)) {
          problems.push({ kind: 'empty-box', set, message: `${sample.where}: the box ${box} covers nothing.` });
        }
      } catch (error) {
        if (!(error instanceof SampleError)) throw error;
        problems.push({ kind: error.kind, set, message: error.message });
      }
    };
    for (let at = chunk.from; at < chunk.to; at++) await check(at);
    return { chunk, problems, ...sums };
  };
};
