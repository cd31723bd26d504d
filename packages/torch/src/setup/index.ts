/**
 * The set-up of this package (`@commlm/torch/setup`): finds or fetches libtorch, makes the addon, and tries it. Nothing of
 * it runs while npm installs. What it makes lies in the home folder (see place.ts), outside of `node_modules`.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { addonStamp, libtorchNeeds, makeAddon, prebuiltFor, trialStamp, tryAddon } from './addon.js';
import { chooseLibtorch, describeFetch, findLibtorch, libtorchStamp, wantsCuda } from './libtorch.js';
import { addonTools, type Step, type StepOutcome, stepTools } from './native-tools.js';
import { addonFolder, chosenLibtorch, homeFolder, type Libtorch, versionFolder } from './place.js';
import { interrupted, SetupError } from './programs.js';
import { TORCH_VERSION } from './wheels.js';

export { type AddonState, addonState } from './addon.js';
export type { Step, StepOutcome } from './native-tools.js';
export {
  type AddonProblem,
  type AddonRecord,
  addonProblem,
  cloneRoot,
  findAddon,
  homeFolder,
  type InstalledAddon,
  type Libtorch,
  setupCommand,
} from './place.js';
export { SetupError } from './programs.js';
export { isVersionWithin, SUPPORTED_MINORS } from './wheels.js';

/** Settings of {@link setUp}. */
export interface SetupOptions {
  /** Where to put what is fetched and made; {@link homeFolder} by default. */
  readonly home?: string | undefined;
  /** Folder of the libtorch to use; by default what the variable LIBTORCH names, else the search's choice. */
  readonly libtorch?: string | undefined;
  /** Hears each line of progress. */
  readonly log?: ((line: string) => void) | undefined;
  /** Ends the running step; what is done stays, and the next call goes on from there. */
  readonly signal?: AbortSignal | undefined;
  /** Only tell what would be fetched and made. */
  readonly dryRun?: boolean | undefined;
}

/** What the set-up did, or would do. */
export interface SetupReport {
  readonly home: string;
  /** The libtorch in use, or null where it would have to be fetched. */
  readonly libtorch: Libtorch | null;
  /** The addon's file, or null where it would have to be made. */
  readonly addon: string | null;
  readonly steps: readonly StepOutcome[];
  /** With `dryRun`: what would be fetched and how large it is, or null. */
  readonly fetch?: string | null;
  /** With `dryRun`: how the addon would be made, or null. */
  readonly make?: string | null;
}

/** The folder to use in place of what the search would find: the option, else what the variable LIBTORCH names. */
const namedLibtorch = (option: string | undefined): string | undefined => option ?? (process.env.LIBTORCH || undefined);

/** The steps that set libtorch up in a home. @internal */
export function setupSteps({
  home,
  libtorch,
}: {
  readonly home: string;
  readonly libtorch?: string | undefined;
}): Step[] {
  const named = namedLibtorch(libtorch);
  return [
    {
      name: 'libtorch',
      stamp: () => libtorchStamp(home, named),
      run: async (context) => {
        const needs = await libtorchNeeds();
        return await chooseLibtorch({ home, libtorch: named, ...needs, report: context.report }, context);
      },
    },
    { name: 'addon', stamp: () => addonStamp(home), run: (context) => makeAddon(home, context) },
    { name: 'self-test', stamp: () => trialStamp(home), run: (context) => tryAddon(home, context) },
  ];
}

/**
 * Sets libtorch up: finds or fetches it (its size is said first), makes the addon, tries it. Steps that are up to date are
 * skipped. @throws SetupError or another error with a `fix`, exit code 130 in its `exitCode` when it was interrupted.
 */
export async function setUp(options: SetupOptions = {}): Promise<SetupReport> {
  const { home = homeFolder(), libtorch, log = () => {}, signal, dryRun = false } = options;
  if (signal?.aborted) throw interrupted();
  if (dryRun) return await outline(home, libtorch, log);
  const { runSteps } = await stepTools();
  const folder = versionFolder(home);
  makeHome(home);
  const steps = await runSteps({
    steps: setupSteps({ home, libtorch }),
    stampsFile: join(folder, 'setup.json'),
    lockFile: join(home, 'setup.lock'),
    log,
    signal,
  }).catch((error: NodeJS.ErrnoException) => {
    throw isForbidden(error) ? noPermission(error.path ?? home) : error;
  });
  const chosen = chosenLibtorch(home)!;
  return { home, libtorch: chosen, addon: join(addonFolder(home, chosen.path), 'commtorch.node'), steps };
}

const isForbidden = ({ code = '' }: NodeJS.ErrnoException): boolean => ['EROFS', 'EACCES', 'EPERM'].includes(code);

const noPermission = (path: string): SetupError =>
  new SetupError(
    `There is no permission to write ${path}.`,
    'Name a folder that may be written in the variable COMMLM_HOME.',
  );

/** Makes the home level by level: where none can be made (/proc), the recursive mkdir of Node 20 never ends. */
function makeHome(home: string): void {
  const missing: string[] = [];
  for (let folder = resolve(home); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) {
    try {
      mkdirSync(folder);
    } catch (thrown) {
      const error = thrown as NodeJS.ErrnoException;
      if (error.code === 'EEXIST') continue; // another set-up was faster
      if (isForbidden(error)) throw noPermission(folder);
      throw new SetupError(
        `The folder ${folder} cannot be made (${error.code}).`,
        'Name a folder that may be written in the variable COMMLM_HOME.',
      );
    }
  }
}

/** What the set-up would do, without doing it. */
async function outline(home: string, option: string | undefined, log: (line: string) => void): Promise<SetupReport> {
  const needs = await libtorchNeeds();
  const libtorch = await findLibtorch({ home, libtorch: namedLibtorch(option), ...needs, report: log });
  const file = libtorch === undefined ? undefined : join(addonFolder(home, libtorch.path), 'commtorch.node');
  const present = file !== undefined && existsSync(file);
  return {
    home,
    libtorch: libtorch ?? null,
    addon: present ? file : null,
    steps: [],
    fetch: libtorch === undefined ? await describeFetch({ home, headers: needs.headers }, log) : null,
    make: present ? null : await describeMake(libtorch),
  };
}

/** How the addon would be made, for people. */
async function describeMake(libtorch: Libtorch | undefined): Promise<string> {
  const fetched = { path: '', version: TORCH_VERSION, cuda: wantsCuda() };
  if ((await prebuiltFor(libtorch ?? fetched)) !== undefined) return 'copied from the prebuilt package';
  return `compiled with ${(await addonTools()).findCompiler().version}: about a minute`;
}

/** The report as lines for people. */
export function describeReport({ libtorch, addon, home, fetch, make }: SetupReport): string[] {
  return [
    libtorch === null
      ? `libtorch  would be fetched: ${fetch}`
      : `libtorch  ${libtorch.version} ${libtorch.cuda ? 'with CUDA' : 'for the CPU'}, ${libtorch.path}`,
    addon === null ? `addon     would be ${make}` : `addon     ${addon}`,
    `home      ${home}`,
  ];
}
