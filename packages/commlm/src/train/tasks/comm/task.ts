/**
 * Training of COMM (2310.08825, section 5; Shikra, 2306.15195): a model made of finished parts learns from the synthetic
 * world or from a mixture of data sets. Which parts learn is a list; what is frozen runs without a graph.
 *
 *     pictures -> encoders -> merge, align, projector -> visual tokens -> language model -> loss of the next token
 *                                                                     \-> losses beside it
 */
import { join } from 'node:path';
import { autograd, type nn, noGrad, scope, type Tensor, tensor, zeros } from '@commlm/torch';
import { type CommTrainConfig, parseCommTraining } from '../../../config/comm-train.js';
import { trainsEncoders, trainsPart } from '../../../config/parts.js';
import { Comm, type CommBatch, type CommLoss, type LossOptions } from '../../../models/comm.js';
import { saveCommFolder } from '../../../weights/comm-folder.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../../loop/training-task.js';
import { Recompute, recomputedBackward } from '../../memory/recompute.js';
import { addLora, mergedWeights, saveAdapter } from '../lora.js';
import { checkBranchDropout, dropBranches } from './branch-dropout.js';
import { BranchWatch } from './branch-watch.js';
import { batchPixels, KeptFeatures, type PixelSettings } from './kept-features.js';
import type { AuxiliaryLoss } from './losses/auxiliary.js';
import { openLosses } from './losses/open-losses.js';
import { MixtureData, mixtureBatchOptions } from './mixture-data.js';
import { packedMask } from './packed-mask.js';
import { splitParts, worldKey } from './parts.js';
import { computeDtype, openStart, type Start, shapeOfStart } from './start.js';
import type { TrainBatch, TrainData } from './train-batch.js';
import { WorldData, worldBatchOptions } from './world-data.js';

// Shapes: R rows, T tokens, P pictures of the batch, N visual tokens of one, E width of the language model.

/** A training of COMM as a task of the loop. */
export class CommTask implements TrainingTask<TrainBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  /** Parts that are used and do not train. */
  readonly frozen: ReadonlyMap<string, nn.Module>;
  readonly checkpointKey?: (name: string) => string;
  /** Where blocks are recomputed: adds the gradients of `scale` times the loss itself, and gives the loss. */
  readonly backward?: (batch: TrainBatch, step: number, scale: number) => Losses;
  /** Loss on what is held out, a mean over its tokens; absent where nothing is. */
  readonly evaluate?: (step: number, signal?: AbortSignal) => Promise<Readonly<Record<string, number>>>;
  readonly health: BranchWatch;
  readonly #config: CommTrainConfig;
  readonly #model: Comm;
  readonly #data: TrainData;
  readonly #losses: readonly AuxiliaryLoss[];
  readonly #log: (line: string) => void;
  /** Opened by the first batch: it reads every weight of the encoders. */
  #features: KeptFeatures | null = null;

  private constructor(config: CommTrainConfig, model: Comm, data: TrainData, log: (line: string) => void) {
    this.#config = config;
    this.#model = model;
    this.#data = data;
    this.#log = log;
    model.train();
    const { trained, frozen, losses } = prepare(config, model);
    this.parts = trained;
    this.frozen = frozen;
    this.#losses = losses;
    for (const { head } of losses) head?.[1].to({ device: config.device });
    const { recompute } = config;
    if (config.data.kind === 'world') this.checkpointKey = worldKey;
    if (data.openHeld !== null) this.evaluate = (_step, signal) => this.#lossOn(data.openHeld!(), signal);
    this.health = new BranchWatch(config, model, {
      openUnits: (size) => data.openHealth(size),
      // Not through the cache of features, whose room belongs to what is learned from.
      levels: (batch) => model.vision.encode(this.#settings().map((each) => batchPixels(batch, each))),
      loss: (batch, visual) => this.#lossOf(batch, visual).loss,
    });
    if (recompute !== null) this.backward = (batch, _step, scale) => this.#recomputed(batch, recompute, scale);
  }

  /** What trains and what does not, for a plan: on the meta device a model has shapes and no weights. */
  static outline(value: CommTrainConfig): Pick<CommTask, 'parts' | 'frozen'> & { readonly evaluate?: unknown } {
    const config = parseCommTraining(value);
    const model = Comm.outline(shapeOfStart(config)).to(computeDtype(config));
    const { trained, frozen } = prepare(config, model);
    const held = config.data.kind === 'mixture' ? config.data.held : null;
    return { parts: trained, frozen, evaluate: held ?? undefined };
  }

  /** Opens the model of the recipe and its data. */
  static open(value: CommTrainConfig, batchSize: number, log: (line: string) => void): CommTask {
    const config = parseCommTraining(value);
    const start = openStart(config);
    return new CommTask(config, start.model, openData(config, batchSize, start, log), log);
  }

  openBatches(start: number): BatchSource<TrainBatch> {
    return this.#data.openBatches(start);
  }

  describe(batch: TrainBatch): BatchFacts {
    return this.#data.describe(batch);
  }

  loss(batch: TrainBatch): Losses {
    return this.#lossOf(batch, this.#encode(batch));
  }

  /** The losses of a batch that shows these visual tokens. */
  #lossOf(batch: TrainBatch, visual: Tensor | null): Losses {
    const beside = this.#lossesBeside(visual, batch);
    if (!this.#readsText) return { loss: beside.loss, metrics: this.#metrics(batch, null, beside) };
    const result = this.#model.loss(this.#rows(batch, visual), this.#lossOptions(batch));
    const loss = this.#losses.length === 0 ? result.loss : result.loss.add(beside.loss);
    return { loss, metrics: this.#metrics(batch, result, beside) };
  }

  /** Writes features that were computed since the last checkpoint. */
  flush(): void {
    this.#features?.flush();
  }

  close(): void {
    this.#features?.close();
    this.#features = null;
  }

  /** Writes the model, an adapter merged into it; the adapter itself lies in `adapter/`, alone where the weights have 8 bits. */
  export(folder: string): void {
    const { dtype, lora, model: base } = this.#config;
    const model = this.#model;
    if (lora !== null) saveAdapter(join(folder, 'adapter'), model, { config: lora, base: base as string });
    if (dtype === 'int8') return;
    const learned = [...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
    const untrained = (model.config.untrained ?? []).filter(
      (part) => !learned.some(([key]) => key.startsWith(`${part}.`)),
    );
    saveCommFolder(folder, model, {
      tokenizer: this.#data.tokenizer,
      dtype,
      untrained,
      ...(lora === null ? {} : { weights: mergedWeights(model) }),
    });
  }

  async #lossOn(
    { batches, count }: ReturnType<NonNullable<TrainData['openHeld']>>,
    signal?: AbortSignal,
  ): Promise<Record<string, number>> {
    this.#model.eval();
    let sum = 0;
    let learned = 0;
    try {
      for (let index = 0; index < count; index++) {
        const batch = await batches.next();
        signal?.throwIfAborted();
        const result = scope(() =>
          noGrad(() => {
            const { loss, numTokens } = this.#model.loss(this.#rows(batch, this.#encode(batch)));
            return { loss: loss.item(), numTokens };
          }),
        );
        sum += result.loss * result.numTokens;
        learned += result.numTokens;
      }
    } finally {
      this.#model.train();
      await batches.close();
    }
    return { loss: sum / learned };
  }

  /** Both losses and their gradients; those of the visual tokens are gathered, and go back through what made them once. */
  #recomputed(batch: TrainBatch, every: number, scale: number): Losses {
    using encoders = trainsEncoders(this.#config.trains) ? new Recompute({ every }) : null;
    const made = this.#encode(batch, encoders);
    const visual = made?.detach() ?? null;
    if (visual !== null) visual.requiresGrad = made!.requiresGrad;
    const result = this.#readsText
      ? recomputedBackward(this.#model, this.#rows(batch, visual), { every, scale, ...this.#lossOptions(batch) })
      : null;
    const beside = this.#lossesBeside(visual, batch);
    if (this.#losses.length > 0) beside.loss.mul(scale).backward();
    if (made?.requiresGrad && visual?.grad) autograd.backward([made], [visual.grad]);
    encoders?.backward();
    const loss = result === null ? beside.loss : this.#losses.length === 0 ? result.loss : result.loss.add(beside.loss);
    return { loss: loss.detach(), metrics: this.#metrics(batch, result, beside) };
  }

  /** Whether rows are read at all: in the world nothing may be asked. */
  get #readsText(): boolean {
    const { data } = this.#config;
    return data.kind === 'mixture' || data.questions > 0;
  }

  #metrics(batch: TrainBatch, result: CommLoss | null, beside: Losses): Losses['metrics'] {
    return { ...this.#data.metrics(batch, result), ...beside.metrics };
  }

  /** The weighted losses of what is read from visual tokens alone, behind the last norm of the language model. */
  #lossesBeside(visual_PNE: Tensor | null, batch: TrainBatch): Losses {
    const nothing = { loss: zeros([], { device: this.#config.device }), metrics: {} };
    if (this.#losses.length === 0 || visual_PNE === null) return nothing;
    const tokens_ME = this.#model.languageModel.model.norm.forward(visual_PNE.flatten(0, 1));
    return this.#losses.reduce<Losses>((sum, each) => {
      const { loss, metrics } = each.loss(tokens_ME, batch);
      return { loss: sum.loss.add(loss.mul(each.weight)), metrics: { ...sum.metrics, ...metrics } };
    }, nothing);
  }

  #lossOptions({ digits }: TrainBatch): LossOptions {
    const weight = this.#config.losses.find(({ kind }) => kind === 'numbers')?.weight ?? 0;
    if (weight === 0 || digits === undefined) return {};
    return { numbers: { ids: tensor(digits, { device: this.#config.device }), weight } };
  }

  #rows(batch: TrainBatch, visual_PNE: Tensor | null): CommBatch {
    const { device } = this.#config;
    const { numRows, numTokens, shown, weights } = batch;
    const place = (values: BigInt64Array | Int32Array | Float32Array): Tensor =>
      tensor(values, { shape: [numRows, numTokens], device });
    return {
      ids: place(batch.ids),
      labels: place(batch.labels),
      // A picture that several rows show is encoded once.
      visual: shown === undefined ? visual_PNE : visual_PNE!.indexSelect(0, tensor(shown, { device })),
      places: tensor(batch.places, { device }),
      weights: weights && place(weights),
      // Padding stands behind everything, where a causal mask never looks.
      ...(this.#data.packed
        ? {
            positions: place(batch.positions),
            mask: packedMask(place(batch.segments), computeDtype(this.#config)),
          }
        : {}),
    };
  }

  /** Pictures to visual tokens float[P, N, E]; null when the batch shows none. Frozen encoders run without a graph. */
  #encode(batch: TrainBatch, recompute: Recompute | null = null): Tensor | null {
    if (batch.numPictures === 0) return null;
    const levels = this.#levels(batch, recompute);
    const { branchDropout } = this.#config;
    if (branchDropout === undefined || !this.#model.training) return this.#model.fuseLevels(levels);
    return this.#model.joinBranches(dropBranches(this.#model.vision.branches(levels), branchDropout));
  }

  /** How each encoder's pictures lie in a batch, and where it computes. */
  #settings(): PixelSettings[] {
    const { device } = this.#config;
    const dtype = computeDtype(this.#config);
    return this.#data.encoders.map((encoder) => ({ encoder, device, dtype }));
  }

  /** Levels of each encoder, those of frozen ones from the cache where the training keeps one. */
  #levels(batch: TrainBatch, recompute: Recompute | null): readonly (readonly Tensor[])[] {
    const { features, trains } = this.#config;
    const { vision } = this.#model;
    const settings = this.#settings();
    if (features !== null) {
      this.#features ??= new KeptFeatures(vision, settings, features, this.#log);
      return this.#features.encode(batch);
    }
    return vision.encoders.map((branch, i) => {
      const pixels = batchPixels(batch, settings[i]!);
      return trainsPart(trains, 'encoder', i)
        ? branch.encode(pixels, recompute ?? {})
        : noGrad(() => branch.encode(pixels));
    });
  }
}

/** Freezes the model but for what learns, with an adapter and the heads of losses where the recipe has them. */
function prepare(config: CommTrainConfig, model: Comm) {
  checkBranchDropout(config.branchDropout, model.config.vision);
  model.requiresGrad_(false);
  if (config.lora !== null) addLora(model.languageModel, config.lora, 'language_model.');
  const { trained, frozen } = splitParts(model, config);
  const losses = openLosses(config.losses, model);
  for (const { head } of losses) {
    if (head !== undefined) trained.set(head[0], head[1].to(computeDtype(config)));
  }
  return { trained, frozen, losses };
}

function openData(
  config: CommTrainConfig,
  batchSize: number,
  { model: { config: model }, tokenizer }: Start<Comm>,
  log: (line: string) => void,
): TrainData {
  const { data } = config;
  if (data.kind === 'mixture') {
    const mixture = { ...config, data };
    return new MixtureData(mixtureBatchOptions(mixture, batchSize, model, tokenizer), mixture, log);
  }
  return new WorldData(worldBatchOptions(data, batchSize, model, tokenizer), config, model);
}
