// Which folder a model argument means: the embedded model by default, else a folder that holds a config.json.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';

/** Name of the embedded model. */
const EMBEDDED = 'comm-tiny';

/** The folder of the embedded model: `models/comm-tiny` of the repository or of the package. */
export function embeddedModelFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'models', EMBEDDED);
    if (existsSync(join(candidate, 'config.json'))) return candidate;
    if (folder === dirname(folder)) break;
  }
  throw new CommError(`The embedded model models/${EMBEDDED} is not there.`, {
    code: 'model/no-embedded',
    fix: 'Get it back with "git checkout models", or name a model folder with --model.',
  });
}

/** A model argument as a folder; throws CommError for what is none, with the nearest folder name. */
export function resolveModelFolder(model?: string): string {
  if (model === undefined) return embeddedModelFolder();
  const found = statSync(model, { throwIfNoEntry: false });
  if (found?.isDirectory() && existsSync(join(model, 'config.json'))) return resolve(model);
  if (found?.isDirectory()) {
    throw new CommError(`The folder ${model} is no model: it has no config.json.`, {
      code: 'model/no-config',
      fix: 'A model folder has config.json, model.safetensors and tokenizer.json.',
    });
  }
  if (found) {
    throw new CommError(`${model} is a file, but a model is a folder.`, {
      code: 'model/not-a-folder',
      fix: 'Name the folder that holds config.json.',
    });
  }
  if (model === EMBEDDED) return embeddedModelFolder();
  const parent = dirname(resolve(model));
  const beside = existsSync(parent)
    ? readdirSync(parent).filter((name) => existsSync(join(parent, name, 'config.json')))
    : [];
  const guess = nearestName(basename(model), beside);
  throw new CommError(`There is no model folder ${model}.`, {
    code: 'model/not-found',
    fix: guess === undefined ? 'Name a folder in Hugging Face layout.' : `Did you mean ${join(dirname(model), guess)}?`,
  });
}
