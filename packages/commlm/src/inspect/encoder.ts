/** What `inspect` says of a folder that holds a picture encoder alone: transformers', timm's or open_clip's. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { planEncoder } from '../weights/encoder-reader.js';
import { readFolderJson } from '../weights/files/hf-config.js';
import type { TensorSource } from '../weights/key-rules.js';

/** An encoder in words. */
export interface EncoderReport {
  readonly modelType: string;
  readonly summary: string;
  /** Prefixes of our names, with what stands behind them. */
  readonly parts: [prefix: string, description: string][];
  /** The stored tensors, without a prefix that the layout puts in front of the tower's. */
  readonly source: TensorSource;
  /** Our name of each stored tensor that is read. */
  readonly names: ReadonlyMap<string, string>;
  /** Stored tensors that loading passes over, such as a text tower or a classifier. */
  readonly ignored: string[];
}

/** Describes it; throws CommError for a layout or a size that is not known. No weights are read. */
export function describeEncoder(folder: string, files: TensorSource): EncoderReport {
  const { type, vit, image, source, rules, leftovers } = planEncoder(folder, files);
  const names = new Map(rules().flatMap(({ ours, theirs }) => theirs.map((key) => [key, ours] as const)));
  const special = [
    vit.clsToken ? 'CLS' : '',
    vit.numRegisters > 0 ? `${vit.numRegisters} ${vit.numRegisters === 1 ? 'register' : 'registers'}` : '',
  ];
  const shown = special.filter((word) => word !== '');
  return {
    modelType: layoutName(folder),
    summary: [
      `picture encoder (${type})`,
      `levels 0 to ${vit.numLayers}`,
      `${image.size} px, ${Math.floor(image.size / vit.patchSize) ** 2} patches`,
      shown.length === 0 ? 'no special tokens' : shown.join(' and '),
    ].join(', '),
    parts: [
      ['patch_embed', `patches of ${vit.patchSize} px`],
      ['blocks', `${vit.numLayers} blocks of ${vit.hiddenSize}, ${vit.numHeads} heads, MLP of ${vit.intermediateSize}`],
    ],
    source,
    names,
    ignored: source.keys.filter((key) => !names.has(key) && leftovers(key) !== undefined),
  };
}

/** `model_type` of transformers, `architecture` of timm, or open_clip. */
function layoutName(folder: string): string {
  const path = join(folder, 'config.json');
  if (!existsSync(path)) return 'open_clip';
  const { model_type: type, architecture } = readFolderJson(folder, 'config.json');
  return String(type ?? (architecture === undefined ? 'open_clip' : `timm ${String(architecture)}`));
}
