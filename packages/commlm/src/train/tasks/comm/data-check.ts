/** Thread of `data validate`: goes through stretches of the data sets and reports every fault. */
import { type ProblemKind, SampleError } from '../../../data/example.js';
import { hashNumbers } from '../../../data/permutation.js';
import { isAsStored } from '../../../data/reader.js';
import { paddedFrame } from '../../../images/frames.js';
import type { CreateBatcher, RawBatch } from '../../loop/batch-pool.js';
import { type MixtureBatchOptions, openMixture } from './mixture-batches.js';

/** What a check looks at. */
export interface CheckOptions extends MixtureBatchOptions {
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

/** A fault; what a training does with it is the matter of `comm.data.skip`. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly set: string;
  readonly message: string;
  readonly fix?: string | undefined;
}

/** What was found in a stretch. */
export interface CheckBatch extends RawBatch {
  readonly chunk: Chunk;
  readonly problems: readonly Problem[];
  /** Samples that would be truncated where the recipe truncates. */
  readonly numCut: number;
  readonly numPictures: number;
  /** Pictures whose files say that they lie otherwise, and those of them that are kept as stored all the same. */
  readonly numOriented: number;
  readonly numAsStored: number;
  readonly numTokens: number;
  readonly numLearned: number;
}

/** Stands for a picture that is not decoded: boxes cannot be judged then, lengths nearly. */
const UNKNOWN = paddedFrame(1000, 1000);

export const createBatcher: CreateBatcher<CheckOptions> = async (options) => {
  const { reader } = await openMixture(options);
  return async (index): Promise<CheckBatch> => {
    const chunk = options.chunks[index]!;
    const { set } = chunk;
    const problems: Problem[] = [];
    const sums = { numCut: 0, numPictures: 0, numOriented: 0, numAsStored: 0, numTokens: 0, numLearned: 0 };
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
        for (const picture of prepared?.pictures ?? []) {
          if (picture.image.orientation !== 1) sums.numOriented++;
          if (isAsStored(picture)) sums.numAsStored++;
        }
      } catch (error) {
        if (!(error instanceof SampleError)) throw error;
        const { kind, message, fix } = error;
        problems.push({ kind, set, message, fix });
      }
    };
    for (let at = chunk.from; at < chunk.to; at++) await check(at);
    return { chunk, problems, ...sums };
  };
};
