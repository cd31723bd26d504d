/**
 * Finding a libtorch: the folder that LIBTORCH names, the one chosen before, the one of an installed Python torch, one that
 * was fetched into the home; else it is fetched.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { addonTools, type BuildTools, type StepContext, stepTools } from './native-tools.js';
import { describePipFetch, fetchByPip } from './pip.js';
import { chosenLibtorch, type Libtorch, libtorchRecord } from './place.js';
import { findPython, hasNvidiaGpu, pythonTorch, SetupError } from './programs.js';
import { isVersionWithin, SUPPORTED_MINORS, TORCH_VERSION } from './wheels.js';

/** Whether an addon can be had for a libtorch; a message says why not. */
export type Fits = (libtorch: Libtorch) => string | undefined;

/** A libtorch with where it was found, for people. */
export interface FoundLibtorch extends Libtorch {
  readonly origin: string;
}

/** Below a home: where a fetched libtorch lies. */
const fetchedFolder = (home: string): string => join(home, 'libtorch', TORCH_VERSION);
const torchFolder = (home: string): string => join(fetchedFolder(home), 'torch');

/** Throws when a libtorch is outside the supported versions. */
function checkVersion(libtorch: Libtorch, origin: string): void {
  if (!isVersionWithin(libtorch.version)) {
    const [oldest, newest] = SUPPORTED_MINORS;
    throw new SetupError(
      `${origin} is libtorch ${libtorch.version}; 2.${oldest} to 2.${newest} are supported.`,
      'Unset LIBTORCH to let the set-up fetch one, or name another folder.',
    );
  }
}

/** Looks at a folder; throws when it is no libtorch that can be used. */
function inspect(tools: BuildTools, path: string, origin: string, fits: Fits): FoundLibtorch {
  const libtorch = tools.describeLibtorch(path);
  checkVersion(libtorch, origin);
  const why = fits(libtorch);
  if (why !== undefined)
    throw new SetupError(
      `${origin} is libtorch ${libtorch.version}: ${why}`,
      'Name another folder, or unset LIBTORCH to let the set-up fetch one.',
    );
  return { path: libtorch.path, version: libtorch.version, cuda: libtorch.cuda, origin };
}

/** What the search is given. */
export interface SearchSettings {
  readonly home: string;
  /** A folder to use in place of what the search would find. */
  readonly libtorch: string | undefined;
  readonly fits: Fits;
  /** Whether the addon will be compiled, for which headers are needed. */
  readonly headers: boolean;
  readonly report: (text: string) => void;
}

/** The libtorch at hand, or undefined when one must be fetched. @throws when the folder that was named is none. */
export async function findLibtorch({
  home,
  libtorch,
  fits,
  report,
}: SearchSettings): Promise<FoundLibtorch | undefined> {
  const tools = await addonTools();
  if (libtorch !== undefined) return inspect(tools, libtorch, 'named by LIBTORCH', fits);
  const attempt = (path: string, origin: string): FoundLibtorch | undefined => {
    try {
      return inspect(tools, path, origin, fits);
    } catch (error) {
      report(`not used: ${(error as Error).message}`);
      return undefined;
    }
  };
  const recorded = chosenLibtorch(home)?.path;
  const known = recorded !== undefined && existsSync(recorded) && attempt(recorded, 'chosen before');
  if (known) return known;
  const python = findPython();
  const installed = python && pythonTorch(python, existsSync(home) ? home : process.cwd());
  const present = installed && attempt(installed, `of ${python.command}`);
  if (present) return present;
  const own = torchFolder(home);
  return existsSync(own) ? attempt(own, 'fetched before') : undefined;
}

/** A fetch that is asked for: where to, and whether something will be compiled against it. */
export interface FetchRequest {
  readonly home: string;
  readonly headers: boolean;
}

/** Reading wheels over HTTP, loaded when something is to be fetched: who asks for the home folder alone does not pay for it. */
const wheelTools = () => import('./fetch-wheel.js');

/** How libtorch would be fetched, for people: read from the wheel directly, or by pip; says how large it is. */
export async function describeFetch({ home, headers }: FetchRequest, failed: (text: string) => void): Promise<string> {
  const { describePlan, planFetch } = await wheelTools();
  const plan = wantsCuda() ? undefined : await planFetch({ home, headers, failed });
  return plan === undefined ? describePipFetch() : describePlan(plan);
}

/** Fetches libtorch into the home: of a known wheel what is needed, or with pip. */
async function fetchLibtorch(
  { home, headers }: FetchRequest,
  fits: Fits,
  context: StepContext,
): Promise<FoundLibtorch> {
  const { report, signal } = context;
  mkdirSync(home, { recursive: true });
  const free = statfsSync(home);
  if (free.bavail * free.bsize < 2e9) {
    throw new SetupError(`Less than 2 GB are free on the disk of ${home}.`, 'Free some space, or set LIBTORCH.');
  }
  const target = fetchedFolder(home);
  const python = findPython();
  const failures: string[] = [];
  // Only pip puts a CUDA build and its libraries together.
  if (!wantsCuda() || python === undefined) {
    if (wantsCuda())
      report('Python 3 was not found, so the build for the CPU is fetched; set LIBTORCH for one with CUDA');
    const { describePlan, dropPartialFetches, planFetch } = await wheelTools();
    const plan = await planFetch({ home, headers, signal, failed: (text) => failures.push(text) });
    if (plan !== undefined) {
      report(`fetching ${describePlan(plan)}`);
      await plan.fetch(target, context);
      dropPartialFetches(home);
      return inspect(await addonTools(), torchFolder(home), `fetched into ${home}`, fits);
    }
  }
  if (python === undefined) {
    throw new SetupError(
      `No place has a known wheel of torch ${TORCH_VERSION} for this machine.${failures.map((line) => `\n  ${line}`).join('')}`,
      'Check the network, name your package index as for pip (PIP_INDEX_URL), or unpack a libtorch and set LIBTORCH to its folder.',
    );
  }
  await fetchByPip(python, { home, target }, context);
  return inspect(await addonTools(), torchFolder(home), `fetched into ${home}`, fits);
}

/** Removes what a killed set-up (not merely interrupted) may have left. */
async function sweep(home: string): Promise<void> {
  const { isAlive } = await stepTools();
  for (const name of existsSync(home) ? readdirSync(home) : []) {
    const pid = /^(?:libtorch\.partial|tmp)-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(home, name), { recursive: true, force: true });
  }
}

/** What changes when the choice of libtorch may have to be made anew. */
export function libtorchStamp(home: string, libtorch: string | undefined): unknown {
  const path = chosenLibtorch(home)?.path;
  const wanted = libtorch === undefined ? path : resolve(libtorch);
  // A choice that is no longer what was asked for never counts as up to date.
  if (path === undefined || wanted !== path) return [wanted, null, Math.random()];
  const headers = statSync(join(path, 'include', 'torch'), { throwIfNoEntry: false });
  return [path, headers?.mtimeMs, existsSync(join(path, 'lib'))];
}

/** Finds or fetches libtorch and records the choice; resolves to a line for people. */
export async function chooseLibtorch(settings: SearchSettings, context: StepContext): Promise<string> {
  const { home, fits } = settings;
  await sweep(home);
  const { path, version, cuda, origin } =
    (await findLibtorch(settings)) ?? (await fetchLibtorch(settings, fits, context));
  const { writeJson } = await addonTools();
  writeJson(libtorchRecord(home), { path, version, cuda });
  return `libtorch ${version} ${cuda ? 'with CUDA' : 'for the CPU'}, ${origin}`;
}

/** Whether a fetch would take the CUDA build, which pip alone assembles. */
export const wantsCuda = (): boolean => process.platform === 'linux' && hasNvidiaGpu();
