/**
 * The stages on real data (2310.08825, section 5; Shikra, 2306.15195): a model made of published parts learns from a
 * mixture of data sets. Which parts learn is a list; what is frozen runs without a graph.
 */
import { type DType, type nn, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { type CommConfig, tokensPerImage } from '../config/model.js';
import { parseStage, type StageConfig, type StagePart } from '../config/stage.js';
import { resolveModelFolder } from '../generate/model-folder.js';
import { planSquares, type SquarePlan } from '../images/squares.js';
import type { Comm } from '../models/comm.js';
import { saveCommFolder } from '../weights/comm-folder.js';
import { describeModel, openModel } from '../weights/open-model.js';
import { BatchPool } from './batch-pool.js';
import { packedMask } from './comm-task.js';
import type { BatchSource, TrainingTask } from './loop.js';
import { normalisePictures } from './pixels.js';
import type { StageBatchOptions, StageRawBatch } from './stage-batches.js';

// Shapes: B rows, T tokens, P pictures of the batch, N visual tokens of one, E width of the language model.

const WORKER = new URL('./stage-batches.js', import.meta.url);

/** What the data threads of a stage are told; `model` and `tokenizer` are those of its folder. */
export function stageBatchOptions(config: StageConfig, model: CommConfig, tokenizer: string): StageBatchOptions {
  const { data, batchSize, maxLength, packing, groupBatches, skip } = config;
  if (maxLength > model.textConfig.maxPositions) {
    throw new CommError(
      `maxLength is ${maxLength}, but the model reads at most ${model.textConfig.maxPositions} tokens.`,
      {
        code: 'train/max-length',
        fix: `Set stage.maxLength=${model.textConfig.maxPositions}.`,
        exitCode: 2,
      },
    );
  }
  return {
    data,
    mix: data.mix,
    seed: data.seed,
    shuffle: true,
    tokenizer,
    model: {
      imageTokens: model.imageTokens,
      ...(model.conversation === undefined ? {} : { conversation: model.conversation }),
    },
    tokensPerImage: tokensPerImage(model),
    images: model.vision.encoders.map(({ image }) => image),
    batchSize,
    maxLength,
    packing,
    groupBatches,
    skip,
  };
}

/** Options for the data threads of a stage, without reading a weight. */
export function describeStage(config: StageConfig): StageBatchOptions {
  const { config: model, tokenizer } = describeModel(resolveModelFolder(config.model));
  return stageBatchOptions(config, model, tokenizer);
}

/** The modules that a part names. */
function modulesOf(part: StagePart, { vision, projector, languageModel }: Comm): [string, nn.Module][] {
  const branches = (pick: (branch: Comm['vision']['encoders'][number]) => nn.Module): [string, nn.Module][] =>
    vision.encoders.map((branch, i) => [`${part}.${i}`, pick(branch)]);
  switch (part) {
    case 'languageModel':
      return [[part, languageModel]];
    case 'projector':
      return [[part, projector]];
    case 'merge':
      return branches(({ merge }) => merge);
    case 'align':
      return branches(({ align }) => align);
    case 'encoder':
      return branches(({ vit }) => vit);
  }
}

/** A stage as a task of the training loop. */
export class StageTask implements TrainingTask<StageRawBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly #config: StageConfig;
  readonly #model: Comm;
  readonly #options: StageBatchOptions;
  readonly #plan: SquarePlan;
  readonly #log: (line: string) => void;

  private constructor(config: StageConfig, model: Comm, options: StageBatchOptions, log: (line: string) => void) {
    this.#config = config;
    this.#model = model;
    this.#options = options;
    this.#plan = planSquares(options.images);
    this.#log = log;
    model.requiresGrad_(false).train();
    const parts = config.trains.flatMap((part) => modulesOf(part, model));
    // A merge that only picks a level, or no alignment, has nothing to train.
    this.parts = new Map(parts.filter(([, module]) => module.numParameters() > 0));
    for (const module of this.parts.values()) module.requiresGrad_(true);
  }

  /** Opens the model of the recipe; what it holds beside the trained parts stays mapped. */
  static open(config: StageConfig, log: (line: string) => void): StageTask {
    const stage = parseStage(config);
    const { dtype, device } = stage;
    const opened = openModel(resolveModelFolder(stage.model), { dtype, device });
    return new StageTask(stage, opened.model, stageBatchOptions(stage, opened.config, opened.tokenizer), log);
  }

  openBatches(start: number): BatchSource<StageRawBatch> {
    const { workers, ahead } = this.#config;
    return new CountedBatches(this.#options, { start, workers, ahead }, this.#log);
  }

  loss(batch: StageRawBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const { loss, numTokens } = this.#forward(batch);
    const scalar = (value: number): Tensor => tensor([value]).squeeze(0);
    return {
      loss,
      metrics: {
        learned_tokens: scalar(numTokens),
        tokens: scalar(batch.segments.filter((segment) => segment > 0).length),
        loader_samples_per_second: scalar((this.#config.workers * batch.numSamples * 1000) / batch.ms),
        cut_samples: scalar(batch.numCut),
      },
    };
  }

  /** Loss on the held-out mixture, a mean over its tokens. */
  async evaluate(): Promise<Readonly<Record<string, number>>> {
    const { held, batchSize } = this.#config;
    if (held === null) return {};
    const options = { ...this.#options, mix: held.mix, seed: held.seed };
    const batches = new BatchPool<StageRawBatch>(WORKER, options, { workers: 1, ahead: 2 });
    this.#model.eval();
    let sum = 0;
    let count = 0;
    try {
      for (let index = 0; index < Math.ceil(held.samples / batchSize); index++) {
        const batch = await batches.next();
        scope(() =>
          noGrad(() => {
            const { loss, numTokens } = this.#forward(batch);
            sum += loss.item() * numTokens;
            count += numTokens;
          }),
        );
      }
    } finally {
      this.#model.train();
      await batches.close();
    }
    return { loss: sum / count };
  }

  export(folder: string): void {
    const trained = [...this.#model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
    const untrained = (this.#model.config.untrained ?? []).filter(
      (part) => !trained.some(([key]) => key.startsWith(`${part}.`)),
    );
    saveCommFolder(folder, this.#model, { tokenizer: this.#options.tokenizer, dtype: this.#config.dtype, untrained });
  }

  #forward(batch: StageRawBatch): { loss: Tensor; numTokens: number } {
    const { dtype, device } = this.#config;
    const shape = [batch.numRows, batch.numTokens];
    const place = (values: BigInt64Array | Int32Array): Tensor => tensor(values, { shape }).to({ device });
    const packed = this.#config.packing === 'pack';
    return this.#model.loss({
      ids: place(batch.ids),
      labels: place(batch.labels),
      visual: this.#encode(batch),
      // Padding stands behind everything, where a causal mask never looks.
      ...(packed ? { positions: place(batch.positions), mask: packedMask(place(batch.segments), dtype) } : {}),
    });
  }

  /** Pictures to visual tokens float[P, N, E]; null when the batch shows none. Frozen encoders run without a graph. */
  #encode(batch: StageRawBatch): Tensor | null {
    const count = batch.pictures.length;
    if (count === 0) return null;
    const { dtype, device } = this.#config;
    const pixels = this.#options.images.map((image, i) =>
      pixelsOf(batch.squares[this.#plan.encoders[i]!]!, count, image, dtype).to({ device }),
    );
    const encode = (): Tensor[][] => this.#model.vision.encode(pixels);
    const levels = this.#config.trains.includes('encoder') ? encode() : noGrad(encode);
    return this.#model.fuseLevels(levels);
  }
}

function pixelsOf(
  square: Uint8Array | Float32Array,
  count: number,
  image: StageBatchOptions['images'][number],
  dtype: DType,
): Tensor {
  if (square instanceof Uint8Array) return normalisePictures(square, count, image.size, image, dtype);
  return tensor(square, { shape: [count, 3, image.size, image.size] }).to(dtype);
}

/** Batches of the data threads; counts what was skipped, says so, and stops at the recipe's limit. */
class CountedBatches implements BatchSource<StageRawBatch> {
  readonly #pool: BatchPool<StageRawBatch>;
  readonly #limit: number;
  readonly #log: (line: string) => void;
  readonly #skipped = new Set<string>();

  constructor(
    options: StageBatchOptions,
    threads: { readonly start: number; readonly workers: number; readonly ahead: number },
    log: (line: string) => void,
  ) {
    this.#pool = new BatchPool(WORKER, options, threads);
    this.#limit = options.skip.limit;
    this.#log = log;
  }

  get waitedMs(): number {
    return this.#pool.waitedMs;
  }

  async next(): Promise<StageRawBatch> {
    const batch = await this.#pool.next();
    for (const { sample, message } of batch.skipped) {
      if (this.#skipped.has(sample)) continue;
      this.#skipped.add(sample);
      if (this.#skipped.size > this.#limit) {
        throw new CommError(
          `${this.#skipped.size} samples could not be used, more than the ${this.#limit} of the recipe; the last: ${message}`,
          {
            code: 'data/too-many-skipped',
            fix: 'Look at the data with "commlm data validate <recipe>", or raise stage.skip.limit.',
          },
        );
      }
      if (isRound(this.#skipped.size)) this.#log(`skipped ${this.#skipped.size}: ${message}`);
    }
    return batch;
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

/** The first ten, then 20, 30, ..., 100, 200, ...: enough to see what is wrong, too few to drown a log. */
const isRound = (count: number): boolean => count % 10 ** Math.floor(Math.log10(count)) === 0;
