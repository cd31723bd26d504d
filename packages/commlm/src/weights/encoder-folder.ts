/** A folder that holds one pre-trained picture encoder: `config.json` (an EncoderConfig) and `model.safetensors`. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { io, type Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { EncoderConfig, fromJson, toJson } from '../config/model.js';
import { writeJson } from '../files/durable.js';
import { readFolderJson } from './files/hf-config.js';

const MODEL_TYPE = 'comm_encoder';

/** Write an encoder, creating the folder. */
export function saveEncoder(folder: string, config: EncoderConfig, weights: ReadonlyMap<string, Tensor>): void {
  mkdirSync(folder, { recursive: true });
  const json = { model_type: MODEL_TYPE, ...(toJson(config) as object) };
  io.writeSafetensors(join(folder, 'model.safetensors'), weights, { format: 'pt' });
  writeJson(join(folder, 'config.json'), json);
}

/** Whether a folder with a config.json is one that `saveEncoder` wrote. */
export const isOwnEncoder = (folder: string): boolean =>
  readFolderJson(folder, 'config.json')['model_type'] === MODEL_TYPE;

/** Read what `saveEncoder` wrote; the weights are mapped, not copied. */
export function loadEncoder(folder: string): { config: EncoderConfig; weights: Map<string, Tensor> } {
  const file = join(folder, 'config.json');
  if (!existsSync(file)) {
    throw new CommError(`There is no encoder in ${folder} (config.json is missing).`, {
      code: 'weights/no-encoder',
      fix: 'Train it first, or name the folder of a finished encoder run.',
    });
  }
  const { model_type: type, ...json } = readFolderJson(folder, 'config.json');
  if (type !== MODEL_TYPE) {
    throw new CommError(`${file} describes a "${String(type ?? 'nameless')}" model, not an encoder of ours.`, {
      code: 'weights/no-encoder',
      fix: 'Name a folder written by an encoder recipe.',
    });
  }
  return {
    config: fromJson(EncoderConfig, json, file),
    weights: io.readSafetensors(join(folder, 'model.safetensors')),
  };
}
