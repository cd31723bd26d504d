/** The addon: taken from the prebuilt package that is installed, else compiled; and the trial that it works. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { addonTools, type StepContext } from './native-tools.js';
import {
  type AddonRecord,
  addonFolder,
  chosenLibtorch,
  cloneRoot,
  findAddon,
  type Libtorch,
  PACKAGE_ROOT,
  readJson,
  setupCommand,
} from './place.js';
import { findPrebuilt, installPrebuilt, type Prebuilt, prebuiltFits, prebuiltHash } from './prebuilt.js';
import { runProgram, SetupError } from './programs.js';

/** The prebuilt addon; the clone is for those who change the addon, so it compiles. */
function usablePrebuilt(): Prebuilt | undefined {
  return cloneRoot() === undefined ? findPrebuilt() : undefined;
}

/** The prebuilt addon that works with a libtorch, or undefined when one is compiled. @throws when there is no compiler either. */
export async function prebuiltFor(libtorch: Libtorch): Promise<Prebuilt | undefined> {
  const prebuilt = usablePrebuilt();
  if (prebuilt !== undefined && prebuiltFits(prebuilt, libtorch)) return prebuilt;
  (await addonTools()).findCompiler();
  return undefined;
}

/** What a libtorch must be like here. */
export interface LibtorchNeeds {
  /** Why a libtorch will not do, or undefined. */
  readonly fits: (libtorch: Libtorch) => string | undefined;
  /** Whether one that is fetched needs its headers, as the addon will be compiled. */
  readonly headers: boolean;
}

/**
 * What the addon asks of a libtorch: with a compiler any with headers will do, without one only those that the prebuilt
 * addon works with. @throws when there is neither, before anything is fetched.
 */
export async function libtorchNeeds(): Promise<LibtorchNeeds> {
  const prebuilt = usablePrebuilt();
  const { findCompiler } = await addonTools();
  const isPrebuilt = (libtorch: Libtorch): boolean => prebuilt !== undefined && prebuiltFits(prebuilt, libtorch);
  const headers = prebuilt === undefined;
  try {
    findCompiler();
  } catch (error) {
    if (prebuilt === undefined) throw error;
    const why = `the prebuilt addon does not know it, and there is no compiler (${(error as Error).message})`;
    return { headers, fits: (libtorch) => (isPrebuilt(libtorch) ? undefined : why) };
  }
  const fits = (libtorch: Libtorch): string | undefined =>
    isPrebuilt(libtorch) || existsSync(join(libtorch.path, 'include', 'ATen'))
      ? undefined
      : 'it has no headers to compile against';
  return { headers, fits };
}

/** `[modification time, size]` of a file, or null. */
function fileStamp(path: string): unknown {
  const facts = statSync(path, { throwIfNoEntry: false });
  return facts === undefined ? null : [facts.mtimeMs, facts.size];
}

/** What changes when the addon may have to be made anew. */
export function addonStamp(home: string): unknown {
  const libtorch = chosenLibtorch(home);
  const folder = addonFolder(home, libtorch?.path ?? '');
  const sources = join(PACKAGE_ROOT, 'native');
  return [
    libtorch,
    [process.env.CXX, process.env.COMMTORCH_CXXFLAGS],
    readdirSync(sources, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => [name, fileStamp(join(sources, name))]),
    usablePrebuilt(),
    ...['commtorch.node', 'commtorch.json'].map((name) => fileStamp(join(folder, name))),
  ];
}

/** Brings the addon up to date; resolves to a line for people. */
export async function makeAddon(home: string, { report, signal }: StepContext): Promise<string> {
  const libtorch = chosenLibtorch(home)!;
  const folder = addonFolder(home, libtorch.path);
  const prebuilt = await prebuiltFor(libtorch);
  if (prebuilt !== undefined) {
    const record = readJson<AddonRecord>(join(folder, 'commtorch.json'));
    const name = `${prebuilt.package} ${prebuilt.version}, prebuilt`;
    if (existsSync(join(folder, 'commtorch.node')) && record?.hash === (await prebuiltHash(prebuilt))) return name;
    await installPrebuilt(prebuilt, libtorch, folder);
    return name;
  }
  const { buildAddon } = await addonTools();
  const { built } = await buildAddon({ libtorchPath: libtorch.path, outDir: folder, signal, report });
  // The clone keeps them, as its sources change one at a time.
  if (cloneRoot() === undefined) rmSync(join(folder, 'obj'), { recursive: true, force: true });
  return built ? `compiled for libtorch ${libtorch.version}` : 'up to date';
}

/** What changes when the addon has to be tried again. */
export function trialStamp(home: string): unknown {
  const folder = addonFolder(home, chosenLibtorch(home)?.path ?? '');
  const record = readJson<AddonRecord>(join(folder, 'commtorch.json'));
  return [process.version, record?.hash, fileStamp(join(folder, 'commtorch.node'))];
}

/** Adds two tensors in a process of its own; resolves to a line for people. */
export async function tryAddon(home: string, { signal }: StepContext): Promise<string> {
  const folder = addonFolder(home, chosenLibtorch(home)!.path);
  const script = `
    import { tensor } from ${JSON.stringify(pathToFileURL(join(PACKAGE_ROOT, 'dist', 'index.js')).href)};
    const sum = tensor([1, 2]).add(tensor([3, 4])).tolist();
    if (String(sum) !== '4,6') throw new Error('1+3, 2+4 gave ' + sum);`;
  const { code, output } = await runProgram(process.execPath, ['--input-type=module', '--eval', script], {
    capture: true,
    signal,
    env: { COMMTORCH_ADDON: join(folder, 'commtorch.node') },
  });
  if (code !== 0) {
    throw new SetupError(
      `The addon does not work (exit code ${code}):\n${output}`,
      `Make it anew: delete ${folder}, then ${setupCommand()}`,
    );
  }
  return 'two tensors added';
}

/** Whether the addon is there and made from what is there now. */
export type AddonState = 'current' | 'outdated' | 'missing';

/** The state of the addon that would be loaded. Costs a few milliseconds. */
export async function addonState(): Promise<AddonState> {
  const { file, record } = findAddon();
  if (file === undefined) return 'missing';
  if (record === undefined) return 'outdated';
  try {
    const prebuilt = usablePrebuilt();
    if (prebuilt !== undefined && prebuiltFits(prebuilt, record.libtorch)) {
      return record.hash === (await prebuiltHash(prebuilt)) ? 'current' : 'outdated';
    }
    const { plan } = await addonTools();
    return plan(record.libtorch.path, dirname(file)).hash === record.hash ? 'current' : 'outdated';
  } catch {
    // Without headers or compiler nothing can be compared; that the addon loads is checked apart.
    return 'current';
  }
}
