/**
 * The stages on real data (2310.08825, section 5; Shikra, 2306.15195): a model made of published parts learns from a
 * mixture of data sets. Which parts learn is a list; what is frozen runs without a graph.
 */
import { join } from 'node:path';
import { type DType, type nn, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { type CommConfig, tokensPerImage } from '../../config/model.js';
import { parseStage, STAGE_PARTS, type StageConfig, type StagePart } from '../../config/stage.js';
import { FeatureCache } from '../../features/cache.js';
import { resolveModelFolder } from '../../hub/model-folder.js';
import { planSquares, type SquarePlan } from '../../images/squares.js';
import { Comm, type CommBatch } from '../../models/comm.js';
import { saveCommFolder } from '../../weights/comm-folder.js';
import { describeModel, openModel } from '../../weights/open-model.js';
import { BatchPool } from '../loop/batch-pool.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../loop/loop.js';
import { Recompute, recomputedBackward } from '../memory/recompute.js';
import { normalisePictures } from '../pictures/pixels.js';
import { packedMask } from './comm-task.js';
import { addLora, mergedWeights, saveAdapter } from './lora.js';
import type { StageBatchOptions, StageRawBatch } from './stage-batches.js';

// Shapes: B rows, T tokens, P pictures of the batch, N visual tokens of one, E width of the language model.

const WORKER = new URL('./stage-batches.js', import.meta.url);

/** What the data threads of a stage are told; `model` and `tokenizer` are those of its folder, `batchSize` that of its loop. */
export function stageBatchOptions(
  config: StageConfig,
  batchSize: number,
  model: CommConfig,
  tokenizer: string,
): StageBatchOptions {
  const { data, maxLength, packing, groupBatches, skip } = config;
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
export function describeStage(config: StageConfig, batchSize: number): StageBatchOptions {
  const { config: model, tokenizer } = describeModel(resolveModelFolder(config.model));
  return stageBatchOptions(config, batchSize, model, tokenizer);
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

/** The parts that a stage trains and those that it only uses, by name. */
function partsOf({ trains, lora }: StageConfig, model: Comm): Record<'trained' | 'frozen', Map<string, nn.Module>> {
  const learns = (part: StagePart): boolean => trains.includes(part) || (part === 'languageModel' && lora !== null);
  const named = (wanted: boolean): Map<string, nn.Module> =>
    new Map(
      STAGE_PARTS.filter((part) => learns(part) === wanted)
        .flatMap((part) => modulesOf(part, model))
        // A merge that only picks a level, or no alignment, has no weights.
        .filter(([, module]) => module.numParameters() > 0),
    );
  return { trained: named(true), frozen: named(false) };
}

/** A stage as a task of the training loop. */
export class StageTask implements TrainingTask<StageRawBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  /** Parts that are used and do not train. */
  readonly frozen: ReadonlyMap<string, nn.Module>;
  /** Where blocks are recomputed: adds the gradients of `scale` times the loss itself, and gives the loss. */
  readonly backward?: (batch: StageRawBatch, step: number, scale: number) => Losses;
  /** Loss on the held-out mixture, a mean over its tokens; absent where none is held out. */
  readonly evaluate?: (step: number, signal?: AbortSignal) => Promise<Readonly<Record<string, number>>>;
  readonly #config: StageConfig;
  readonly #model: Comm;
  readonly #options: StageBatchOptions;
  readonly #plan: SquarePlan;
  readonly #log: (line: string) => void;
  /** Opened by the first batch: it reads every weight of the encoders. */
  #features: FeatureCache | null = null;

  private constructor(config: StageConfig, model: Comm, options: StageBatchOptions, log: (line: string) => void) {
    this.#config = config;
    this.#model = model;
    this.#options = options;
    this.#plan = planSquares(options.images);
    this.#log = log;
    const { recompute, lora, trains, held } = config;
    model.requiresGrad_(false).train();
    if (lora !== null) addLora(model.languageModel, lora, 'language_model.');
    const { trained, frozen } = partsOf(config, model);
    this.parts = trained;
    this.frozen = frozen;
    for (const part of trains) for (const [, module] of modulesOf(part, model)) module.requiresGrad_(true);
    if (held !== null) this.evaluate = (_step, signal) => this.#lossOn(held, signal);
    if (recompute !== null) this.backward = (batch, _step, scale) => this.#recomputed(batch, recompute, scale);
  }

  /** What trains and what does not, for a plan: on the meta device a model has shapes and no weights. */
  static outline(config: StageConfig, model: CommConfig): Pick<StageTask, 'parts' | 'frozen'> {
    const comm = new Comm(model).to(config.dtype === 'f32' ? 'f32' : 'bf16').requiresGrad_(false);
    if (config.lora !== null) addLora(comm.languageModel, config.lora, 'language_model.');
    for (const part of config.trains) for (const [, module] of modulesOf(part, comm)) module.requiresGrad_(true);
    const { trained, frozen } = partsOf(config, comm);
    return { parts: trained, frozen };
  }

  /** Opens the model of the recipe; what it holds beside the trained parts stays mapped. */
  static open(config: StageConfig, batchSize: number, log: (line: string) => void): StageTask {
    const stage = parseStage(config);
    const { dtype, device } = stage;
    const opened = openModel(resolveModelFolder(stage.model), { dtype, device });
    return new StageTask(
      stage,
      opened.model,
      stageBatchOptions(stage, batchSize, opened.config, opened.tokenizer),
      log,
    );
  }

  openBatches(start: number): BatchSource<StageRawBatch> {
    const { workers, ahead } = this.#config;
    return new CountedBatches(this.#options, { start, workers, ahead }, this.#log);
  }

  loss(batch: StageRawBatch): Losses {
    const { loss } = this.#model.loss(this.#toModel(batch));
    return { loss, metrics: this.#metrics(batch) };
  }

  /** What the loop weighs, counts and names a batch by. */
  describe({ numLearned, numFilled, where }: StageRawBatch): BatchFacts {
    return { weight: numLearned, tokens: numFilled, samples: where };
  }

  /** Writes features that were computed since the last checkpoint. */
  flush(): void {
    this.#features?.flush();
  }

  close(): void {
    if (this.#features === null) return;
    this.#features.close();
    const { hits, misses, bytes } = this.#features.stats;
    this.#log(`features: ${misses} pictures encoded, ${hits} read, ${(bytes / 1e9).toFixed(2)} GB on disk`);
  }

  async #lossOn(held: NonNullable<StageConfig['held']>, signal?: AbortSignal): Promise<Record<string, number>> {
    const options = { ...this.#options, mix: held.mix, seed: held.seed };
    const batches = new BatchPool<StageRawBatch>(WORKER, options, { workers: 1, ahead: 2 });
    this.#model.eval();
    let sum = 0;
    let count = 0;
    try {
      for (let index = 0; index < Math.ceil(held.samples / options.batchSize); index++) {
        const batch = await batches.next();
        signal?.throwIfAborted();
        const { loss, numTokens } = scope(() =>
          noGrad(() => {
            const result = this.#model.loss(this.#toModel(batch));
            return { loss: result.loss.item(), numTokens: result.numTokens };
          }),
        );
        sum += loss * numTokens;
        count += numTokens;
      }
    } finally {
      this.#model.train();
      await batches.close();
    }
    return { loss: sum / count };
  }

  /** Writes the model, an adapter merged into it; the adapter itself lies in `adapter/`, alone where the weights have 8 bits. */
  export(folder: string): void {
    const { dtype, lora, model: base } = this.#config;
    const model = this.#model;
    if (lora !== null) saveAdapter(join(folder, 'adapter'), model, { config: lora, base });
    if (dtype === 'int8') return;
    const learned = [...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
    const untrained = (model.config.untrained ?? []).filter(
      (part) => !learned.some(([key]) => key.startsWith(`${part}.`)),
    );
    saveCommFolder(folder, model, {
      tokenizer: this.#options.tokenizer,
      dtype,
      untrained,
      ...(lora === null ? {} : { weights: mergedWeights(model) }),
    });
  }

  #recomputed(batch: StageRawBatch, every: number, scale: number): Losses {
    const encoders = this.#config.trains.includes('encoder') ? new Recompute({ every }) : undefined;
    try {
      const { loss } = recomputedBackward(this.#model, this.#toModel(batch, encoders), {
        every,
        scale,
        ...(encoders === undefined ? {} : { encoders }),
      });
      return { loss, metrics: this.#metrics(batch) };
    } finally {
      encoders?.[Symbol.dispose]();
    }
  }

  #metrics({ numLearned, numSamples, ms, numCut }: StageRawBatch): Record<string, Tensor> {
    const scalar = (value: number): Tensor => tensor([value]).squeeze(0);
    return {
      learned_tokens: scalar(numLearned),
      loader_samples_per_second: scalar((this.#config.workers * numSamples * 1000) / ms),
      cut_samples: scalar(numCut),
    };
  }

  #toModel(batch: StageRawBatch, encoders?: Recompute): CommBatch {
    const { device, packing } = this.#config;
    const shape = [batch.numRows, batch.numTokens];
    const place = (values: BigInt64Array | Int32Array): Tensor => tensor(values, { shape }).to({ device });
    return {
      ids: place(batch.ids),
      labels: place(batch.labels),
      visual: this.#encode(batch, encoders),
      places: tensor(batch.places).to({ device }),
      // Padding stands behind everything, where a causal mask never looks.
      ...(packing === 'pack'
        ? { positions: place(batch.positions), mask: packedMask(place(batch.segments), this.#dtype) }
        : {}),
    };
  }

  /** What is computed in. */
  get #dtype(): 'f32' | 'bf16' {
    return this.#config.dtype === 'f32' ? 'f32' : 'bf16';
  }

  /** Pictures to visual tokens float[P, N, E]; null when the batch shows none. Frozen encoders run without a graph. */
  #encode(batch: StageRawBatch, encoders?: Recompute): Tensor | null {
    const count = batch.pictures.length;
    if (count === 0) return null;
    const { device, trains } = this.#config;
    const pixels = this.#options.images.map((image, i) =>
      pixelsOf(batch.squares[this.#plan.encoders[i]!]!, count, image, this.#dtype).to({ device }),
    );
    const { vision } = this.#model;
    return this.#model.fuseLevels(
      trains.includes('encoder') ? vision.encode(pixels, encoders) : this.#frozenLevels(pixels),
    );
  }

  /** Levels of encoders that do not learn, from the cache where the stage keeps one. */
  #frozenLevels(pixels: readonly Tensor[]): readonly (readonly Tensor[])[] {
    const { features, device } = this.#config;
    const { vision } = this.#model;
    if (features === null) return noGrad(() => vision.encode(pixels));
    this.#features ??= FeatureCache.open(vision, { folder: features.folder, maxBytes: features.maxGB * 1e9 });
    return this.#features
      .encode(pixels)
      .map((levels) => levels.map((level) => level.to({ device, dtype: this.#dtype })));
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
  readonly #kinds = new Map<string, number>();
  readonly #units = new UnitWatch();

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
    this.#units.see(batch);
    for (const { kind, sample, message } of batch.skipped) {
      if (this.#skipped.has(sample)) continue;
      this.#skipped.add(sample);
      this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
      if (this.#skipped.size > this.#limit) {
        throw new CommError(
          `${this.#skipped.size} samples could not be used, more than the ${this.#limit} of the recipe; the last: ${message}`,
          {
            code: 'data/too-many-skipped',
            fix: 'Look at the data with "commlm data validate <recipe>", or allow more: --resume --change stage.skip.limit=N, with --set for a run that begins.',
          },
        );
      }
      if (isRound(this.#skipped.size)) this.#log(`skipped ${this.#skipped.size}: ${message}`);
    }
    return batch;
  }

  close(): Promise<void> {
    if (this.#skipped.size > 0) {
      const told = [...this.#kinds].map(([kind, count]) => `${count} ${kind}`).join(', ');
      this.#log(`left out ${this.#skipped.size} samples in all: ${told}`);
    }
    return this.#pool.close();
  }
}

/** Stops a run in which so many boxes of a set show nothing of their pictures that their numbers mean something else. */
class UnitWatch {
  readonly #sets = new Map<string, { drawn: number; empty: number }>();

  see({ sets, skipped }: StageRawBatch): void {
    for (const set of sets) this.#of(set).drawn++;
    for (const { kind, set, message } of skipped) {
      if (kind !== 'empty-box') continue;
      const counts = this.#of(set);
      counts.drawn++;
      counts.empty++;
      if (counts.empty < LEAST_EMPTY || counts.empty < SUSPICIOUS * counts.drawn) continue;
      throw new CommError(
        `${counts.empty} of ${counts.drawn} samples of the set "${set}" have boxes that show nothing of their pictures; the last: ${message}`,
        {
          code: 'data/other-unit',
          fix: 'Look at them with "commlm data preview": boxes and points are in pixels of the picture.',
        },
      );
    }
  }

  #of(set: string): { drawn: number; empty: number } {
    const found = this.#sets.get(set) ?? { drawn: 0, empty: 0 };
    this.#sets.set(set, found);
    return found;
  }
}

/** Published sets have one such box in thousands. */
const SUSPICIOUS = 0.1;
const LEAST_EMPTY = 20;

/** The first ten, then 20, 30, ..., 100, 200, ...: enough to see what is wrong, too few to drown a log. */
const isRound = (count: number): boolean => count % 10 ** Math.floor(Math.log10(count)) === 0;
