/** Which model a result is of: the hashes of every file that decides an answer. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LoadOptions } from '../generate/load-options.js';
import { modelName, resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import { describeModel } from '../weights/open-model.js';
import { hashFile } from './benchmarks/data-folder.js';
import { promptsFor } from './prompts.js';
import type { EvaluatedModel } from './results.js';

/** Weights, configurations, tokenizers and chat templates. */
const DECIDES = /\.(safetensors|bin|pt|pth|json|model|jinja|txt)$/;

async function hashFolder(folder: string, prefix: string, files: Record<string, string>): Promise<void> {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && DECIDES.test(entry.name))
    .map((entry) => entry.name)
    .sort();
  for (const name of names) files[`${prefix}${name}`] = await hashFile(join(folder, name));
}

/** Name and hashes of the model that these options load, and the name of the prompts that fit it. */
export async function factsOfModel(
  model: string | undefined,
  options: Pick<LoadOptions, 'dtype' | 'device' | 'visionTower' | 'base' | 'lora'>,
): Promise<{ readonly model: EvaluatedModel; readonly promptFamily: string }> {
  const folder = resolveModelFolder(model);
  const files: Record<string, string> = {};
  await hashFolder(folder, '', files);
  const folders = resolveFolders(options);
  const { visionTowers = [], base, lora } = folders;
  for (const [i, tower] of visionTowers.entries()) await hashFolder(tower, `vision-tower-${i + 1}/`, files);
  if (base !== undefined) await hashFolder(base, 'base/', files);
  if (lora !== undefined) await hashFolder(lora, 'lora/', files);
  const { config } = describeModel(folder, folders);
  return {
    promptFamily: promptsFor(config).name,
    model: {
      kind: 'folder',
      name: modelName(folder),
      files,
      dtype: options.dtype ?? 'auto',
      device: String(options.device ?? 'cpu'),
    },
  };
}
