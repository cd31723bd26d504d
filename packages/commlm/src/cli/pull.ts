/**
 * `commlm pull <hub id>`: a model from a hub into the cache that Python shares; also what downloads a model named elsewhere.
 */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { CommError } from '../config/errors.js';
import type { PullOptions, PullResult } from '../hub/pull.js';
import { interruptSignal } from './interrupt.js';
import { repeated, wholeNumber } from './options.js';
import { formatTable, note, print, printJson, styleOf } from './output.js';
import { photoModelCommands } from './photo-models.js';
import { Progress } from './progress.js';

interface PullCommandOptions {
  readonly revision?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly parallel: number;
  readonly verify?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const NOTES = `
Without --include: configs, tokenizer, chat template, model card and the weights once (safetensors; torch files only where
there are none). Patterns are those of Python's hub client: * also matches "/".
A stopped download goes on where it was. Sizes and hashes are checked before a file gets its name.

Environment: HF_HOME or HF_HUB_CACHE (where the cache is), HF_TOKEN (private and gated models), HF_ENDPOINT (another hub or
a mirror), HF_HUB_OFFLINE=1 (the cache alone), HF_HUB_DOWNLOAD_TIMEOUT (seconds of silence).

Models for photographs:
${photoModelCommands()
  .map((line) => `  ${line}`)
  .join('\n')}

Examples:
  commlm pull org/name
  commlm pull org/name@v1.0 --include "*.json" --dry-run
  commlm ask photo.jpg "What is this?" --model org/name`;

/** Adds `pull` to the program. */
export function register(program: Command): void {
  program
    .command('pull')
    .description('download a model into the shared Hugging Face cache')
    // Asked for below: what is missing is told with names that can be given.
    .usage('[options] <hub-id>')
    .argument('[hub-id]', 'org/name or org/name@revision')
    .option('--revision <name>', 'branch, tag or commit (default: main)')
    .option('--include <pattern>', 'only files that match; may be repeated', repeated)
    .option('--exclude <pattern>', 'no files that match; may be repeated', repeated)
    .option('--parallel <n>', 'files at the same time', wholeNumber(1, 64), 4)
    .option('--verify', 'hash files that are in the cache already')
    .option('--dry-run', 'list what would be downloaded')
    .option('--json', 'print one JSON document')
    .addHelpText('after', NOTES)
    .action(run);
}

async function run(id: string | undefined, { json, ...options }: PullCommandOptions): Promise<void> {
  if (id === undefined) {
    throw new CommError('No model is named.', {
      code: 'cli/usage',
      fix: `Name its hub id; for photographs: ${photoModelCommands().join(' or ')}.`,
      exitCode: 2,
    });
  }
  const started = performance.now();
  const result = await pullWithProgress(id, options);
  if (json) {
    printJson({ ...result, dryRun: options.dryRun === true, seconds: (performance.now() - started) / 1000 });
    return;
  }
  if (options.dryRun) await printPlan(result);
  else print(result.folder);
}

async function printPlan({ files, totalBytes }: PullResult): Promise<void> {
  const { formatSize } = await import('../hub/errors.js');
  const rows = files.map(({ path, size, status }) => [
    path,
    formatSize(size),
    status === 'cached' ? 'in the cache' : '',
  ]);
  print(formatTable([{ title: 'file' }, { title: 'size', align: 'right' }, { title: '' }], rows));
  print();
  print(`${files.length} files, ${formatSize(totalBytes)}`);
}

/** Downloads with a bar (or lines) on stderr. */
async function pullWithProgress(id: string, options: PullOptions): Promise<PullResult> {
  const [{ pullModel }, { formatSize }] = await Promise.all([import('../hub/pull.js'), import('../hub/errors.js')]);
  const style = styleOf(process.stderr);
  let progress: Progress | undefined;
  const say = (line: string): void => (progress === undefined ? note(line) : progress.note(line));
  let result: PullResult;
  try {
    result = await pullModel(id, {
      ...options,
      signal: interruptSignal(),
      onNote: (line) => say(style.yellow(line)),
      onFile: ({ path, size, status }) =>
        status !== 'cached' && say(`${style.green(status)}  ${path}  ${formatSize(size)}`),
      onProgress: (done, total) => {
        const [scale, unit] = total >= 1e9 ? [1e9, 'GB'] : total >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
        const round = (bytes: number): number => Number((bytes / scale).toFixed(2));
        if (progress === undefined && done === total) return; // nothing to wait for
        progress ??= new Progress({ label: 'downloading', total: round(total), unit, start: round(done) });
        progress.update(round(done));
      },
    });
  } catch (error) {
    progress?.note('');
    throw error;
  }
  progress?.finish();
  if (result.offline)
    note('HF_HUB_OFFLINE is set: this is the copy in the cache, and nothing was asked of the network.');
  else if (!options.dryRun) {
    const { files, totalBytes, downloadedBytes, commit } = result;
    const fresh = downloadedBytes === 0 ? 'nothing new' : `${formatSize(downloadedBytes)} downloaded`;
    note(style.dim(`${files.length} files, ${formatSize(totalBytes)}, ${fresh}, commit ${commit.slice(0, 8)}`));
  }
  return result;
}

/** Options of commands that name a model, or several. */
const MODEL_OPTIONS = ['model', 'encoder', 'visionTower', 'base', 'delta', 'lora', 'clip', 'dinov2', 'llm'];
/** Options whose command takes no model as its argument: what stands there is the folder to write. */
const IN_PLACE_OF_MODEL = ['delta', 'recipe'];

/** Text that a command was given for a model; the default of an option is no wish of the user. */
function namedModels(action: Command): string[] {
  const given = (name: string): boolean => action.getOptionValueSource(name) === 'cli';
  const inOptions = MODEL_OPTIONS.filter(given).flatMap((name) => action.getOptionValue(name) as unknown);
  const inArguments = IN_PLACE_OF_MODEL.some(given)
    ? []
    : action.registeredArguments.map((argument, i) => (argument.name() === 'model' ? action.args[i] : undefined));
  return [...inOptions, ...inArguments].filter((value): value is string => typeof value === 'string');
}

/** Downloads the models that a command names by hub id and that are not in the cache, before the command runs. */
export async function downloadNamedModels(action: Command): Promise<void> {
  for (const model of namedModels(action)) await ensureModel(model);
}

/**
 * Downloads a model that is named by its hub id and is not in the cache; does nothing for a path. A name whose first part
 * is a folder here is a path, so that a slip in a path is never asked of the network.
 */
export async function ensureModel(model: string): Promise<void> {
  if (!/^[^/\\.~]+\/[^/\\]+$/.test(model) || existsSync(model) || existsSync(model.split('/')[0] ?? '')) return;
  const [{ isHubId, parseHubId, formatHubId }, { findCachedModel }, { readHubSettings }] = await Promise.all([
    import('../hub/hub-id.js'),
    import('../hub/cache.js'),
    import('../hub/settings.js'),
  ]);
  if (!isHubId(model)) return;
  const id = parseHubId(model);
  const settings = readHubSettings();
  const found = findCachedModel(id, settings.cacheDir);
  if (found?.missing.length === 0) return;
  if (!settings.offline) note(`There is no folder ${model}; downloading ${formatHubId(id)} from ${settings.endpoint}.`);
  try {
    await pullWithProgress(model, { settings });
  } catch (error) {
    if (!(error instanceof CommError) || error.exitCode !== 1) throw error;
    const { code, message, fix } = error;
    throw new CommError(`There is no model folder ${model}; as a hub id: ${message}`, {
      code,
      cause: error,
      fix,
    });
  }
}

/** The folder that a path or hub id names, downloaded where it is missing; a path is given back as it is, there or not. */
export async function fetchFolder(model: string): Promise<string> {
  await ensureModel(model);
  if (existsSync(model)) return model;
  const [{ isHubId, parseHubId }, { findCachedModel }, { readHubSettings }] = await Promise.all([
    import('../hub/hub-id.js'),
    import('../hub/cache.js'),
    import('../hub/settings.js'),
  ]);
  if (!isHubId(model)) return model;
  return findCachedModel(parseHubId(model), readHubSettings().cacheDir)?.folder ?? model;
}
