/** COMM (2310.08825): encoders and fusion -> visual tokens, written over the picture placeholders -> language model. */
import { arange, cat, type Device, type DType, F, full, nn, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { type CommConfig, fusedShape, tokensPerImage } from '../config/model.js';
import { VisionModel } from './fusion.js';
import { type DecodeOptions, Llama } from './llama.js';
import { Projector } from './projector.js';

// Shapes: P pictures of the whole batch, N visual tokens each, B rows, T tokens, E language-model width, M learned tokens.

/** Label of a token that is read but not learned. */
export const IGNORE_LABEL = -100;

/** One training batch. */
export interface CommBatch {
  /** i64[B, T], a run of patch placeholders for each picture. */
  readonly ids: Tensor;
  /** i64[B, T], `ids` where the token is learned, -100 elsewhere; not shifted. */
  readonly labels: Tensor;
  /** Visual tokens float[P, N, E] of all pictures, row by row; null when the batch shows none. */
  readonly visual: Tensor | null;
  /** i64[P * N], flat places of the placeholders in [B * T]; left out, they are looked for in `ids`, which waits for the device. */
  readonly places?: Tensor | undefined;
  /** float[B, T], how much each label counts; all 1 when left out. */
  readonly weights?: Tensor | undefined;
  /** Passed on to the decoder, e.g. for packed conversations. */
  readonly positions?: Tensor | undefined;
  readonly mask?: Tensor | undefined;
}

/** Options of `Comm.loss`. */
export interface LossOptions {
  /** Weighted mean over the learned tokens (default), or their weighted sum. */
  readonly reduction?: 'mean' | 'sum';
  /** Also how far the predicted number is from the right one, for tokens that spell numbers. */
  readonly numbers?: NumberLoss;
}

/**
 * The number token loss (2411.02083, in its Wasserstein form): cross-entropy takes a 7 for as wrong as a 3 where 4 is
 * right; this counts the expected distance, so that what is not known for certain is at least near.
 */
export interface NumberLoss {
  /** i64[K], the tokens of 0, 1, ... K - 1 in this order. */
  readonly ids: Tensor;
  /** Nats that a distance of one counts. */
  readonly weight: number;
}

/** What `Comm.loss` gives. */
export interface CommLoss {
  /** Scalar f32 with gradient: weighted mean over the learned tokens, or their weighted sum. */
  readonly loss: Tensor;
  /** Learned tokens in the batch. */
  readonly numTokens: number;
  /** f32[M] without gradient: cross-entropy in nats of each learned token, row by row. */
  readonly tokenLosses: Tensor;
}

/** A multi-modal language model: any encoders, levels, merges, projector and Llama-type decoder. */
export class Comm extends nn.Module {
  readonly config: CommConfig;
  readonly vision: VisionModel;
  readonly projector: Projector;
  readonly languageModel: Llama;
  /** Placeholders, and visual tokens, of one picture. */
  readonly tokensPerImage: number;

  constructor(config: CommConfig) {
    super();
    this.config = config;
    this.tokensPerImage = tokensPerImage(config);
    this.vision = new VisionModel(config.vision);
    this.projector = new Projector(fusedShape(config.vision).width, config.textConfig.hiddenSize, config.projector);
    this.languageModel = new Llama(config.textConfig);
  }

  /** The model of a config without memory: names, shapes and counts. */
  static outline(config: CommConfig): Comm {
    return nn.onMeta(() => new Comm(config));
  }

  /** Number format that the language model computes in; pixels are given in it. */
  get dtype(): DType {
    return this.languageModel.dtype;
  }

  /** Where the model runs. */
  get device(): Device {
    return this.languageModel.device;
  }

  /** Pictures to visual tokens: pixels float[P, 3, H, W], one tensor an encoder -> float[P, N, E]. */
  encodeImages(pixels: readonly Tensor[]): Tensor {
    return scope(() => this.projector.forward(this.vision.forward(pixels)));
  }

  /** Levels of frozen encoders, e.g. from a cache, to visual tokens: float[P, N, D] x L an encoder -> float[P, N, E]. */
  fuseLevels(levels: readonly (readonly Tensor[])[]): Tensor {
    return scope(() => this.projector.forward(this.vision.fuse(levels)));
  }

  /** Tokens of the branches to visual tokens: float[P, N, M], one an encoder -> float[P, N, E]. */
  joinBranches(branches_PNM: readonly Tensor[]): Tensor {
    return scope(() => this.projector.forward(this.vision.join(branches_PNM)));
  }

  /**
   * Embeds ids and writes the visual tokens over the placeholders: i64[B, T] and float[P, N, E] -> float[B, T, E].
   *
   *     ids      <s> A chat ... USER: <im_start> <im_patch> x N <im_end> What is this? ASSISTANT:
   *     visual                                   v_1 ... v_N
   *
   * Any number of pictures at any place; throws a CommError when placeholders and visual tokens do not match. Whoever wrote
   * the ids knows the places of the placeholders, i64[P * N] in [B * T]; without them the ids are searched on the host.
   */
  embed(ids_BT: Tensor, visual_PNE: Tensor | null, places?: Tensor): Tensor {
    return scope(() => {
      const [numImages, numVisual] = visual_PNE === null ? [0, this.tokensPerImage] : visual_PNE.shape;
      const index = places ?? this.#placeholders(ids_BT, numVisual!);
      if (index.shape[0] !== numImages! * numVisual!) {
        const shown = index.shape[0]! / numVisual!;
        throw countError(`The text has placeholders for ${shown} pictures, but ${numImages} pictures came.`);
      }
      const text_BTE = this.languageModel.embed(this.#lookedUp(ids_BT));
      if (visual_PNE === null || index.shape[0] === 0) return text_BTE;
      const visual = visual_PNE.flatten(0, 1).to(text_BTE.dtype);
      return text_BTE.flatten(0, 1).indexPut([index], visual).unflatten(0, ids_BT.shape);
    });
  }

  /** Next-token cross-entropy over the learned labels; the head runs on those positions only. */
  loss(batch: CommBatch, { reduction = 'mean', numbers }: LossOptions = {}): CommLoss {
    return scope(() => {
      const hidden_BTE = this.hidden(batch);
      const { places, targets, weights } = learnedTokens(batch);
      const logits_MV = this.languageModel.logits(hidden_BTE.flatten(0, 1).indexSelect(0, places)).to('f32');
      const { losses, tokenLosses } = lossesOf(logits_MV, targets, numbers);
      return { loss: reduceLosses(losses, weights, reduction), numTokens: targets.shape[0]!, tokenLosses };
    });
  }

  /** Hidden states of a batch behind the last norm, ready for the head: float[B, T, E]. */
  hidden({ ids, visual, places, positions, mask }: CommBatch, { run }: Pick<DecodeOptions, 'run'> = {}): Tensor {
    return scope(() =>
      this.languageModel.model.forward(this.embed(ids, visual, places), {
        positions,
        mask,
        run,
      }),
    );
  }

  /** Logits at every position: i64[B, T] and float[P, N, E] -> float[B, T, V]. */
  forward(ids_BT: Tensor, visual_PNE: Tensor | null, options: DecodeOptions = {}): Tensor {
    return scope(() => this.languageModel.forward(this.embed(ids_BT, visual_PNE), options));
  }

  /** Logits behind the last token, with or without a cache: i64[B, T] and float[P, N, E] -> float[B, V]. */
  nextLogits(ids_BT: Tensor, visual_PNE: Tensor | null, options: DecodeOptions = {}): Tensor {
    return scope(() => this.languageModel.nextLogits(this.embed(ids_BT, visual_PNE), options));
  }

  override dispose(): void {
    this.languageModel.dispose();
    super.dispose();
  }

  /** The ids with a row in the embedding: a placeholder from outside the vocabulary is written over anyway. */
  #lookedUp(ids_BT: Tensor): Tensor {
    const { imageTokens, textConfig } = this.config;
    return imageTokens.patchId < textConfig.vocabSize ? ids_BT : ids_BT.maskedFill(ids_BT.eq(imageTokens.patchId), 0);
  }

  /** Flat places of the placeholders in [B * T], i64[P * N]; checks that they come in runs of whole pictures. */
  #placeholders(ids_BT: Tensor, tokensPerImage: number): Tensor {
    const numTokens = ids_BT.shape[1]!;
    const isPatch = ids_BT.eq(this.config.imageTokens.patchId).flatten().to('u8').toArray();
    const places: bigint[] = [];
    let run = 0;
    for (let at = 0; at < isPatch.length; at++) {
      if (Number(isPatch[at]) === 1) {
        places.push(BigInt(at));
        run++;
      }
      const runEnds = Number(isPatch[at]) === 0 || (at + 1) % numTokens === 0;
      if (runEnds && run % tokensPerImage !== 0) {
        throw countError(
          `A run of ${run} picture placeholders does not fit pictures of ${tokensPerImage} visual tokens.`,
        );
      }
      if (runEnds) run = 0;
    }
    return tensor(BigInt64Array.from(places), { device: ids_BT.device });
  }
}

const countError = (message: string): CommError =>
  new CommError(message, {
    code: 'model/image-count',
    fix: 'Give one picture for each image mark in the text, in the same order.',
  });

/** Each row one place to the left, `fill` at its end: [B, T] -> [B, T]. */
function shiftLeft(x_BT: Tensor, fill: number): Tensor {
  const [rows, numTokens] = x_BT.shape as [number, number];
  const last = full([rows, 1], fill, { dtype: x_BT.dtype, device: x_BT.device });
  return cat([x_BT.narrow(1, 1, numTokens - 1), last], 1);
}

/** Where a batch has a token to learn, M of them. */
export interface LearnedTokens {
  /** i64[M], flat places in [B * T] of the positions that predict them. */
  readonly places: Tensor;
  /** i64[M]. */
  readonly targets: Tensor;
  /** f32[M]; null where all count the same. */
  readonly weights: Tensor | null;
}

/** What the head has to predict, and where; throws a CommError for a batch without a label. */
export function learnedTokens({ labels, weights }: CommBatch): LearnedTokens {
  return scope(() => {
    // Position t predicts token t + 1; the last one predicts nothing.
    const next = shiftLeft(labels, IGNORE_LABEL).flatten();
    const places = next.ne(IGNORE_LABEL).nonzero().squeeze(1);
    if (places.shape[0] === 0) {
      throw new CommError('The batch has no token to learn.', {
        code: 'train/no-labels',
        fix: 'Check the label mask, or skip samples whose answer was cut away.',
      });
    }
    return {
      places,
      targets: next.indexSelect(0, places),
      weights: weights === undefined ? null : shiftLeft(weights.to('f32'), 0).flatten().indexSelect(0, places),
    };
  });
}

/** Expected distance of the predicted number to the right one, 0 for a target that is none: f32[M, V], i64[M], i64[K] -> f32[M]. */
export function numberDistances(logits_MV: Tensor, targets_M: Tensor, ids_K: Tensor): Tensor {
  return scope(() => {
    const isTarget_MK = targets_M.unsqueeze(1).eq(ids_K).to('f32');
    const values_K = arange(ids_K.shape[0]!, { dtype: 'f32', device: logits_MV.device });
    const right_M1 = isTarget_MK.mul(values_K).sum(1).unsqueeze(1);
    const distances_MK = values_K.sub(right_M1).abs();
    const expected_M = logits_MV.indexSelect(1, ids_K).softmax(1).mul(distances_MK).sum(1);
    return expected_M.mul(isTarget_MK.sum(1));
  });
}

/** Cross-entropy of each learned token, without a graph in `tokenLosses`, and all that counts of it: f32[M, V], i64[M] -> f32[M]. */
export function lossesOf(
  logits_MV: Tensor,
  targets_M: Tensor,
  numbers: NumberLoss | undefined,
): { readonly losses: Tensor; readonly tokenLosses: Tensor } {
  const losses_M = F.crossEntropy(logits_MV, targets_M, { reduction: 'none' });
  const tokenLosses = losses_M.detach();
  if (numbers === undefined) return { losses: losses_M, tokenLosses };
  const apart_M = numberDistances(logits_MV, targets_M, numbers.ids).mul(numbers.weight);
  return { losses: losses_M.add(apart_M), tokenLosses };
}

/** Losses of the learned tokens to one: their (weighted) mean or sum. */
export function reduceLosses(losses_M: Tensor, weights_M: Tensor | null, reduction: 'mean' | 'sum'): Tensor {
  return scope(() => {
    if (weights_M === null) return reduction === 'sum' ? losses_M.sum() : losses_M.mean();
    const sum = losses_M.mul(weights_M).sum();
    return reduction === 'sum' ? sum : sum.div(weights_M.sum());
  });
}
