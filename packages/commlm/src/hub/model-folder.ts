/**
 * Which folder a model argument means: the embedded model by default, a folder that holds a config.json, or a hub id in the
 * cache. Nothing here asks the network.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { CommError } from '../config/errors.js';
import { nearestName } from '../config/json.js';
import { findCachedModel } from './cache.js';
import { isHubId, parseHubId } from './hub-id.js';
import { readHubSettings } from './settings.js';

/** Files that make a folder a model; encoders of open_clip have the second alone. */
const CONFIG_NAMES = ['config.json', 'open_clip_config.json'];

/** Name of the embedded model. */
const EMBEDDED = 'comm-tiny';

/** The folder of the embedded model: the package `@commlm/tiny`, which is `models/comm-tiny` in the clone. */
export function embeddedModelFolder(): string {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('@commlm/tiny/package.json'));
    if (existsSync(join(folder, 'config.json'))) return folder;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
  }
  throw new CommError('The embedded model, the package @commlm/tiny, is not there.', {
    code: 'model/no-embedded',
    fix: 'Install it (npm install @commlm/tiny; in the clone: git checkout models), or name a model folder with --model.',
  });
}

/** What a model is called where its folder is all that is known: the embedded one has its name wherever it is installed. */
export function modelName(folder: string): string {
  return basename(folder) === 'tiny' && basename(dirname(folder)) === '@commlm' ? EMBEDDED : basename(folder);
}

/** A model argument (folder, or hub id in the cache) as a folder; throws CommError for what is none, with the nearest name. */
export function resolveModelFolder(model?: string): string {
  if (model === undefined) return embeddedModelFolder();
  const found = statSync(model, { throwIfNoEntry: false });
  if (found?.isDirectory() && CONFIG_NAMES.some((name) => existsSync(join(model, name)))) return resolve(model);
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
  const cached = cachedModelFolder(model);
  if (cached !== undefined) return cached;
  const parent = dirname(resolve(model));
  const beside = existsSync(parent)
    ? readdirSync(parent).filter((name) => existsSync(join(parent, name, 'config.json')))
    : [];
  const guess = nearestName(basename(model), beside);
  throw new CommError(`There is no model folder ${model}.`, {
    code: 'model/not-found',
    fix:
      basename(model) === EMBEDDED
        ? `The embedded model is had without a name, or as "${EMBEDDED}" alone.`
        : guess !== undefined
          ? `Did you mean ${join(dirname(model), guess)}?`
          : isHubId(model)
            ? `As a hub id it is not in the cache yet: commlm pull ${model}`
            : 'Name a folder in Hugging Face layout, or a hub id such as org/name.',
  });
}

/** Folders beside a model's own. */
export interface ModelFolders {
  readonly visionTowers: string[] | undefined;
  readonly base: string | undefined;
  readonly lora: string | undefined;
  readonly resolve: (name: string) => string | undefined;
}

/** Finds folders beside a model's own, by path or hub id, and a look-up for those that a config.json names. */
export function resolveFolders({
  visionTower,
  base,
  lora,
}: {
  readonly visionTower?: readonly string[] | undefined;
  readonly base?: string | undefined;
  readonly lora?: string | undefined;
}): ModelFolders {
  return {
    visionTowers: visionTower?.map((name) => resolveModelFolder(name)),
    base: base === undefined ? undefined : resolveModelFolder(base),
    lora: lora === undefined ? undefined : resolveAdapterFolder(lora),
    resolve: (name) => {
      if (existsSync(join(name, 'config.json'))) return resolve(name);
      return cachedModelFolder(name);
    },
  };
}

/** A LoRA adapter (folder, or hub id in the cache) as a folder; throws CommError for what is none. */
export function resolveAdapterFolder(adapter: string): string {
  const folder = existsSync(adapter) ? adapter : cachedModelFolder(adapter);
  if (folder !== undefined && existsSync(join(folder, 'adapter_config.json'))) return resolve(folder);
  throw new CommError(
    folder === undefined ? `There is no adapter folder ${adapter}.` : `${adapter} has no adapter_config.json.`,
    {
      code: 'model/no-adapter',
      fix:
        folder === undefined && isHubId(adapter)
          ? `As a hub id it is not in the cache yet: commlm pull ${adapter}`
          : 'Name a folder with adapter_config.json and adapter_model.safetensors, as the peft library writes it.',
    },
  );
}

/** The snapshot of a hub id in the cache; undefined for what is none or was never downloaded. */
function cachedModelFolder(model: string): string | undefined {
  if (!isHubId(model)) return undefined;
  const found = findCachedModel(parseHubId(model), readHubSettings().cacheDir);
  if (found === undefined) return undefined;
  if (found.missing.length === 0) return found.folder;
  const missing = found.missing.slice(0, 3).join(', ');
  throw new CommError(`The copy of ${model} in the cache is not whole: ${missing} is missing.`, {
    code: 'model/incomplete',
    fix: `Complete it with: commlm pull ${model}`,
  });
}
