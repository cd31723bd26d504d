// `commlm convert` as a function: which folders are meant, and what was written.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Converted, type ConvertOptions, convertFolder, refuseFilled } from '../weights/convert.js';
import { readFolderJson } from '../weights/hf-config.js';
import { type MergeOptions, mergeLora } from '../weights/lora.js';
import { isWholeModel } from '../weights/open-model.js';
import { resolveFolders, resolveModelFolder } from './model-folder.js';

/** What to convert, and how. */
export interface ConvertRequest extends Omit<ConvertOptions, 'resolve' | 'visionTowers'> {
  /** Folder or hub id. */
  readonly model: string;
  /** Folder to write; new or empty. */
  readonly out: string;
  /** Folders or hub ids of picture encoders that the model's own files lack. */
  readonly visionTower?: readonly string[];
}

/** What was written. */
export interface ConvertReport extends Converted {
  readonly out: string;
  /** Bytes of all files. */
  readonly bytes: number;
}

/** Writes a model of another layout as a folder of ours; throws CommError for what is no known model. */
export function convertModel({ model, out, ...options }: ConvertRequest): ConvertReport {
  const folder = resolveModelFolder(model);
  const places = resolveFolders(options);
  const json = readFolderJson(folder, 'config.json');
  const converted =
    places.lora !== undefined && !isWholeModel(json)
      ? { modelType: String(json['model_type']), ...mergeAdapter(folder, places.lora, out, options) }
      : convertFolder(folder, out, { ...options, ...places });
  const bytes = readdirSync(out).reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
  return { ...converted, out, bytes };
}

/** A model of text alone keeps its layout; only the adapter goes into it. */
function mergeAdapter(folder: string, lora: string, out: string, options: MergeOptions): Omit<Converted, 'modelType'> {
  refuseFilled(out);
  return mergeLora(folder, lora, out, options);
}
