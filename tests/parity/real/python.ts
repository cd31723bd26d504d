/**
 * The Python that runs the tools of tools/real: the one that PYTHON names, or a virtual environment in the cache with the pinned
 * versions of tools/real/requirements.txt.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from 'commlm';
import { cacheFolder, hashFile, report, root } from './cache.js';
import { run } from './run.js';

/** Folder of the Python tools. */
export const toolsFolder = join(root, 'tools', 'real');

const requirements = join(toolsFolder, 'requirements.txt');

const MIN_PYTHON = [3, 11];

/** Prints the version, then a line for each named package that is not there in that version. */
const CHECK = `
import importlib.metadata as m, sys
print(*sys.version_info[:2])
for line in sys.argv[1:]:
    name, wanted = line.split("==")
    try:
        found = m.version(name).split("+")[0]
    except m.PackageNotFoundError:
        found = None
    if found != wanted:
        print(name, wanted)
`;

/** Lines "name==version" of requirements.txt. */
const pinned = (): string[] =>
  readFileSync(requirements, 'utf8')
    .split('\n')
    .filter((line) => line.includes('=='));

/** Packages that a Python lacks, "name version"; undefined where there is no such Python or it is too old. */
export function lackingPackages(python: string): string[] | undefined {
  const { status, stdout } = spawnSync(python, ['-c', CHECK, ...pinned()], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const [version = '', ...lacking] = stdout.trim().split('\n');
  const [major = 0, minor = 0] = version.split(' ').map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_PYTHON;
  return major > minMajor || (major === minMajor && minor >= minMinor) ? lacking : undefined;
}

/** The Python to use, with everything that the tools need; throws CommError that names what is missing. */
export async function findPython(cache = cacheFolder): Promise<string> {
  const named = process.env['PYTHON'];
  if (named !== undefined && named !== '') return checkNamed(named);
  const venv = join(cache, 'venv');
  const python = join(venv, ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']));
  if (existsSync(python) && lackingPackages(python)?.length === 0) return python;
  const base = ['python3', 'python'].find((command) => lackingPackages(command) !== undefined);
  if (base === undefined) {
    throw new CommError(`Python ${MIN_PYTHON.join('.')} or newer was not found.`, {
      code: 'real/python',
      fix: 'Install it, or set PYTHON to one.',
    });
  }
  await makeVenv(base, venv, python);
  return python;
}

function checkNamed(python: string): string {
  const lacking = lackingPackages(python);
  if (lacking === undefined) {
    throw new CommError(`PYTHON names ${python}, which is no Python ${MIN_PYTHON.join('.')} or newer.`, {
      code: 'real/python',
      fix: 'Name another one, or unset PYTHON for a virtual environment of this command.',
    });
  }
  if (lacking.length === 0) return python;
  throw new CommError(`The Python that PYTHON names (${python}) lacks ${lacking.join(', ')}.`, {
    code: 'real/python',
    fix: `Install them (${python} -m pip install -r ${requirements}), or unset PYTHON for a virtual environment of this command.`,
  });
}

/** Makes or completes the environment. On Linux the CPU build of torch is asked for first: the other one is of several GB. */
async function makeVenv(base: string, venv: string, python: string): Promise<void> {
  report(`making ${venv} with the versions of ${requirements}: about 300 MB to download, 1.4 GB on disk`);
  mkdirSync(venv, { recursive: true });
  const fix = 'Check the network and that Python has venv and pip, and run the command again.';
  if (lackingPackages(python) === undefined) await run(base, ['-m', 'venv', '--clear', venv], { fix });
  const install = ['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '-r', requirements];
  const torch = pinned().find((line) => line.startsWith('torch=='))!;
  if (process.platform === 'linux') {
    try {
      return await run(python, [...install, `${torch}+cpu`], { fix });
    } catch {
      report('There is no CPU build of torch at the registry, so its default build is taken.');
    }
  }
  await run(python, install, { fix });
}

/** A Python tool, by the name of its file. */
export interface Tool {
  readonly script: string;
  /** Further files of tools/real that it imports. */
  readonly uses?: readonly string[];
}

/** Hashes of everything that decides what a tool writes, its arguments aside. */
export const toolHashes = ({ script, uses = [] }: Tool): Promise<string[]> =>
  Promise.all([script, ...uses, 'requirements.txt'].map((name) => hashFile(join(toolsFolder, name))));

/** Runs a tool to its end. */
export async function runTool(python: string, { script }: Tool, args: readonly string[]): Promise<void> {
  await run(python, [join(toolsFolder, script), ...args], {
    // No bars of progress of the libraries, no look at a hub, no folder of byte code in the source tree.
    env: { TQDM_DISABLE: '1', HF_HUB_OFFLINE: '1', PYTHONDONTWRITEBYTECODE: '1', PYTHONWARNINGS: 'ignore' },
    fix: 'See its messages above; --help tells what is needed.',
  });
}
