/** `commlm convert` as a function: which folders are meant, and what was written. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { FLOAT_FORMATS, type FloatFormat } from '../config/formats.js';
import { refuseInputAsOutput } from '../files/durable.js';
import { resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import { readFolderJson } from './files/hf-config.js';
import { type MergeOptions, mergeLora } from './lora.js';
import { isWholeModel } from './open-model.js';
import { type Converted, type ConvertOptions, convertFolder } from './write-converted.js';

/** What to convert, and how. */
export interface ConvertRequest extends Omit<ConvertOptions, 'resolve' | 'visionTowers'> {
  /** Folder or hub id. */
  readonly model: string;
  /** Folder to write; new or empty. */
  readonly out: string;
  /** Folders or hub ids of picture encoders that the model's own files lack. */
  readonly visionTower?: readonly string[] | undefined;
}

const REQUEST: Checks<ConvertRequest> = {
  model: anything,
  out: anything,
  dtype: anything,
  maxShardBytes: anything,
  onWeight: anything,
  base: anything,
  lora: anything,
  visionTower: anything,
};

/** What was written. */
export interface ConvertReport extends Converted {
  readonly out: string;
  /** Bytes of all files. */
  readonly bytes: number;
}

/** Writes a model of another layout as a folder of ours; throws CommError for what is no known model. */
export function convertModel(request: ConvertRequest): ConvertReport {
  checkOptions(request, REQUEST, { what: 'A conversion' });
  const { model, out, ...options } = request;
  const folder = resolveModelFolder(model);
  const places = resolveFolders(options);
  // Before the advice that a folder which is not empty could be removed.
  const { visionTowers = [], base, lora } = places;
  refuseInputAsOutput(
    out,
    [folder, ...visionTowers, base, lora].filter((path) => path !== undefined),
  );
  const json = readFolderJson(folder, 'config.json');
  const converted =
    places.lora !== undefined && !isWholeModel(json)
      ? { modelType: String(json['model_type']), ...mergeAdapter(folder, places.lora, out, floatsOnly(options)) }
      : convertFolder(folder, out, { ...options, ...places });
  const bytes = readdirSync(out).reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
  return { ...converted, out, bytes };
}

/** The same options, unless they ask for a format that only a whole model can have. */
export function floatsOnly<O extends { readonly dtype?: string | undefined }>(
  options: O,
): O & { readonly dtype?: FloatFormat | undefined } {
  const { dtype } = options;
  if (dtype === undefined || isFloatFormat(dtype)) return options as O & { readonly dtype?: FloatFormat | undefined };
  throw new CommError(`What is written here cannot be stored as ${dtype}.`, {
    code: 'weights/format',
    fix: 'Write it as bf16 first, and convert that folder with --dtype int8.',
    exitCode: 2,
  });
}

const isFloatFormat = (dtype: string): dtype is FloatFormat => (FLOAT_FORMATS as readonly string[]).includes(dtype);

/** A model of text alone keeps its layout; only the adapter goes into it. */
function mergeAdapter(
  folder: string,
  lora: string,
  out: string,
  { visionTower, base, ...options }: MergeOptions & Pick<ConvertRequest, 'visionTower' | 'base'>,
): Omit<Converted, 'modelType'> {
  if (visionTower !== undefined || base !== undefined) {
    throw new CommError(`${folder} is a model of text alone, which takes nothing from other folders.`, {
      code: 'weights/no-effect',
      fix: 'Leave --vision-tower and --base out.',
      exitCode: 2,
    });
  }
  return mergeLora(folder, lora, out, options);
}
