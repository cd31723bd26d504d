/** How a folder wants its pictures: the processor's file, in the newer or the older place. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageConfig } from '../../config/model.js';
import { readFolderJson } from './hf-config.js';
import { processorConfig } from './processors.js';

/** Where the fields of a processor lie: newer versions write all processors of a model into one file. */
function pictureJson(folder: string): { json: Record<string, unknown>; source: string } | undefined {
  const [newer, older] = ['processor_config.json', 'preprocessor_config.json'];
  if (existsSync(join(folder, newer))) {
    const { image_processor: json } = readFolderJson(folder, newer);
    if (typeof json === 'object' && json !== null) {
      return { json: json as Record<string, unknown>, source: join(folder, newer) };
    }
  }
  if (!existsSync(join(folder, older))) return undefined;
  return { json: readFolderJson(folder, older), source: join(folder, older) };
}

/** The preparation of a folder whose model has that type; without a file, `usual`. Throws a CommError for what is not supported. */
export function readPictureConfig(folder: string, modelType: string, usual: ImageConfig): ImageConfig {
  const found = pictureJson(folder);
  return found === undefined ? usual : processorConfig(found.json, found.source, modelType);
}
