/**
 * Where things lie: this copy of the package (in the clone or installed), the home folder with what the set-up makes, and in
 * it the addon for this version, platform and libtorch. Reads a file or two and loads nothing native.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root folder of this copy of `@commlm/torch`. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A libtorch on this machine. */
export interface Libtorch {
  /** The folder that holds `include/` and `lib/`. */
  readonly path: string;
  readonly version: string;
  readonly cuda: boolean;
}

/** The root of the clone that this package is a workspace of, or undefined when it is installed. */
export function cloneRoot(): string | undefined {
  const packages = dirname(PACKAGE_ROOT.replace(/[\\/]$/, ''));
  const root = dirname(packages);
  return basename(packages) === 'packages' && existsSync(join(root, 'tools', 'setup.mjs')) ? root : undefined;
}

/** The command that does the set-up where this copy lies. */
export function setupCommand(): string {
  if (cloneRoot() !== undefined) return 'npm run setup';
  return isProductInstalled() ? 'npx commlm setup' : 'npx commlm-torch setup';
}

/** Whether the package `commlm` lies beside this one, or in the project of the working directory. */
function isProductInstalled(): boolean {
  if (existsSync(join(PACKAGE_ROOT, '..', '..', 'commlm', 'package.json'))) return true;
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules', 'commlm', 'package.json'))) return true;
    if (folder === dirname(folder)) return false;
  }
}

/** Version of this package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

/**
 * The folder for what the set-up fetches and compiles: `COMMLM_HOME`; in the clone its `.cache`; else `commlm` in the user's
 * cache folder (`XDG_CACHE_HOME`, `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`).
 */
export function homeFolder(): string {
  const { COMMLM_HOME, LOCALAPPDATA, XDG_CACHE_HOME } = process.env;
  if (COMMLM_HOME) return resolve(COMMLM_HOME);
  const clone = cloneRoot();
  if (clone !== undefined) return join(clone, '.cache');
  if (process.platform === 'win32') return join(LOCALAPPDATA || join(homedir(), 'AppData', 'Local'), 'commlm');
  if (XDG_CACHE_HOME) return join(XDG_CACHE_HOME, 'commlm');
  return join(homedir(), process.platform === 'darwin' ? 'Library/Caches' : '.cache', 'commlm');
}

/**
 * The folder in a home that is this version's own: which libtorch was chosen, the stamps of the steps, and a folder for the
 * addon of each libtorch. Node-API keeps its meaning from one Node to the next, so every Node shares them.
 */
export function versionFolder(home: string): string {
  if (cloneRoot() !== undefined) return home;
  return join(home, 'addons', `${packageVersion()}-${process.platform}-${process.arch}-napi9`);
}

/** The file that names the chosen libtorch. */
export function libtorchRecord(home: string): string {
  return join(versionFolder(home), 'libtorch.json');
}

/** The libtorch that the last set-up chose, or undefined. */
export function chosenLibtorch(home: string): Libtorch | undefined {
  return readJson<Libtorch>(libtorchRecord(home));
}

/** The folder of the addon for a libtorch; in the clone there is one. */
export function addonFolder(home: string, libtorchPath: string): string {
  if (cloneRoot() !== undefined) return join(PACKAGE_ROOT, 'build');
  const key = createHash('sha256').update(resolve(libtorchPath)).digest('hex').slice(0, 12);
  return join(versionFolder(home), `libtorch-${key}`);
}

/** The value of a JSON file, or undefined where there is none to read. */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

/** What lies beside the addon: what it was made from. */
export interface AddonRecord {
  readonly hash: string;
  readonly libtorch: Libtorch;
  /** The compiler, or the package with the prebuilt addon. */
  readonly compiler: string;
}

/** The addon to load, with its record; `file` is undefined before the set-up. */
export interface InstalledAddon {
  readonly file: string | undefined;
  readonly record: AddonRecord | undefined;
}

/** Finds the addon: the file that `COMMTORCH_ADDON` names, the clone's build, or the home's for the chosen libtorch. */
export function findAddon(): InstalledAddon {
  const given = process.env.COMMTORCH_ADDON;
  if (given) return { file: resolve(given), record: readJson(join(dirname(resolve(given)), 'commtorch.json')) };
  const home = homeFolder();
  const inClone = cloneRoot() !== undefined;
  const libtorch = !inClone && process.env.LIBTORCH ? process.env.LIBTORCH : chosenLibtorch(home)?.path;
  if (libtorch === undefined && !inClone) return { file: undefined, record: undefined };
  const folder = addonFolder(home, libtorch ?? '');
  const file = join(folder, 'commtorch.node');
  return {
    file: existsSync(file) ? file : undefined,
    record: readJson(join(folder, 'commtorch.json')),
  };
}

/** Why tensors cannot be made here, and what to do. */
export interface AddonProblem {
  readonly message: string;
  readonly fix: string;
}

/** What is missing before a tensor can be made, or undefined. Looks at files only: libtorch is not loaded. */
export function addonProblem({ file, record }: InstalledAddon = findAddon()): AddonProblem | undefined {
  const fix = `Run \`${setupCommand()}\`.`;
  if (file === undefined) {
    const wanted = process.env.LIBTORCH ? ' for the folder that LIBTORCH names' : '';
    return { message: `libtorch is not set up here yet${wanted}.`, fix };
  }
  if (record !== undefined && !existsSync(join(record.libtorch.path, 'lib'))) {
    return { message: `the libtorch that was set up is gone from ${record.libtorch.path}.`, fix };
  }
  return undefined;
}
