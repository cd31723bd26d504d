/**
 * Activation checkpointing (2016, 1604.06174) without callbacks into autograd: blocks keep their inputs only, and are
 * computed a second time when gradients come back.
 *
 *     forward     x0 -> [block 1] -> x1 -> [block 2] -> x2 -> [block 3] -> x3 -> head, loss    graphs are dropped at once
 *     backward                       x1 -> [block 2] <- dx2 <-[block 3]<- dx3 <-----------'    then block 1, and so on
 *
 * Only the last block's graph is kept, as its gradient comes first.
 *
 * Both passes do the very same arithmetic as the plain way, with gradients recorded, so that loss and gradients keep
 * their bits. The head and its cross-entropy run over a piece of the tokens at a time, forward and backward, so that
 * the logits of a large vocabulary never exist at once.
 */
import { autograd, cat, full, keep, op, rngState, scope, setRngState, type Tensor } from '@commlm/torch';
import type { Block, Chain, RunBlocks } from '../../models/blocks.js';
import {
  type Comm,
  type CommBatch,
  type CommLoss,
  type LossOptions,
  learnedTokens,
  lossesOf,
  reduceLosses,
} from '../../models/comm.js';
import type { Llama } from '../../models/llama.js';

// Shapes: M learned tokens of a batch, V vocabulary, E language-model width.

const alias = op('aten::alias');

/** Blocks `from` to `to` (exclusive) of a chain, between two kept states. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly input: Tensor;
  readonly output: Tensor;
  /** The output with its graph where it is kept: of the last segment, whose gradient comes first. */
  readonly graph: Tensor | null;
  /** State of the random numbers in front of it, for dropout. */
  readonly random: Tensor;
}

/** One chain that ran. */
interface Run {
  readonly chain: Chain;
  /** The input with the graph that led to it; null where none asks for its gradient. */
  readonly source: Tensor | null;
  readonly input: Tensor;
  readonly segments: readonly Segment[];
}

/**
 * Chains of blocks whose gradients are computed by a second pass. Hand it to whatever runs blocks (`Comm.hidden`,
 * `VisionModel.encode`), take the loss's gradient as ever, then call `backward`:
 *
 *     using recompute = new Recompute({ every: 1 });
 *     const levels = comm.vision.encode(pixels, recompute);
 *     lossOf(levels).backward();
 *     recompute.backward();
 */
export class Recompute {
  readonly #every: number;
  readonly #runs: Run[] = [];

  /** `every`: blocks between two kept states; with 1 the input of every block is kept, and the graph of one block is held. */
  constructor({ every = 1 }: { every?: number } = {}) {
    if (!Number.isInteger(every) || every < 1)
      throw new RangeError(`Recompute: every is ${every}, not a count of blocks`);
    this.#every = every;
  }

  /** Runs blocks without keeping their graphs; the states that it hands back are leaves, which gather gradients. */
  readonly run: RunBlocks = (input, chain, wanted) => {
    const blocks = chain(input);
    const deepest = Math.max(...wanted);
    const isKept = (level: number): boolean => level % this.#every === 0 || level === deepest || wanted.includes(level);
    const states = new Map([[0, leafOf(input)]]);
    const segments: Segment[] = [];
    this.#runs.push({
      chain,
      source: input.requiresGrad ? scope(() => keep(alias(input))) : null,
      input: states.get(0)!,
      segments,
    });
    for (let start = 0, end = 1; end <= deepest; end++) {
      if (!isKept(end)) continue;
      const before = states.get(start)!;
      const random = scope(() => keep(rngState(input.device)));
      const { output, graph } = scope(() => {
        const out = runPart(blocks.slice(start, end), before);
        return { output: leafOf(out), graph: end === deepest ? keep(out) : null };
      });
      segments.push({ from: start, to: end, input: before, output, graph, random });
      states.set(end, output);
      start = end;
    }
    return wanted.map((level) => states.get(level)!);
  };

  /** Carries the gradients of the states back through the blocks, last chain first, and into what their inputs came from. */
  backward(): void {
    for (const run of this.#runs.toReversed()) scope(() => backwardOf(run));
    this.dispose();
  }

  /** Drops what is kept. */
  dispose(): void {
    for (const { source, input, segments } of this.#runs) {
      for (const tensor of [source, input]) tensor?.dispose();
      for (const { output, graph, random } of segments) {
        for (const tensor of [output, graph, random]) tensor?.dispose();
      }
    }
    this.#runs.length = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The same values outside of the graph, asking for a gradient where `x` does; whoever makes it drops it. */
function leafOf(x: Tensor): Tensor {
  const leaf = scope(() => keep(x.detach()));
  leaf.requiresGrad = x.requiresGrad;
  return leaf;
}

/** Blocks in a row, with their graph. */
function runPart(blocks: readonly Block[], input: Tensor): Tensor {
  let x = input;
  for (const block of blocks) {
    const before = x;
    x = scope(() => block(before));
  }
  return x;
}

function backwardOf({ chain, source, input, segments }: Run): void {
  const { device } = input;
  const blocks = chain(input);
  const randomAfter = rngState(device);
  for (const { from, to, input: before, output, graph, random } of segments.toReversed()) {
    scope(() => {
      const { grad } = output;
      // Null: nothing asked for this state, or nothing in front of it learns.
      if (grad === null) return;
      setRngState(random, device);
      autograd.backward([graph ?? runPart(blocks.slice(from, to), before)], [grad]);
    });
    graph?.dispose();
    output.dispose();
  }
  setRngState(randomAfter, device);
  if (source !== null && input.grad !== null) autograd.backward([source], [input.grad]);
}

/** Bytes of f32 logits that exist at once; smaller pieces cost time, as the head's gradient is added up once for each. */
const LOGIT_BYTES = 2 ** 27;

/** What `recomputedBackward` needs of a model. */
export type RecomputedModel = Pick<Comm, 'hidden' | 'languageModel'>;

/** Options of `recomputedBackward`. */
export interface RecomputedOptions extends LossOptions {
  /** Blocks of the language model between two kept states. */
  readonly every?: number;
  /** Factor of all gradients (one over the steps that are accumulated), not of the loss that is handed back. */
  readonly scale?: number;
  /** What the encoders ran with when they learn too; its backward comes last. */
  readonly encoders?: Recompute;
}

/**
 * `Comm.loss` and its backward in one, with the language model's blocks recomputed: adds `scale` times the loss's
 * gradient to all that learns, up to what the visual tokens came from, and hands back the loss without a graph.
 * Gradients are those of the plain way bit for bit in f32 while the logits fit in one piece, else up to the order of sums.
 */
export function recomputedBackward(
  model: RecomputedModel,
  batch: CommBatch,
  { every = 1, scale = 1, reduction = 'mean', numbers, encoders }: RecomputedOptions = {},
): CommLoss {
  using recompute = new Recompute({ every });
  const result = scope((): CommLoss => {
    const hidden_BTE = model.hidden(batch, recompute);
    const { places, targets, weights } = learnedTokens(batch);
    const learned_ME = hidden_BTE.flatten(0, 1).indexSelect(0, places);
    const share_M = gradientShares(targets, weights, reduction, scale);
    const { losses, tokenLosses } = headBackward(model.languageModel, learned_ME, targets, share_M, numbers);
    return { loss: reduceLosses(losses, weights, reduction), numTokens: targets.shape[0]!, tokenLosses };
  });
  recompute.backward();
  encoders?.backward();
  return result;
}

/** What each token's loss adds to the gradient, as autograd would hand it back from `reduceLosses`: f32[M]. */
function gradientShares(targets_M: Tensor, weights_M: Tensor | null, reduction: 'mean' | 'sum', scale: number): Tensor {
  return scope(() => {
    const numTokens = targets_M.shape[0]!;
    const { device } = targets_M;
    const all = (value: number): Tensor => full([numTokens], value, { dtype: 'f32', device });
    if (weights_M === null) return all(reduction === 'sum' ? scale : scale / numTokens);
    return (reduction === 'sum' ? all(scale) : all(scale).div(weights_M.sum())).mul(weights_M);
  });
}

/** Losses f32[M] of the learned tokens: all that counts, and the cross-entropy in it. */
interface HeadLosses {
  readonly losses: Tensor;
  readonly tokenLosses: Tensor;
}

/** Head and losses forward and backward, a piece of the tokens at a time: float[M, E] -> f32[M]. */
function headBackward(
  decoder: Llama,
  learned_ME: Tensor,
  targets_M: Tensor,
  share_M: Tensor,
  numbers: LossOptions['numbers'],
): HeadLosses {
  const numTokens = targets_M.shape[0]!;
  const numPieces = Math.ceil((4 * numTokens * decoder.config.vocabSize) / LOGIT_BYTES);
  const rows = Math.ceil(numTokens / numPieces);
  const pieces: (HeadLosses & { readonly grad: Tensor | null })[] = [];
  for (let from = 0; from < numTokens; from += rows) {
    const count = Math.min(rows, numTokens - from);
    const piece = scope(() => {
      const x_RE = learned_ME.detach().narrow(0, from, count);
      x_RE.requiresGrad = learned_ME.requiresGrad;
      const logits_RV = decoder.logits(x_RE).to('f32');
      const { losses, tokenLosses } = lossesOf(logits_RV, targets_M.narrow(0, from, count), numbers);
      autograd.backward([losses], [share_M.narrow(0, from, count)]);
      return { losses: losses.detach(), tokenLosses, grad: x_RE.grad };
    });
    pieces.push(piece);
  }
  const grads = pieces.flatMap(({ grad }) => (grad === null ? [] : [grad]));
  if (grads.length > 0) autograd.backward([learned_ME], [cat(grads)]);
  return {
    losses: cat(pieces.map(({ losses }) => losses)),
    tokenLosses: cat(pieces.map(({ tokenLosses }) => tokenLosses)),
  };
}
