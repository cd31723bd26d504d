/**
 * How much memory a forward pass keeps for its backward, estimated from shapes: what each block of a transformer saves, the
 * levels of the towers, the logits. Measured beside it in docs/training.md.
 */
import type { CommConfig, EncoderConfig, LlamaConfig, ViTConfig } from '../../config/model.js';
import { tokensPerImage } from '../../config/model.js';
import { numPatches, numTokens, resolveLevels } from '../../config/vision.js';

/** Bytes for the backward, with everything kept and with only the inputs of blocks kept (recompute). */
export interface ActivationBytes {
  readonly kept: number;
  readonly recomputed: number;
}

const NOTHING: ActivationBytes = { kept: 0, recomputed: 0 };

/** Rows of one length that go through a stack, and the number format. */
export interface Rows {
  readonly rows: number;
  readonly tokens: number;
  readonly itemBytes: number;
  readonly device: string;
  /** Blocks between two kept states where blocks are recomputed; 1 when absent. */
  readonly every?: number | undefined;
}

/** Bytes a logit: in the model's format and in f32, its logarithm, and the gradients of both. */
export const LOGIT_BYTES = 16;
/** Longest row for which a CPU keeps the attention's weights (models/attention.ts). */
const EXPLICIT_MAX_KEYS = 512;

/** The sum of several parts; recompute holds one part's blocks at a time, here all of them. */
export const sumActivations = (parts: readonly ActivationBytes[]): ActivationBytes =>
  parts.reduce(
    (sum, { kept, recomputed }) => ({ kept: sum.kept + kept, recomputed: sum.recomputed + recomputed }),
    NOTHING,
  );

/** Numbers a token that a stack of like blocks saves. */
function stack(
  perToken: number,
  layers: number,
  width: number,
  { rows, tokens, itemBytes, every = 1 }: Rows,
): ActivationBytes {
  const block = rows * tokens * perToken * itemBytes;
  const input = rows * tokens * width * itemBytes;
  return { kept: layers * block, recomputed: Math.ceil(layers / every) * input + every * block };
}

/** Attention that is written out keeps its scores and its weights. */
const scores = (heads: number, { tokens, device }: Rows): number =>
  device === 'cpu' && tokens <= EXPLICIT_MAX_KEYS ? 2 * heads * tokens : 0;

/** A vision tower that learns: two norms (in and out), q, k, v, scaled q, output, the MLP's width twice, what a LayerScale scales. */
export function vitActivations(vit: ViTConfig, rows: Rows): ActivationBytes {
  const widths = vit.layerScale ? 11 : 9;
  const perToken = widths * vit.hiddenSize + 2 * vit.intermediateSize + scores(vit.numHeads, rows);
  return stack(perToken, vit.numLayers, vit.hiddenSize, rows);
}

/** The blocks of a decoder: two norms, q, k, v, output, the MLP's width four times. On a CPU an RMSNorm is twice as wide. */
export function llamaActivations(config: LlamaConfig, rows: Rows): ActivationBytes {
  const { hiddenSize, intermediateSize, numLayers, numHeads, headDim, mlp = 'gated', norm = 'rms' } = config;
  const norms = rows.device === 'cpu' && norm === 'rms' ? 8 : 4;
  const inner = (mlp === 'gated' ? 4 : 2) * intermediateSize;
  const perToken = norms * hiddenSize + 3 * numHeads * headDim + hiddenSize + inner + scores(numHeads, rows);
  return stack(perToken, numLayers, hiddenSize, rows);
}

/** What a stage of COMM does in one forward pass. */
export interface CommPass extends Rows {
  readonly pictures: number;
  /** Tokens of a row that are learned, each with its logits. */
  readonly learned: number;
  /** Whether the blocks of the language model take part. */
  readonly blocks: boolean;
  /** Encoders that learn themselves, by their place. */
  readonly trainsEncoder: (place: number) => boolean;
}

/** A stage of COMM: language model and logits, merge of the levels, and towers that learn. Frozen towers keep nothing. */
export function commActivations(model: CommConfig, pass: CommPass): ActivationBytes {
  const { rows, pictures, learned, itemBytes, device, every } = pass;
  const parts: ActivationBytes[] = model.vision.encoders.map((encoder, i) => {
    const tower = { rows: pictures, tokens: numTokens(encoder.vit), itemBytes, device, every };
    return sumActivations([
      mergeActivations(encoder, tower),
      pass.trainsEncoder(i) ? vitActivations(encoder.vit, tower) : NOTHING,
    ]);
  });
  // Projected, normed for what is read from visual tokens alone.
  const visual = 6 * pictures * tokensPerImage(model) * model.textConfig.hiddenSize * itemBytes;
  parts.push({ kept: visual, recomputed: visual });
  if (pass.blocks) {
    const logits = rows * learned * model.textConfig.vocabSize * LOGIT_BYTES;
    parts.push(llamaActivations(model.textConfig, pass), { kept: logits, recomputed: logits });
  }
  return sumActivations(parts);
}

/** Each level that is merged: as it came, normed, mapped, summed; then the alignment, a block of it with its norm and twice its width. */
function mergeActivations({ vit, levels, align }: EncoderConfig, { rows, itemBytes }: Rows): ActivationBytes {
  const merged = 4 * resolveLevels(levels, vit.numLayers).length;
  const aligned = align.kind === 'mlp' ? align.blocks * (3 + 2 * align.ratio) : 0;
  const bytes = (merged + aligned) * rows * numPatches(vit) * vit.hiddenSize * itemBytes;
  return { kept: bytes, recomputed: bytes };
}
