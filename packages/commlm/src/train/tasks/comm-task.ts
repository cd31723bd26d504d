/**
 * Training of COMM itself (2310.08825, section 5): the language model, the projector, the merge of levels and the
 * alignment learn; the picture encoders are frozen and run without a graph.
 *
 * Pictures come with several questions each. They share the picture's tokens: every question sees the prefix (system
 * text and picture) and itself, so one pass gives what a pass a question would give.
 *
 *              prefix  q1 a1  q2 a2
 *     prefix     \
 *     q1 a1      #       \            \ causal, # seen, . hidden
 *     q2 a2      #       .      \
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cat, F, nn, noGrad, scope, type Tensor, tensor, where, zeros } from '@commlm/torch';
import type { CommTrainConfig } from '../../config/comm-train.js';
import { CommError } from '../../config/errors.js';
import type { LoopConfig } from '../../config/train.js';
import { Comm, IGNORE_LABEL } from '../../models/comm.js';
import { loadCommFolder, saveCommFolder } from '../../weights/comm-folder.js';
import { isOwnEncoder, loadEncoder } from '../../weights/encoder-folder.js';
import { loadHfEncoder } from '../../weights/hf-folder.js';
import { BatchPool, type RawBatch } from '../loop/batch-pool.js';
import type { BatchFacts, BatchSource, TrainingTask } from '../loop/loop.js';
import { normalisePictures } from '../pictures/pixels.js';
import { type PatchWords, WATCHED } from './comm-batches.js';

// Shapes: B pictures, R rows (one a picture and one a pair), T tokens of a packed row, N visual tokens.

/** A packed batch of the data thread. */
export interface CommRawBatch extends RawBatch {
  /** Number of its first scene in the stream. */
  readonly first: number;
  /** u8[B, side, side, 3]. */
  readonly pictures: Uint8Array;
  /** [B * N] place in `patchWords.nouns` of what each patch shows, one past the end for the background, -100 unclear. */
  readonly patchNouns: BigInt64Array;
  /** [B * N] place in `patchWords.colors` for patches of coloured shapes, else -100. */
  readonly patchColors: BigInt64Array;
  /** [B * N, 4] box of the thing that each patch shows, shares of the padded square; 0 without one. */
  readonly patchBoxes: Float32Array;
  readonly patchWords: PatchWords;
  /** The pictures that the rows show, row by row, as places in `pictures`. */
  readonly shown: BigInt64Array;
  readonly numRows: number;
  readonly numTokens: number;
  /** [R, T] each, padded at the right with segment -1. */
  readonly ids: BigInt64Array;
  readonly labels: BigInt64Array;
  readonly positions: BigInt64Array;
  readonly segments: Int32Array;
  readonly weights: Float32Array;
  /** 0, or which entry of WATCHED the token counts for, from 1. */
  readonly watched: Int8Array;
}

/** Additive mask of packed rows: i32[B, T] segments (0 the prefix, -1 padding) -> float[B, 1, T, T]. */
export function packedMask(segments_BT: Tensor, dtype: 'f32' | 'bf16'): Tensor {
  return scope(() => {
    const [rows, length] = segments_BT.shape as [number, number];
    const asker = segments_BT.unsqueeze(2);
    const seen = segments_BT.unsqueeze(1);
    const open = asker.eq(seen).logicalOr(seen.eq(0)).tril();
    const bias = zeros([rows, length, length], { dtype, device: segments_BT.device });
    return where(open, bias, bias.add(Number.NEGATIVE_INFINITY)).unsqueeze(1);
  });
}

/** How much the first and the second digit of an edge count, read from a visual token. */
const DIGIT_WEIGHTS = [0.25, 0.1];
const DIGIT_CLASSES = 10;

/**
 * The first digits of all edges, -100 where a patch shows nothing: shares of the square [n] -> one array a digit. An edge at
 * 1.000 counts as 0.999.
 */
function edgeDigits(boxes: Float32Array): BigInt64Array[] {
  const hasBox = (i: number): boolean => boxes[i - (i % 4) + 2]! > 0;
  return DIGIT_WEIGHTS.map((_, place) => {
    const unit = 10 ** (2 - place);
    return BigInt64Array.from(boxes, (share, i) => {
      const thousandths = Math.min(999, Math.round(1000 * share));
      return BigInt(hasBox(i) ? Math.floor(thousandths / unit) % 10 : IGNORE_LABEL);
    });
  });
}

/** An error of a tenth of the square weighs as much as a nat of row or column. */
const BOX_ERROR_WEIGHT = 10;

/** Mean loss of the watched tokens of a batch; 0 nats where none is there. */
function watchedLosses(batch: CommRawBatch, tokenLosses: Tensor): Record<string, Tensor> {
  // The learned tokens in the order of `Comm.loss`: the first of a row is never predicted.
  const kinds = batch.watched.filter((_, at) => at % batch.numTokens > 0 && batch.labels[at] !== -100n);
  const perToken = tensor(Int32Array.from(kinds));
  return Object.fromEntries(
    WATCHED.map((name, index) => {
      const mine = perToken.eq(index + 1).to('f32');
      return [name, tokenLosses.mul(mine).sum().div(mine.sum().clamp(1))];
    }),
  );
}

/** Weights of a finished tower: our own encoder folder, or one of another library. */
function towerWeights(folder: string): ReadonlyMap<string, Tensor> {
  const own = !existsSync(join(folder, 'config.json')) || isOwnEncoder(folder);
  return own ? loadEncoder(folder).weights : loadHfEncoder(folder).vit.stateDict();
}

/** A stage of COMM as a task of the training loop. */
export class CommTask implements TrainingTask<CommRawBatch> {
  readonly parts: ReadonlyMap<string, nn.Module>;
  readonly #config: CommTrainConfig;
  readonly #batchSize: number;
  readonly #model: Comm;
  /** Reads row, column, box and the digits of its edges from a visual token; dropped after training. */
  readonly #placeHead: nn.Linear;

  private constructor(config: CommTrainConfig, { batchSize }: Pick<LoopConfig, 'batchSize'>, model: Comm) {
    this.#config = config;
    this.#batchSize = batchSize;
    this.#model = model;
    this.#placeHead = new nn.Linear(
      model.config.textConfig.hiddenSize,
      2 * Math.sqrt(model.tokensPerImage) + 4 + 4 * DIGIT_CLASSES * DIGIT_WEIGHTS.length,
    );
    this.#placeHead.to('bf16');
    model.to('bf16').train();
    for (const { config: encoder, vit, merge, align } of model.vision.encoders) {
      vit.requiresGrad_(this.#learns(encoder.type));
      merge.requiresGrad_(this.#learns('fusion'));
      align.requiresGrad_(this.#learns('fusion'));
    }
    model.projector.requiresGrad_(this.#learns('projector'));
    model.languageModel.requiresGrad_(this.#learns('languageModel'));
    this.parts = new Map<string, nn.Module>([
      ['vision', model.vision],
      ['projector', model.projector],
      ['languageModel', model.languageModel],
      ...(config.mix.patchPlaceWeight > 0 ? [['placeHead', this.#placeHead] as const] : []),
    ]);
  }

  /** Build the model from its towers, or from the stage before. */
  static open(config: CommTrainConfig, loop: Pick<LoopConfig, 'batchSize'>): CommTask {
    if (config.from !== null) {
      const { model, config: own } = loadCommFolder(config.from);
      return new CommTask({ ...config, model: own }, loop, model);
    }
    const model = new Comm(config.model);
    if (config.encoders.length !== model.vision.encoders.length) {
      throw new CommError(
        `The recipe names ${config.encoders.length} encoders, the model has ${model.vision.encoders.length}.`,
        {
          code: 'train/encoders',
          fix: 'Name one folder for each encoder.',
        },
      );
    }
    for (const [i, folder] of config.encoders.entries()) {
      scope(() => model.vision.encoders[i]!.vit.loadStateDict(towerWeights(folder)));
    }
    return new CommTask(config, loop, model);
  }

  /** The task without any file, for a plan: on the meta device it has shapes and no weights. */
  static outline(config: CommTrainConfig, loop: Pick<LoopConfig, 'batchSize'>): CommTask {
    return new CommTask(config, loop, new Comm(config.model));
  }

  openBatches(start: number): BatchSource<CommRawBatch> {
    const { questions, mix, tokenizer, world, model } = this.#config;
    const options = {
      side: model.vision.encoders[0]!.image.size,
      tokensPerImage: this.#model.tokensPerImage,
      batchSize: this.#batchSize,
      questions,
      mix,
      tokenizer,
      world,
    };
    return new BatchPool<CommRawBatch>(new URL('./comm-batches.js', import.meta.url), options, { start });
  }

  describe({ first, segments, patchNouns }: CommRawBatch): BatchFacts {
    const { questions } = this.#config;
    const samples = Array.from({ length: this.#batchSize }, (_, i) => `scene ${first + i}`);
    // Without questions the language model reads nothing: what is left are the visual tokens.
    return { samples, tokens: questions === 0 ? patchNouns.length : segments.filter((segment) => segment >= 0).length };
  }

  loss(batch: CommRawBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const shape = [batch.numRows, batch.numTokens];
    const visual = this.#encode(batch);
    const patches = this.#readPatches(visual, batch);
    if (this.#config.questions === 0) return patches;
    const { numberWeight: weight } = this.#config.mix;
    const { loss, tokenLosses } = this.#model.loss(
      {
        ids: tensor(batch.ids, { shape }),
        labels: tensor(batch.labels, { shape }),
        positions: tensor(batch.positions, { shape }),
        weights: tensor(batch.weights, { shape }),
        mask: packedMask(tensor(batch.segments, { shape }), 'bf16'),
        // A picture that several rows show is encoded once.
        visual: visual.indexSelect(0, tensor(batch.shown)),
      },
      weight > 0 ? { numbers: { ids: tensor(batch.patchWords.digits), weight } } : {},
    );
    const metrics = { token_loss: tokenLosses.mean(), ...watchedLosses(batch, tokenLosses), ...patches.metrics };
    return { loss: loss.add(patches.loss), metrics };
  }

  /** The weighted losses of what is read from visual tokens alone, behind the last norm of the language model: float[B * N, E]. */
  #readPatches(visual_BNE: Tensor, batch: CommRawBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const { patchNameWeight, patchPlaceWeight } = this.#config.mix;
    const tokens = this.#model.languageModel.model.norm.forward(visual_BNE.flatten(0, 1));
    const names = patchNameWeight > 0 ? this.#namePatches(tokens, batch) : null;
    const places = patchPlaceWeight > 0 ? this.#placePatches(tokens, batch) : null;
    const nothing = zeros([]);
    return {
      loss: (names?.loss.mul(patchNameWeight) ?? nothing).add(places?.loss.mul(patchPlaceWeight) ?? nothing),
      metrics: { ...names?.metrics, ...places?.metrics },
    };
  }

  /**
   * Row and column of each patch as classes, and the box of what it shows: its edges as numbers (mean absolute error, shares of
   * the square) and as the digits that an answer spells, which the language model then copies instead of computing them.
   */
  #placePatches(tokens: Tensor, batch: CommRawBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const numTokens = tokens.shape[0]!;
    const side = Math.sqrt(this.#model.tokensPerImage);
    const read = this.#placeHead.forward(tokens).to('f32');
    const patches = Array.from({ length: numTokens }, (_, i) => i % (side * side));
    const rows = tensor(BigInt64Array.from(patches, (patch) => BigInt(Math.floor(patch / side))));
    const columns = tensor(BigInt64Array.from(patches, (patch) => BigInt(patch % side)));
    const place = F.crossEntropy(read.narrow(1, 0, side), rows).add(
      F.crossEntropy(read.narrow(1, side, side), columns),
    );
    const boxes = tensor(batch.patchBoxes, { shape: [numTokens, 4] });
    const shown = boxes.sum(1).gt(0).to('f32');
    const error = read
      .narrow(1, 2 * side, 4)
      .sub(boxes)
      .abs()
      .mean(1)
      .mul(shown)
      .sum()
      .div(shown.sum().clamp(1));
    const digits = edgeDigits(batch.patchBoxes).map((labels, i) => {
      const start = 2 * side + 4 + i * 4 * DIGIT_CLASSES;
      const logits = read.narrow(1, start, 4 * DIGIT_CLASSES).reshape(4 * numTokens, DIGIT_CLASSES);
      return F.crossEntropy(logits, tensor(labels), { reduction: 'sum' }).div(shown.sum().mul(4).clamp(1));
    });
    const spelled = digits.map((loss, i) => loss.mul(DIGIT_WEIGHTS[i]!)).reduce((sum, loss) => sum.add(loss));
    return {
      loss: place.add(error.mul(BOX_ERROR_WEIGHT)).add(spelled.mul(4)),
      metrics: { place_loss: place, box_error: error, edge_digit1: digits[0]!, edge_digit2: digits[1]! },
    };
  }

  /**
   * Reads each visual token as a word: its likeness to the embedding of a noun, in the singular and in the plural, and of
   * a colour, without the blocks of the language model. Background is what is like no noun (likeness below zero), so that
   * a question can tell by likeness alone that a thing is not there.
   */
  #namePatches(tokens: Tensor, batch: CommRawBatch): { loss: Tensor; metrics: Record<string, Tensor> } {
    const { embedTokens } = this.#model.languageModel.model;
    const likeness = (words: BigInt64Array): Tensor => F.linear(tokens, embedTokens.forward(tensor(words))).to('f32');
    const nouns = tensor(batch.patchNouns);
    const background = zeros([nouns.shape[0]!, 1]);
    // A batch without any coloured shape counts 0.
    const loss = (logits: Tensor, labels: Tensor): Tensor =>
      F.crossEntropy(logits, labels, { reduction: 'sum' }).div(labels.ne(-100).to('f32').sum().clamp(1));
    const singular = cat([likeness(batch.patchWords.nouns), background], 1);
    const plural = cat([likeness(batch.patchWords.plurals), background], 1);
    const known = nouns.ge(0).logicalAnd(nouns.lt(batch.patchWords.nouns.length));
    const right = singular.argmax(1).eq(nouns).logicalAnd(known);
    const nameLoss = loss(singular, nouns);
    const colorLoss = loss(likeness(batch.patchWords.colors), tensor(batch.patchColors));
    return {
      loss: nameLoss.add(loss(plural, nouns)).add(colorLoss),
      metrics: {
        name_loss: nameLoss,
        color_loss: colorLoss,
        name_accuracy: right.to('f32').sum().div(known.to('f32').sum()),
      },
    };
  }

  export(folder: string): void {
    const { tokenizer } = this.#config;
    const untrained = (this.#model.config.untrained ?? []).filter((name) => !this.#trains(name));
    saveCommFolder(folder, this.#model, { tokenizer, dtype: 'bf16', untrained });
  }

  #learns(part: string): boolean {
    return (this.#config.trains as readonly string[]).includes(part);
  }

  /** Whether weights of a part learn in this stage. */
  #trains(part: string): boolean {
    return [...this.#model.namedParameters()].some(
      ([key, { requiresGrad }]) => key.startsWith(`${part}.`) && requiresGrad,
    );
  }

  /** Towers, the frozen ones without graph, then fusion and projector with it. */
  #encode(batch: CommRawBatch): Tensor {
    const { encoders } = this.#config.model.vision;
    const pixels = encoders.map(({ image }) =>
      normalisePictures(batch.pictures, this.#batchSize, image.size, image, 'bf16'),
    );
    const levels = this.#model.vision.encoders.map((branch, i) => {
      const encode = (): Tensor[] => branch.encode(pixels[i]!);
      return this.#learns(branch.config.type) ? encode() : noGrad(encode);
    });
    return this.#model.fuseLevels(levels);
  }
}
