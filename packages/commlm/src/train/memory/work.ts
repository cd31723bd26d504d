/**
 * How much a training on tokens computes, from shapes: 2 operations a weight and token forwards, 4 backwards (2204.02311,
 * appendix B), and what is computed twice. Embeddings are looked up and count nothing.
 */
import { type CommConfig, type LlamaConfig, tokensPerImage } from '../../config/model.js';
import type { LoopRecipe } from '../../config/recipe.js';
import { numTokens, type ViTConfig } from '../../config/vision.js';
import { shapeOf } from '../kinds.js';

/** The least and the most that there is. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

/** Tokens that the language model reads in the whole run, padding aside, and floating-point operations. */
export interface Work {
  readonly tokens: Range;
  readonly operations: Range;
}

/** Text of the shortest samples: the system's sentence, a question, an answer. */
const SHORTEST_TEXT = 50;

/** Operations of a forward pass over one row of `tokens`. */
function llamaForward(llama: LlamaConfig, tokens: number): number {
  const { hiddenSize, numHeads, numKvHeads, headDim, intermediateSize, numLayers, vocabSize, mlp = 'gated' } = llama;
  const attention = hiddenSize * headDim * (2 * numHeads + 2 * numKvHeads);
  const weights = numLayers * (attention + (mlp === 'gated' ? 3 : 2) * hiddenSize * intermediateSize);
  // Scores and their sums reach back over half of the row on average.
  return 2 * tokens * (weights + hiddenSize * vocabSize) + 2 * numLayers * tokens ** 2 * numHeads * headDim;
}

/** Operations of a tower on one picture. */
function vitForward(vit: ViTConfig): number {
  const tokens = numTokens(vit);
  const { hiddenSize, intermediateSize, numLayers, mlp } = vit;
  const weights = numLayers * (4 * hiddenSize ** 2 + (mlp === 'mlp' ? 2 : 3) * hiddenSize * intermediateSize);
  return 2 * tokens * weights + 4 * numLayers * tokens ** 2 * hiddenSize;
}

/** The passes that a language model costs, counted in forward passes: what learns costs two more, what only hands gradients on one. */
const passes = (learns: boolean, recomputes: boolean): number => (learns ? 3 : 2) + (recomputes ? 1 : 0);

function stageWork(model: CommConfig, recipe: Extract<LoopRecipe, { kind: 'stage' }>, samples: number): Work {
  const { trains, recompute, maxLength } = recipe.stage;
  const least = Math.min(maxLength, tokensPerImage(model) + SHORTEST_TEXT);
  const towers = model.vision.encoders.reduce((sum, { vit }) => sum + vitForward(vit), 0);
  const pictures = towers * (trains.includes('encoder') ? passes(true, recompute !== null) : 1);
  const text = passes(trains.includes('languageModel'), recompute !== null);
  const operations = (tokens: number): number => samples * (pictures + text * llamaForward(model.textConfig, tokens));
  return {
    tokens: { least: samples * least, most: samples * maxLength },
    operations: { least: operations(least), most: operations(maxLength) },
  };
}

/** The work of a recipe; null for kinds whose rows are of no known length. */
export function workOf(recipe: LoopRecipe): Work | null {
  const { steps, batchSize, accumulate = 1 } = recipe.loop;
  const samples = steps * batchSize * accumulate;
  if (recipe.kind === 'stage') return stageWork(shapeOf(recipe), recipe, samples);
  if (recipe.kind !== 'lm') return null;
  const { model, rowLength } = recipe.lm;
  const tokens = samples * rowLength;
  const operations = samples * passes(true, false) * llamaForward(model, rowLength);
  return { tokens: { least: tokens, most: tokens }, operations: { least: operations, most: operations } };
}
