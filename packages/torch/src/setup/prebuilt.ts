/**
 * Prebuilt addons: the optional package `@commlm/torch-<platform>-<arch>` holds one for a range of libtorch versions. It
 * looks for libtorch in a folder `libtorch` beside itself, so it is copied into the home and libtorch linked beside it.
 */
import { copyFileSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { addonTools } from './native-tools.js';
import { type Libtorch, packageVersion, readJson } from './place.js';
import { isVersionWithin, sha256Of } from './wheels.js';

/** A prebuilt addon that is installed. */
export interface Prebuilt {
  readonly package: string;
  readonly version: string;
  readonly file: string;
  /** Minor versions of libtorch 2 that it works with, oldest and newest. */
  readonly libtorchMinors: readonly [number, number];
}

/** What `package.json` of such a package says beside the usual. */
interface PrebuiltPackage {
  readonly name: string;
  readonly version: string;
  readonly commtorch?: { readonly libtorchMinors: readonly [number, number] };
}

/** The prebuilt addon for this machine, or undefined when none of this version is installed. */
export function findPrebuilt(): Prebuilt | undefined {
  const name = `@commlm/torch-${process.platform}-${process.arch}`;
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
  const found = readJson<PrebuiltPackage>(manifest);
  const file = join(dirname(manifest), 'commtorch.node');
  // The addon's entries belong to one version of this package.
  if (found?.commtorch === undefined || found.version !== packageVersion() || !existsSync(file)) return undefined;
  return { package: found.name, version: found.version, file, libtorchMinors: found.commtorch.libtorchMinors };
}

/** Whether a prebuilt addon works with a libtorch. It knows no CUDA: its builds are linked against the CPU's libraries. */
export function prebuiltFits({ libtorchMinors }: Prebuilt, { version, cuda }: Libtorch): boolean {
  return !cuda && isVersionWithin(version, libtorchMinors);
}

/** Puts a prebuilt addon with its link to libtorch into a folder; both appear before the record that makes them count. */
export async function installPrebuilt(prebuilt: Prebuilt, libtorch: Libtorch, folder: string): Promise<void> {
  const { writeJson } = await addonTools();
  mkdirSync(folder, { recursive: true });
  const record = join(folder, 'commtorch.json');
  rmSync(record, { force: true });
  const link = join(folder, 'libtorch');
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) rmSync(link, { recursive: true, force: true });
  symlinkSync(libtorch.path, link, 'junction');
  const partial = join(folder, `commtorch.node.${process.pid}.partial`);
  try {
    copyFileSync(prebuilt.file, partial);
    renameSync(partial, join(folder, 'commtorch.node'));
  } finally {
    rmSync(partial, { force: true });
  }
  writeJson(record, {
    hash: await prebuiltHash(prebuilt),
    libtorch: { path: libtorch.path, version: libtorch.version, cuda: libtorch.cuda },
    compiler: `prebuilt by ${prebuilt.package} ${prebuilt.version}`,
    platform: process.platform,
    arch: process.arch,
  });
}

/** What the record of a prebuilt addon holds as its hash. */
export async function prebuiltHash({ file }: Prebuilt): Promise<string> {
  return await sha256Of(file);
}
