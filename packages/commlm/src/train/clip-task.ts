/**
 * Pre-training of a CLIP-type tower: pictures against captions as in CLIP (2103.00020), and regions against phrases as
 * in RegionCLIP (2112.09106), so that each patch learns to name what it shows and not only CLS.
 */
import { arange, F, nn, scope, type Tensor, tensor } from '@commlm/torch';
import type { EncoderConfig, LlamaConfig } from '../config/model.js';
import { ClipVision } from '../models/clip.js';
import { ClipText } from '../models/clip-text.js';
import { saveEncoder } from '../weights/encoder-folder.js';
import { BatchPool, type RawBatch } from './batch-pool.js';
import type { BatchSource, TrainingTask } from './loop.js';
import { normalisePictures } from './pixels.js';

// Shapes: B pictures and captions, R regions, U distinct phrases, N patches, T tokens, D tower width, S shared width.

/** Settings of contrastive pre-training. */
export interface ClipPretrainConfig {
  readonly encoder: EncoderConfig;
  readonly text: LlamaConfig;
  readonly sharedWidth: number;
  readonly batchSize: number;
  /** Weight of the region-phrase loss beside the picture-caption loss. */
  readonly regionWeight: number;
  readonly world: { readonly seed: number; readonly style: string; readonly augment: string };
}

/** A batch of the data thread; texts are padded with 0 at the right. */
export interface ClipBatch extends RawBatch {
  /** u8[B, side, side, 3]. */
  readonly pictures: Uint8Array;
  /** [B, T] and their lengths. */
  readonly captions: BigInt64Array;
  readonly captionLengths: BigInt64Array;
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

/** The towers' projections into the shared space and the temperatures. */
class ContrastiveHeads extends nn.Module {
  readonly picture: nn.Linear;
  readonly region: nn.Linear;
  readonly pictureScale: nn.Parameter;
  readonly regionScale: nn.Parameter;

  constructor(width: number, shared: number) {
    super();
    this.picture = new nn.Linear(width, shared, { bias: false });
    this.region = new nn.Linear(width, shared, { bias: false });
    this.pictureScale = scope(() => new nn.Parameter(tensor([INITIAL_LOGIT_SCALE])));
    this.regionScale = scope(() => new nn.Parameter(tensor([INITIAL_LOGIT_SCALE])));
  }

  forward(): never {
    throw new TypeError('ContrastiveHeads has no forward pass of its own');
  }
}

/** Cosines of all rows of a with all rows of b, times the learned temperature: float[A, S], float[B, S] -> f32[A, B]. */
function logits(a: Tensor, b: Tensor, scale: Tensor): Tensor {
  const temperature = scale.to('f32').clamp(null, MAX_LOGIT_SCALE).exp();
  return F.normalize(a.to('f32'), -1)
    .matmul(F.normalize(b.to('f32'), -1).t())
    .mul(temperature);
}

const share = (right: Tensor): Tensor => right.to('f32').mean();

/** Contrastive pre-training as a task of the training loop. */
export class ClipTask implements TrainingTask<ClipBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly #config: ClipPretrainConfig;
  readonly #vision: ClipVision;
  readonly #text: ClipText;
  readonly #heads: ContrastiveHeads;

  constructor(config: ClipPretrainConfig) {
    this.#config = config;
    this.#vision = new ClipVision(config.encoder.vit).to('bf16');
    this.#text = new ClipText(config.text, config.sharedWidth).to('bf16');
    this.#heads = new ContrastiveHeads(config.encoder.vit.hiddenSize, config.sharedWidth).to('bf16');
    this.parts = new Map<string, nn.Module>([
      ['encoder', this.#vision],
      ['text', this.#text],
      ['heads', this.#heads],
    ]);
  }

  openBatches(start: number): BatchSource<ClipBatch> {
    const { encoder, batchSize, world } = this.#config;
    const options = { side: encoder.vit.imageSize, patchSize: encoder.vit.patchSize, batchSize, world };
    return new BatchPool<ClipBatch>(new URL('./clip-batches.js', import.meta.url), options, { start });
  }

  loss(batch: ClipBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const { encoder, batchSize, regionWeight } = this.#config;
    const pixels = normalisePictures(batch.pictures, batchSize, encoder.vit.imageSize, encoder.image, 'bf16');
    const { cls, patches } = this.#vision.forwardTokens(pixels);
    const captions = this.#encodeTexts(batch.captions, batch.captionLengths);
    const pairs = logits(this.#heads.picture.forward(cls as Tensor), captions, this.#heads.pictureScale);
    const diagonal = arange(batchSize);
    const pictureLoss = F.crossEntropy(pairs, diagonal).add(F.crossEntropy(pairs.t(), diagonal)).div(2);

    const numRegions = batch.regionPictures.length;
    const cover_RN = tensor(batch.regionPatches, { shape: [numRegions, patches.shape[1] as number] }).to('bf16');
    const own_RND = patches.indexSelect(0, tensor(batch.regionPictures));
    const regions_RD = cover_RN.unsqueeze(1).bmm(own_RND).squeeze(1);
    const phrases = this.#encodeTexts(batch.phrases, batch.phraseLengths);
    const named = logits(this.#heads.region.forward(regions_RD), phrases, this.#heads.regionScale);
    const targets = tensor(batch.regionPhrases);
    const regionLoss = F.crossEntropy(named, targets);
    return {
      loss: pictureLoss.add(regionLoss.mul(regionWeight)),
      metrics: {
        picture: pictureLoss,
        region: regionLoss,
        picture_accuracy: share(pairs.argmax(1).eq(diagonal)),
        region_accuracy: share(named.argmax(1).eq(targets)),
      },
    };
  }

  /** Writes the picture tower; the text tower and the heads have done their work. */
  export(folder: string): void {
    scope(() => {
      const weights = new Map([...this.#vision.stateDict()].map(([key, t]) => [key, t.detach().to('f32')] as const));
      saveEncoder(folder, this.#config.encoder, weights);
    });
  }

  #encodeTexts(ids: BigInt64Array, lengths: BigInt64Array): Tensor {
    const count = lengths.length;
    return this.#text.forward(tensor(ids, { shape: [count, ids.length / count] }), tensor(lengths));
  }
}
