/**
 * Pre-training of a CLIP-type tower: pictures against captions as in CLIP (2103.00020), and regions against phrases as
 * in RegionCLIP (2112.09106), so that each patch learns to name what it shows and not only CLS.
 */
import { arange, F, nn, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { numTokens, parseConfig } from '../../config/model.js';
import { ClipPretrainConfig } from '../../config/pretrain.js';
import type { LoopConfig } from '../../config/train.js';
import { ClipVision } from '../../models/clip.js';
import { ClipText } from '../../models/clip-text.js';
import { saveEncoder } from '../../weights/encoder-folder.js';
import { type CheckedBatch, CheckedBatches, threadsOf } from '../loop/checked-batches.js';
import type { BatchFacts, BatchSource, Losses, TrainingTask } from '../loop/loop.js';
import { place } from '../loop/placement.js';
import { normalisePictures } from '../pictures/pixels.js';
import type { ClipBatchOptions } from './clip-batches.js';

// Shapes: B pictures and captions, R regions, U distinct phrases, N patches, T tokens, D tower width, S shared width.

/** A batch of the data thread; texts are padded with 0 at the right. */
export interface ClipBatch extends CheckedBatch {
  /** u8[B, side, side, 3]. */
  readonly pictures: Uint8Array;
  /** [B, T] and their lengths. */
  readonly captions: BigInt64Array;
  readonly captionLengths: BigInt64Array;
  /** Null where the data has none. */
  readonly regions: ClipRegions | null;
}

/** Regions of the pictures of a batch. */
export interface ClipRegions {
  /** [U, T'] distinct phrases of the batch and their lengths. */
  readonly phrases: BigInt64Array;
  readonly phraseLengths: BigInt64Array;
  /** Per region: its picture, its phrase, and how much of each patch it covers [R, N] (rows sum to 1). */
  readonly regionPictures: BigInt64Array;
  readonly regionPhrases: BigInt64Array;
  readonly regionPatches: Float32Array;
}

/** Start of the learned temperature and its ceiling, as in CLIP: logits are cosines times exp(scale). */
const INITIAL_LOGIT_SCALE = Math.log(1 / 0.07);
const MAX_LOGIT_SCALE = Math.log(100);

/** A projection into the shared space and its temperature, which stays in f32: its steps are smaller than bf16 tells apart. */
class ContrastiveHead extends nn.Module {
  readonly projection: nn.Linear;
  readonly logitScale: nn.Parameter;

  constructor(width: number, shared: number) {
    super();
    this.projection = new nn.Linear(width, shared, { bias: false });
    this.logitScale = scope(() => new nn.Parameter(tensor([INITIAL_LOGIT_SCALE])));
  }

  /** float[A, D] of pictures and float[B, S] of texts -> logits f32[A, B]. */
  forward(pictures_AD: Tensor, texts_BS?: Tensor): Tensor {
    return contrast(this.projection.forward(pictures_AD), texts_BS!, this.logitScale);
  }
}

/** Cosines of all rows of a with all rows of b, times the learned temperature: float[A, S], float[B, S] -> f32[A, B]. */
export function contrast(a: Tensor, b: Tensor, logitScale: Tensor): Tensor {
  return scope(() =>
    F.normalize(a.to('f32'), -1)
      .matmul(F.normalize(b.to('f32'), -1).t())
      .mul(logitScale.to('f32').exp()),
  );
}

/** CLIP's loss: each picture finds its caption among those of the batch, and each caption its picture. f32[B, B] -> scalar. */
export function pairLoss(logits_BB: Tensor): Tensor {
  return scope(() => {
    const diagonal = arange(logits_BB.shape[0] as number).to(logits_BB.device);
    return F.crossEntropy(logits_BB, diagonal).add(F.crossEntropy(logits_BB.t(), diagonal)).div(2);
  });
}

const share = (right: Tensor): Tensor => right.to('f32').mean();

/** Contrastive pre-training as a task of the training loop. */
export class ClipTask implements TrainingTask<ClipBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly #config: ClipPretrainConfig;
  readonly #batchSize: number;
  readonly #log: (line: string) => void;
  readonly #vision: ClipVision;
  readonly #text: ClipText;
  readonly #pictureHead: ContrastiveHead;
  readonly #regionHead: ContrastiveHead | null;

  constructor(
    config: ClipPretrainConfig,
    { batchSize }: Pick<LoopConfig, 'batchSize'>,
    log: (line: string) => void = () => {},
  ) {
    this.#config = parseConfig(ClipPretrainConfig, config, 'The recipe');
    this.#batchSize = batchSize;
    this.#log = log;
    const { encoder, text, sharedWidth, regionWeight, data } = config;
    if (data.kind === 'captions' && regionWeight > 0) {
      throw new CommError('Captions tell of whole pictures, so that there is no loss over regions.', {
        code: 'train/regions',
        fix: 'Set clip.regionWeight=0.',
        exitCode: 2,
      });
    }
    this.#vision = place(new ClipVision(encoder.vit), config);
    this.#text = place(new ClipText(text, sharedWidth), config);
    const head = (): ContrastiveHead => {
      const made = place(new ContrastiveHead(encoder.vit.hiddenSize, sharedWidth), { ...config, dtype: 'f32' });
      place(made.projection, config);
      return made;
    };
    this.#pictureHead = head();
    this.#regionHead = regionWeight > 0 ? head() : null;
    this.parts = new Map<string, nn.Module>([
      ['encoder', this.#vision],
      ['text', this.#text],
      ['pictureHead', this.#pictureHead],
      ...(this.#regionHead === null ? [] : ([['regionHead', this.#regionHead]] as const)),
    ]);
  }

  openBatches(start: number): BatchSource<ClipBatch> {
    const { encoder, data, regionWeight, text } = this.#config;
    const batchSize = this.#batchSize;
    const { imageSize: side, patchSize } = encoder.vit;
    const regions = regionWeight > 0;
    const options: ClipBatchOptions = { side, patchSize, batchSize, regions, vocabSize: text.vocabSize, data };
    const checked = { start, ...threadsOf(data), log: this.#log };
    return new CheckedBatches<ClipBatch>(new URL('./clip-batches.js', import.meta.url), options, checked);
  }

  describe({ samples, captions, regions }: ClipBatch): BatchFacts {
    const tokens = samples.length * numTokens(this.#config.encoder.vit);
    return { samples, tokens: tokens + captions.length + (regions?.phrases.length ?? 0) };
  }

  loss(batch: ClipBatch): Losses {
    const { encoder, regionWeight, dtype, device } = this.#config;
    const { imageSize } = encoder.vit;
    const pixels = normalisePictures(batch.pictures, this.#batchSize, imageSize, encoder.image, dtype, device);
    const { cls, patches } = this.#vision.forwardTokens(pixels);
    const captions = this.#encodeTexts(batch.captions, batch.captionLengths);
    const pairs = this.#pictureHead.forward(cls as Tensor, captions);
    const picture = pairLoss(pairs);
    const right = pairs.argmax(1).eq(arange(this.#batchSize).to(device));
    const metrics = { picture, picture_accuracy: share(right), logit_scale: this.#pictureHead.logitScale.exp().mean() };
    if (this.#regionHead === null || batch.regions === null) return { loss: picture, metrics };
    const { loss: region, accuracy } = this.#regionLoss(this.#regionHead, patches, batch.regions);
    return {
      loss: picture.add(region.mul(regionWeight)),
      metrics: { ...metrics, region, region_accuracy: accuracy },
    };
  }

  /** The temperature never falls below a hundredth, as in CLIP. */
  afterStep(): void {
    for (const head of [this.#pictureHead, this.#regionHead]) {
      if (head !== null) noGrad(() => head.logitScale.clamp_(null, MAX_LOGIT_SCALE));
    }
  }

  /** Writes the picture tower; the text tower and the heads have done their work. */
  export(folder: string): void {
    scope(() => {
      const weights = new Map([...this.#vision.stateDict()].map(([key, t]) => [key, t.detach().to('f32')] as const));
      saveEncoder(folder, this.#config.encoder, weights);
    });
  }

  /** Each region, the mean of the patches that it covers, finds its phrase among those of the batch. */
  #regionLoss(head: ContrastiveHead, patches_BND: Tensor, regions: ClipRegions): { loss: Tensor; accuracy: Tensor } {
    const { dtype, device } = this.#config;
    const numRegions = regions.regionPictures.length;
    const cover_RN = tensor(regions.regionPatches, { shape: [numRegions, patches_BND.shape[1] as number] });
    const own_RND = patches_BND.indexSelect(0, tensor(regions.regionPictures).to(device));
    const regions_RD = cover_RN.to({ dtype, device }).unsqueeze(1).bmm(own_RND).squeeze(1);
    const named = head.forward(regions_RD, this.#encodeTexts(regions.phrases, regions.phraseLengths));
    const targets = tensor(regions.regionPhrases).to(device);
    return { loss: F.crossEntropy(named, targets), accuracy: share(named.argmax(1).eq(targets)) };
  }

  #encodeTexts(ids: BigInt64Array, lengths: BigInt64Array): Tensor {
    const { device } = this.#config;
    const count = lengths.length;
    return this.#text.forward(
      tensor(ids, { shape: [count, ids.length / count] }).to(device),
      tensor(lengths).to(device),
    );
  }
}
