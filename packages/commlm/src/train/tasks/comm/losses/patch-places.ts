/**
 * Row and column of each patch as classes, and the box of what it shows: its edges as numbers (mean absolute error, shares of
 * the square) and as the digits that an answer spells, which the language model then copies instead of computing them.
 */
import { F, nn, type Tensor, tensor } from '@commlm/torch';
import { type Comm, IGNORE_LABEL } from '../../../../models/comm.js';
import type { Losses } from '../../../loop/training-task.js';
import type { WorldBatch } from '../world-batches.js';
import type { AuxiliaryLoss } from './auxiliary.js';

// Shapes: M visual tokens of a batch, E width of the language model, S patches a side, C classes of a digit.

const EDGES = 4;
const DIGIT_CLASSES = 10;
/** How much the first and the second digit of an edge count, read from a visual token. */
const DIGIT_WEIGHTS = [0.25, 0.1] as const;
/** An error of a tenth of the square weighs as much as a nat of row or column. */
const BOX_ERROR_WEIGHT = 10;

/** What is read from a visual token. */
interface PlaceReading {
  /** Logits, f32[M, S] each. */
  readonly row: Tensor;
  readonly column: Tensor;
  /** f32[M, 4], left, top, right, bottom. */
  readonly box: Tensor;
  /** Logits of the first and the second digit of each edge, f32[M * 4, C] each. */
  readonly digits: readonly Tensor[];
}

/** One linear layer that reads all of it. */
class PlaceHead extends nn.Linear {
  readonly #side: number;

  constructor(width: number, side: number) {
    super(width, 2 * side + EDGES + DIGIT_WEIGHTS.length * EDGES * DIGIT_CLASSES);
    this.#side = side;
  }

  /** float[M, E]. */
  read(tokens_ME: Tensor): PlaceReading {
    const sizes = [this.#side, this.#side, EDGES, ...DIGIT_WEIGHTS.map(() => EDGES * DIGIT_CLASSES)];
    const read = this.forward(tokens_ME).to('f32');
    let start = 0;
    const [row, column, box, ...digits] = sizes.map((size) => {
      start += size;
      return read.narrow(1, start - size, size);
    });
    return {
      row: row!,
      column: column!,
      box: box!,
      digits: digits.map((logits) => logits.reshape(EDGES * read.shape[0]!, DIGIT_CLASSES)),
    };
  }
}

export class PatchPlaces implements AuxiliaryLoss {
  readonly weight: number;
  readonly head: readonly [string, PlaceHead];
  readonly #side: number;

  constructor({ config, tokensPerImage }: Comm, weight: number) {
    this.weight = weight;
    this.#side = Math.sqrt(tokensPerImage);
    this.head = ['placeHead', new PlaceHead(config.textConfig.hiddenSize, this.#side)];
  }

  loss(tokens_ME: Tensor, { patches }: WorldBatch): Losses {
    const { device } = tokens_ME;
    const numTokens = tokens_ME.shape[0]!;
    const { row, column, box, digits } = this.head[1].read(tokens_ME);
    const { rows, columns } = this.#places(numTokens);
    const place = F.crossEntropy(row, tensor(rows, { device })).add(
      F.crossEntropy(column, tensor(columns, { device })),
    );
    const boxes = tensor(patches.boxes, { shape: [numTokens, EDGES], device });
    const shown = boxes.sum(1).gt(0).to('f32');
    const error = box.sub(boxes).abs().mean(1).mul(shown).sum().div(shown.sum().clamp(1));
    const labels = edgeDigits(patches.boxes);
    const spelled = digits.map((logits, i) =>
      F.crossEntropy(logits, tensor(labels[i]!, { device }), { reduction: 'sum' }).div(shown.sum().mul(EDGES).clamp(1)),
    );
    const weighed = spelled.map((loss, i) => loss.mul(DIGIT_WEIGHTS[i]!)).reduce((sum, loss) => sum.add(loss));
    return {
      loss: place.add(error.mul(BOX_ERROR_WEIGHT)).add(weighed.mul(EDGES)),
      metrics: { place_loss: place, box_error: error, edge_digit1: spelled[0]!, edge_digit2: spelled[1]! },
    };
  }

  /** Row and column of each patch of the batch's pictures, one picture behind the other. */
  #places(numTokens: number): { readonly rows: BigInt64Array; readonly columns: BigInt64Array } {
    const patches = Array.from({ length: numTokens }, (_, i) => i % (this.#side * this.#side));
    return {
      rows: BigInt64Array.from(patches, (patch) => BigInt(Math.floor(patch / this.#side))),
      columns: BigInt64Array.from(patches, (patch) => BigInt(patch % this.#side)),
    };
  }
}

/**
 * The digits of all edges, -100 where a patch shows nothing: shares of the square [M * 4] -> one array a digit. An edge at
 * 1.000 counts as 0.999.
 */
function edgeDigits(boxes: Float32Array): BigInt64Array[] {
  const hasBox = (i: number): boolean => boxes[i - (i % EDGES) + 2]! > 0;
  return DIGIT_WEIGHTS.map((_, place) => {
    const unit = 10 ** (2 - place);
    return BigInt64Array.from(boxes, (share, i) => {
      const thousandths = Math.min(999, Math.round(1000 * share));
      return BigInt(hasBox(i) ? Math.floor(thousandths / unit) % 10 : IGNORE_LABEL);
    });
  });
}
