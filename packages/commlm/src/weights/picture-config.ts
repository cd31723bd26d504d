/** How a whole model wants its pictures: the processor's file of its folder, in the older or the newer place. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageConfig } from '../config/model.js';
import { parsePreprocessorConfig } from '../images/preprocess.js';
import { readFolderJson } from './hf-config.js';

/** The colour that LLaVA pads with: the mean of the normalisation as bytes, cut off. */
export const meanColor = (mean: ImageConfig['mean']): [number, number, number] => [
  Math.trunc(mean[0] * 255),
  Math.trunc(mean[1] * 255),
  Math.trunc(mean[2] * 255),
];

/** Fields of `preprocessor_config.json`, or of the part of `processor_config.json` that newer versions write; undefined without either. */
export function readPictureJson(folder: string): { json: Record<string, unknown>; source: string } | undefined {
  for (const name of ['preprocessor_config.json', 'processor_config.json']) {
    if (!existsSync(join(folder, name))) continue;
    const whole = readFolderJson(folder, name);
    const json = name === 'processor_config.json' ? whole['image_processor'] : whole;
    if (typeof json === 'object' && json !== null) {
      return { json: json as Record<string, unknown>, source: join(folder, name) };
    }
  }
  return undefined;
}

/** The preparation of a folder; without a file, `usual`, which is the encoder's own way. */
export function readPictureConfig(folder: string, usual: ImageConfig): ImageConfig {
  const found = readPictureJson(folder);
  if (found === undefined) return usual;
  const { mean, std } = usual;
  const config = parsePreprocessorConfig({ image_mean: mean, image_std: std, ...found.json }, found.source);
  // LLaVA's own processor may pad to a square first; what follows then only resizes it.
  return found.json['do_pad'] === true
    ? { ...config, fit: 'pad', shortSide: null, padColor: meanColor(config.mean) }
    : config;
}
