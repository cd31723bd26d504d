/**
 * What `inspect` says of a folder that holds a language model alone, from its config and the headers of its weight files.
 */
import { join } from 'node:path';
import type { LlamaConfig } from '../config/model.js';
import { checkedHfLanguageModel } from '../weights/layouts/hf-language.js';
import type { WeightSource } from '../weights/whole-model.js';

/** A language model in words. */
export interface LanguageReport {
  readonly summary: string;
  readonly maxPositions: number;
  /** Key prefixes of its parts, with what stands behind them. */
  readonly parts: [prefix: string, description: string][];
}

/** Describes it; throws CommError when config.json asks for what is not known, or the weights do not fit it. */
export function describeLanguageModel(
  json: Record<string, unknown>,
  folder: string,
  files: WeightSource,
): LanguageReport {
  const { type, config } = checkedHfLanguageModel(json, join(folder, 'config.json'), files);
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim, vocabSize, maxPositions } = config;
  return {
    summary: [`language model (${type})`, ...traits(config)].join(', '),
    maxPositions,
    parts: [
      ['model.embed_tokens', `${vocabSize} tokens of ${hiddenSize}`],
      [
        'model.layers',
        `${numLayers} blocks of ${hiddenSize}, ${numHeads} heads of ${headDim} (${numKvHeads} for keys), MLP of ${config.intermediateSize}`,
      ],
      ['lm_head', `${vocabSize} logits`],
    ],
  };
}

/** What sets it apart from a plain Llama. */
function traits({ ropeScaling, slidingWindow, numLayers, ...config }: LlamaConfig): string[] {
  const windowed = slidingWindow?.layers === 'all' ? numLayers : (slidingWindow?.layers.length ?? 0);
  return [
    config.tieWordEmbeddings ? 'head tied to the embeddings' : '',
    ropeScaling.kind === 'none' ? '' : `positions stretched by ${ropeScaling.kind} x ${ropeScaling.factor}`,
    slidingWindow === undefined ? '' : `window of ${slidingWindow.size} in ${windowed} of ${numLayers} blocks`,
  ].filter((trait) => trait !== '');
}
