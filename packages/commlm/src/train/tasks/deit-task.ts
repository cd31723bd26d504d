/**
 * Supervised pre-training of a tower (DeiT III, 2204.07118): each class is a question of its own, answered from CLS, so that a
 * picture may show several.
 */
import { nn, noGrad, op, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { numTokens, parseConfig } from '../../config/model.js';
import { type ClassData, DeitConfig } from '../../config/pretrain.js';
import type { LoopConfig } from '../../config/train.js';
import { buildEncoder } from '../../models/encoders.js';
import type { ViT } from '../../models/vit.js';
import { saveEncoder } from '../../weights/encoder-folder.js';
import { type CheckedBatch, CheckedBatches, threadsOf } from '../loop/checked-batches.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../loop/loop.js';
import { place } from '../loop/placement.js';
import { normalisePictures } from '../pictures/pixels.js';
import type { DeitBatchOptions } from './deit-batches.js';

// Shapes: B pictures, C classes, D width.

/** A batch: pictures u8[B, S, S, 3], what they show [B, C] (1 or 0), and whether that is known [B, C]. */
export interface DeitBatch extends CheckedBatch {
  readonly pictures: Uint8Array;
  readonly labels: Float32Array;
  readonly known: Float32Array;
}

const binaryCrossEntropy = op('aten::binary_cross_entropy_with_logits');
const SUM = 2;

/** Binary cross-entropy, a mean over what is known: logits float[B, C], labels and known f32[B, C] -> scalar. */
export function classLoss(logits_BC: Tensor, labels_BC: Tensor, known_BC: Tensor): Tensor {
  return scope(() => binaryCrossEntropy(logits_BC.to('f32'), labels_BC, known_BC, null, SUM).div(known_BC.sum()));
}

/**
 * Share of a picture's labels that are among as many highest scores as it has labels, a mean over the pictures with labels;
 * with one label a picture the top-1 accuracy. float[B, C], f32[B, C] -> f32[B'].
 */
export function labelPrecision(logits_BC: Tensor, labels_BC: Tensor): Tensor {
  return scope(() => {
    const order = logits_BC.argsort(-1, true).argsort(-1);
    const counts = labels_BC.sum(1, true);
    const hits = order.to('f32').lt(counts).to('f32').mul(labels_BC).sum(1);
    const shown = counts.squeeze(1).gt(0);
    return hits.div(counts.squeeze(1)).maskedSelect(shown);
  });
}

/** Supervised pre-training as a task of the training loop. */
export class DeitTask implements TrainingTask<DeitBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly evaluate?: (step: number, signal?: AbortSignal) => Promise<Readonly<Record<string, number>>>;
  readonly #config: DeitConfig;
  readonly #batchSize: number;
  readonly #log: (line: string) => void;
  readonly #encoder: ViT;
  readonly #head: nn.Linear;

  constructor(
    config: DeitConfig,
    { batchSize }: Pick<LoopConfig, 'batchSize'>,
    log: (line: string) => void = () => {},
  ) {
    this.#config = parseConfig(DeitConfig, config, 'The recipe');
    this.#batchSize = batchSize;
    this.#log = log;
    const { encoder, numClasses, dropPath, held } = config;
    if (!encoder.vit.clsToken) {
      throw new CommError('The classifier reads CLS, which the encoder of the recipe does not have.', {
        code: 'model/encoder',
        fix: 'Set deit.encoder.vit.clsToken=true.',
        exitCode: 2,
      });
    }
    this.#encoder = place(buildEncoder(encoder), config);
    this.#encoder.setDropPath(dropPath);
    const head = new nn.Linear(encoder.vit.hiddenSize, numClasses);
    nn.init.normal_(head.weight, 0, 0.02);
    nn.init.zeros_(head.bias!);
    this.#head = place(head, config);
    this.parts = new Map<string, nn.Module>([
      ['encoder', this.#encoder],
      ['head', this.#head],
    ]);
    if (held !== null) this.evaluate = (_step, signal) => this.#measure(held, signal);
  }

  openBatches(start: number): BatchSource<DeitBatch> {
    return this.#open(this.#config.data, start, true);
  }

  describe({ samples }: DeitBatch): BatchFacts {
    return { samples, tokens: samples.length * numTokens(this.#config.encoder.vit) };
  }

  loss(batch: DeitBatch): Losses {
    const { logits, labels, known } = this.#forward(batch);
    const precision = labelPrecision(logits.detach(), labels);
    // A batch of the world can show nothing that has a label.
    return {
      loss: classLoss(logits, labels, known),
      metrics: precision.numel === 0 ? {} : { precision: precision.mean() },
    };
  }

  /** Writes the encoder; the classifier has done its work. */
  export(folder: string): void {
    scope(() => {
      const weights = new Map([...this.#encoder.stateDict()].map(([key, t]) => [key, t.detach().to('f32')] as const));
      saveEncoder(folder, this.#config.encoder, weights);
    });
  }

  #open(data: ClassData, start: number, augment: boolean): CheckedBatches<DeitBatch> {
    const { encoder, numClasses, cut, jitter, mixup, cutmix, repeats } = this.#config;
    const options: DeitBatchOptions = {
      ...{ batchSize: this.#batchSize, numClasses, cut, jitter, mixup, cutmix, repeats, data, augment },
      side: encoder.vit.imageSize,
    };
    const checked = { start, ...threadsOf(data), log: this.#log };
    return new CheckedBatches<DeitBatch>(new URL('./deit-batches.js', import.meta.url), options, checked);
  }

  #forward(batch: DeitBatch): { logits: Tensor; labels: Tensor; known: Tensor } {
    const { encoder, numClasses, dtype, device } = this.#config;
    const batchSize = this.#batchSize;
    const { imageSize } = encoder.vit;
    const pixels = normalisePictures(batch.pictures, batchSize, imageSize, encoder.image, dtype, device);
    const table = (values: Float32Array): Tensor => tensor(values, { shape: [batchSize, numClasses] }).to(device);
    const { cls } = this.#encoder.forwardTokens(pixels);
    return { logits: this.#head.forward(cls as Tensor), labels: table(batch.labels), known: table(batch.known) };
  }

  /** Loss and precision on unseen pictures as they are. */
  async #measure(
    { data, batches: numBatches }: NonNullable<DeitConfig['held']>,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, number>>> {
    const batches = this.#open(data, 0, false);
    this.#encoder.eval();
    const sums = { loss: 0, precision: 0, labelled: 0 };
    try {
      for (let index = 0; index < numBatches; index++) {
        const batch = await batches.next();
        signal?.throwIfAborted();
        scope(() =>
          noGrad(() => {
            const { logits, labels, known } = this.#forward(batch);
            const precision = labelPrecision(logits, labels);
            sums.loss += classLoss(logits, labels, known).item();
            sums.precision += precision.sum().item();
            sums.labelled += precision.numel;
          }),
        );
      }
    } finally {
      this.#encoder.train();
      await batches.close();
    }
    return { loss: sums.loss / numBatches, precision: sums.precision / Math.max(1, sums.labelled) };
  }
}
