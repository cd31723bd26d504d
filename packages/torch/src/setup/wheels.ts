/** The wheels of torch that may be unpacked, by their SHA-256 (native/libtorch-wheels.txt), and which of them fit here. */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PACKAGE_ROOT, setupCommand } from './place.js';
import { SetupError } from './programs.js';

/** The torch that is fetched where none is at hand. */
export const TORCH_VERSION = '2.13.0';
/** Oldest and newest minor version of libtorch 2 that the addon works with. */
export const SUPPORTED_MINORS = [11, 13] as const;

/** Whether a version of libtorch is 2.x with x from the oldest to the newest minor version; all that are supported by default. */
export function isVersionWithin(
  version: string,
  [oldest, newest]: readonly [number, number] = SUPPORTED_MINORS,
): boolean {
  const [major, minor = 0] = version.split('.').map(Number);
  return major === 2 && minor >= oldest && minor <= newest;
}
/** PyTorch's own index of CPU builds; what package indexes offer for Linux are CUDA builds. */
export const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';

/** A wheel that may be unpacked. */
export interface KnownWheel {
  readonly name: string;
  readonly sha256: string;
  /** SHA-256 of its list of files, which holds theirs: with it the wheel may be read in parts. */
  readonly recordSha256: string | undefined;
}

/** Every wheel of the table. */
export function knownWheels(): KnownWheel[] {
  const lines = readFileSync(join(PACKAGE_ROOT, 'native', 'libtorch-wheels.txt'), 'utf8').split(/\r?\n/);
  const entries = lines
    .filter((line) => /^[0-9a-f]{64} {2}\S/.test(line))
    .map((line) => [line.slice(66), line.slice(0, 64)] as const);
  const hashes = new Map(entries);
  return entries
    .filter(([name]) => name.endsWith('.whl'))
    .map(([name, sha256]) => ({ name, sha256, recordSha256: hashes.get(`${name}/RECORD`) }));
}

/** End of the names of wheels with a build for the CPU, by platform and processor. */
const CPU_BUILDS: Readonly<Record<string, RegExp>> = {
  'linux-x64': /\+cpu-.*manylinux_2_28_x86_64\.whl$/,
  'linux-arm64': /\+cpu-.*manylinux_2_28_aarch64\.whl$/,
  'darwin-arm64': /macosx_\d+_\d+_arm64\.whl$/,
  'win32-x64': /win_amd64\.whl$/,
};

/** Wheels with libtorch for the CPU, those first that can be read in parts. Of which Python they are does not matter. */
export function cpuWheels(platform: string = `${process.platform}-${process.arch}`): KnownWheel[] {
  const fits = CPU_BUILDS[platform];
  if (fits === undefined) return [];
  const wheels = knownWheels().filter(({ name }) => fits.test(name));
  return wheels.sort((a, b) => Number(b.recordSha256 !== undefined) - Number(a.recordSha256 !== undefined));
}

/** SHA-256 of a file, in hex. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** @throws SetupError unless the file is one of the wheels (those of the table), or the one that LIBTORCH_SHA256 names. */
export async function checkWheel(path: string, wheels: readonly KnownWheel[] = knownWheels()): Promise<void> {
  const name = basename(path);
  const found = await sha256Of(path);
  if (found === process.env.LIBTORCH_SHA256?.toLowerCase()) return;
  const wanted = wheels.find((wheel) => wheel.name === name)?.sha256;
  if (wanted === undefined) {
    throw new SetupError(
      `${name} is not in the table of known wheels (libtorch-wheels.txt); its SHA-256 is ${found}.`,
      `Set LIBTORCH to a torch folder of your own. If that wheel is known to be the right one: LIBTORCH_SHA256=${found} ${setupCommand()}`,
    );
  }
  if (found !== wanted) throw wrongFile(name, found, wanted);
}

/** The error for a file that has the right name and another content. */
export function wrongFile(name: string, found: string, wanted: string): SetupError {
  return new SetupError(
    `${name} is not the file that it was: its SHA-256 is ${found}, not ${wanted}.`,
    "Check pip's index and the proxy before it; or set LIBTORCH to a torch folder of your own.",
  );
}
