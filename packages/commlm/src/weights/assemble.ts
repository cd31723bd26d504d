/**
 * COMM of published parts: encoders and a language model as they were trained, a fresh fusion between them, and the
 * picture tokens in the tokenizer. The folder says in its config.json which parts are untrained.
 */
import { join } from 'node:path';
import { cat, type DType, manualSeed, type nn, noGrad, scope, type Tensor } from '@commlm/torch';
import type { AssemblyEncoder, AssemblyRecipe } from '../config/assembly.js';
import { anything, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { CommConfig, type EncoderConfig, fusedShape, type MergeConfig, parseConfig } from '../config/model.js';
import { WHITE } from '../config/presets.js';
import { writeDurably } from '../files/durable.js';
import { refuseFilled, writeFolderAsync } from '../files/whole-folder.js';
import { Comm } from '../models/comm.js';
import { buildFusion } from '../models/fusion.js';
import type { Llama } from '../models/llama.js';
import { Projector } from '../models/projector.js';
import { saveCommFolder } from './comm-folder.js';
import { addImageTokens, type ExtendedTokenizer } from './files/image-tokens.js';
import { type LoadedEncoder, loadHfEncoder, loadHfLlama } from './hf-folder.js';

/** Folders of the parts, in the order of the recipe's encoders. */
export interface AssemblyFolders {
  readonly encoders: readonly string[];
  readonly languageModel: string;
}

/** Options of `assembleComm`. */
export interface AssembleOptions {
  /** Called with one line for each thing that a user should know. */
  readonly onNote?: (line: string) => void;
}

/** What was put together. */
export interface Assembly {
  readonly config: CommConfig;
  /** Parts with fresh weights. */
  readonly untrained: readonly string[];
  /** Embedding rows that were set to the mean of the others. */
  readonly newRows: readonly number[];
}

/** Rows of an embedding that are summed at once. */
const ROWS_AT_ONCE = 4096;

/**
 * Writes a comm folder from the folders of its parts. Weights are mapped and written tensor by tensor. Throws a CommError
 * for parts that do not fit together, before anything is written, and for a folder that holds a model already.
 */
export async function assembleComm(
  recipe: AssemblyRecipe,
  folders: AssemblyFolders,
  out: string,
  options: AssembleOptions = {},
): Promise<Assembly> {
  checkOptions(options, { onNote: anything }, { what: 'The options of an assembly' });
  const { onNote = () => {} } = options;
  refuseFilled(out);
  const encoders = folders.encoders.map((folder) => loadHfEncoder(folder));
  const llama = loadHfLlama(folders.languageModel);
  try {
    const branches = recipe.encoders.map((part, i) => encoderConfig(part, encoders[i]!));
    // Checked with the tokens that fit any vocabulary first: a bad recipe leaves no half folder behind.
    toConfig(recipe, branches, llama, { imageTokens: { kind: 'bare', patchId: 0 }, numKnown: 0, vocabSize: 1 });
    const writeAll = async (part: string): Promise<Assembly> => {
      const tokens = await addImageTokens(folders.languageModel, part, llama.config.vocabSize);
      const config = toConfig(recipe, branches, llama, tokens);
      const newRows = newIds(tokens);
      for (const [name, part] of [
        ...recipe.encoders.map(({ name }, i) => [name, encoders[i]!.vit] as const),
        ['language model', llama] as const,
      ]) {
        const from = storedDtype(part);
        if (from !== recipe.dtype) onNote(`${name}: stored as ${from}, written as ${recipe.dtype}`);
      }
      if (newRows.length > 0) {
        onNote(`embedding rows ${newRows.join(', ')} (picture tokens) start at the mean of the other rows`);
      }
      const { untrained } = write(recipe, config, encoders, llama, tokens, part);
      writeDurably(join(part, 'README.md'), modelCard(recipe, untrained));
      return { config, untrained, newRows };
    };
    return await writeFolderAsync(out, writeAll, { replace: false });
  } finally {
    for (const { vit } of encoders) vit.dispose();
    llama.dispose();
  }
}

function storedDtype(part: nn.Module): DType {
  return [...part.stateDict().values()].find(({ dtype }) => dtype !== 'i64')!.dtype;
}

const newIds = ({ imageTokens, numKnown }: ExtendedTokenizer): number[] =>
  Object.values(imageTokens).filter((id): id is number => typeof id === 'number' && id >= numKnown);

/** An encoder as the recipe wants it: its own arithmetic and normalisation, the recipe's size, levels and merge. */
function encoderConfig(part: AssemblyEncoder, { type, vit, image }: LoadedEncoder): EncoderConfig {
  // The two of the paper in each other's place would fit without a word.
  const ofPaper = ['clip', 'dinov2'];
  if (type !== part.name && ofPaper.includes(type) && ofPaper.includes(part.name)) {
    throw new CommError(`${part.from} holds a ${type} encoder, where the recipe has its ${part.name}.`, {
      code: 'assemble/encoder',
      fix: `Name it with --${type}, or call that encoder "${type}" in the recipe.`,
      exitCode: 2,
    });
  }
  const imageSize = part.imageSize ?? vit.config.imageSize;
  const hasWidth = part.merge.kind === 'lln-layerscale' || part.merge.kind === 'conv-layerscale';
  return {
    type,
    vit: { ...vit.config, imageSize },
    image: { ...image, size: imageSize, fit: 'pad', shortSide: null, padColor: [...WHITE] },
    levels: part.levels,
    applyFinalNorm: false,
    merge: { ...part.merge, ...(hasWidth ? { width: vit.config.hiddenSize } : {}) } as MergeConfig,
    align: part.align,
  };
}

function toConfig(
  recipe: AssemblyRecipe,
  encoders: readonly EncoderConfig[],
  llama: Llama,
  { imageTokens, vocabSize }: ExtendedTokenizer,
): CommConfig {
  const config: CommConfig = {
    modelType: 'comm',
    vision: { encoders: [...encoders], fuse: recipe.fuse },
    projector: recipe.projector,
    imageTokens,
    // Some models have more rows than tokens (Qwen); the picture tokens take those first.
    textConfig: { ...llama.config, vocabSize: Math.max(llama.config.vocabSize, vocabSize) },
  };
  return parseConfig(CommConfig, config, `The assembly of ${recipe.encoders.map(({ name }) => name).join(' and ')}`);
}

function write(
  recipe: AssemblyRecipe,
  config: CommConfig,
  encoders: readonly LoadedEncoder[],
  llama: Llama,
  tokens: ExtendedTokenizer,
  out: string,
): { untrained: string[] } {
  return scope(() =>
    noGrad(() => {
      manualSeed(recipe.seed);
      const { width } = fusedShape(config.vision);
      const fresh = new Map<string, nn.Module>();
      for (const [i, encoder] of config.vision.encoders.entries()) {
        const { merge, align } = buildFusion(encoder);
        fresh.set(`vision.encoders.${i}.merge`, merge).set(`vision.encoders.${i}.align`, align);
      }
      fresh.set('projector', new Projector(width, config.textConfig.hiddenSize, config.projector));
      const weights = new Map<string, Tensor>();
      const add = (prefix: string, part: nn.Module): void => {
        for (const [key, tensor] of part.stateDict()) weights.set(`${prefix}.${key}`, tensor);
      };
      for (const [i, { vit }] of encoders.entries()) add(`vision.encoders.${i}.vit`, vit);
      for (const [prefix, part] of fresh) add(prefix, part);
      add('language_model', llama);
      for (const key of [
        'language_model.model.embed_tokens.weight',
        'language_model.lm_head.weight',
        'language_model.lm_head.bias',
      ]) {
        const rows = weights.get(key);
        if (rows !== undefined) weights.set(key, withMeanRows(rows, config.textConfig.vocabSize, tokens));
      }
      // A part without weights of its own (no alignment, the mean of levels) has nothing to train.
      const untrained = [...fresh].filter(([, part]) => part.stateDict().size > 0).map(([name]) => name);
      const model = Comm.outline({ ...config, untrained });
      try {
        model.loadStateDict(weights, { assign: true });
        saveCommFolder(out, model, { dtype: recipe.dtype });
      } finally {
        for (const part of fresh.values()) part.dispose();
      }
      return { untrained };
    }),
  );
}

/** A table [V, E] with at least `numRows` rows, where those of new tokens are the mean over the known ones. */
function withMeanRows(table_VE: Tensor, numRows: number, tokens: ExtendedTokenizer): Tensor {
  const ids = newIds(tokens);
  if (ids.length === 0) return table_VE;
  const numKnown = Math.min(tokens.numKnown, table_VE.shape[0]!);
  const mean_E = scope(() => {
    let sum: Tensor | undefined;
    for (let at = 0; at < numKnown; at += ROWS_AT_ONCE) {
      const part = table_VE
        .narrow(0, at, Math.min(ROWS_AT_ONCE, numKnown - at))
        .to('f32')
        .sum(0);
      sum = sum === undefined ? part : sum.add_(part);
    }
    return sum!.div(numKnown).to(table_VE.dtype);
  });
  const kept = table_VE.narrow(0, 0, numKnown);
  const rest = Array.from({ length: numRows - numKnown }, (_, i) => {
    const id = numKnown + i;
    const stored = id < table_VE.shape[0]! && !ids.includes(id);
    return stored ? table_VE.narrow(0, id, 1) : mean_E.unsqueeze(0);
  });
  return cat([kept, ...rest]);
}

function modelCard({ about, encoders, languageModel, seed }: AssemblyRecipe, untrained: readonly string[]): string {
  const parts = [...encoders.map(({ name, from }) => `- ${name}: ${from}`), `- language model: ${languageModel}`];
  return [
    '# COMM, assembled and not trained',
    '',
    `${about}.`,
    '',
    'Made of',
    '',
    ...parts,
    '',
    `These parts have fresh weights (seed ${seed}) and have to be trained before answers mean anything:`,
    '',
    ...untrained.map((name) => `- \`${name}\``),
    '',
    'The rows of the picture tokens in the embedding start at the mean of the other rows.',
    '',
  ].join('\n');
}
