/** Fetching libtorch with pip: for CUDA builds, and where the wheel cannot be read directly. */
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { StepContext } from './native-tools.js';
import { firstLine, hasNvidiaGpu, type Python, runProgram, SetupError } from './programs.js';
import { CPU_INDEX, checkWheel, TORCH_VERSION } from './wheels.js';

/** The pip to call, as program and arguments; makes a private environment in the home when the Python has none. */
async function findPip(python: Python, home: string, signal: AbortSignal | undefined): Promise<string[]> {
  if (firstLine(python.command, ['-m', 'pip', '--version']) !== undefined) return [python.command, '-m', 'pip'];
  const venv = join(home, 'venv');
  const { code, output } = await runProgram(python.command, ['-m', 'venv', '--clear', venv], { capture: true, signal });
  if (code !== 0) {
    rmSync(venv, { recursive: true, force: true });
    throw new SetupError(
      `Python ${python.version} has neither pip nor venv: ${output.split('\n').at(-1)}`,
      'Install them (Debian, Ubuntu: apt install python3-pip python3-venv), or set LIBTORCH to a libtorch folder.',
    );
  }
  return [join(venv, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python'), '-m', 'pip'];
}

/** One way to ask pip. */
interface PipSource {
  readonly spec: string;
  readonly args: readonly string[];
  readonly size: string;
}

/**
 * Ways to get libtorch by pip, best first. On Linux an unpinned build is a CUDA build of several GB, so without an
 * NVIDIA GPU the CPU build is asked for by name: from the package index at hand, then from PyTorch's own.
 */
function pipSources(): PipSource[] {
  const small = 'about 190 MB to download, 750 MB on disk';
  const plain = { spec: `torch==${TORCH_VERSION}`, args: ['--no-deps'], size: small };
  if (process.platform !== 'linux') return [plain];
  const cuda = { spec: `torch==${TORCH_VERSION}`, args: [], size: 'a CUDA build with its libraries, several GB' };
  if (hasNvidiaGpu()) return [cuda];
  const cpu = { spec: `torch==${TORCH_VERSION}+cpu`, args: ['--no-deps'], size: small };
  return [cpu, { ...cpu, args: ['--no-deps', '--index-url', CPU_INDEX] }, cuda];
}

/** What pip would be asked for first, for people. */
export function describePipFetch(): string {
  const { spec, size } = pipSources()[0]!;
  return `${spec} by pip: ${size}`;
}

/**
 * Throws unless the wheel of torch in a folder is a known one. The libraries that a CUDA build comes with are named by
 * torch itself with their versions; they have no checksum here, which is said.
 */
async function checkWheels(folder: string, report: (text: string) => void): Promise<void> {
  const names = readdirSync(folder);
  for (const name of names.filter((each) => each.startsWith('torch-'))) await checkWheel(join(folder, name));
  const others = names.filter((each) => !each.startsWith('torch-')).length;
  if (others > 0) report(`torch is the known file; the ${others} packages that it names are taken without a checksum`);
}

/** Installs torch into a temporary folder and renames it to `target`, so that the target is whole or absent. */
export async function fetchByPip(
  python: Python,
  { home, target }: { readonly home: string; readonly target: string },
  { report, signal }: StepContext,
): Promise<void> {
  const [program, ...pip] = (await findPip(python, home, signal)) as [string, ...string[]];
  const minor = Number(python.version.split('.')[1]);
  // Only the libraries are used, so the wheel may be of another Python than the one that fetches it.
  const foreign = minor < 11 || minor > 14 ? ['--python-version', '3.12'] : [];
  const partial = join(home, `libtorch.partial-${process.pid}`);
  const temporary = join(home, `tmp-${process.pid}`);
  const common = ['--only-binary', ':all:', '--no-input', '--disable-pip-version-check', ...foreign];
  const failures: string[] = [];
  try {
    for (const { spec, args, size } of pipSources()) {
      const where = args.includes(CPU_INDEX) ? "PyTorch's CPU index" : 'pip';
      report(`fetching ${spec} from ${where}: ${size}`);
      const wheels = join(temporary, 'wheels');
      mkdirSync(wheels, { recursive: true });
      // As variables, since an older pip refuses options that it does not know.
      const env = { TMPDIR: temporary, PIP_RETRIES: '2', PIP_ROOT_USER_ACTION: 'ignore' };
      const download = ['download', '--dest', wheels, ...common, ...args, spec];
      const fetched = await runProgram(program, [...pip, ...download], { signal, env });
      if (fetched.code === 0) {
        await checkWheels(wheels, report);
        const files = readdirSync(wheels).map((name) => join(wheels, name));
        const options = ['--target', partial, '--no-compile', '--no-deps', '--no-index', ...common];
        const { code } = await runProgram(program, [...pip, 'install', ...options, ...files], { signal, env });
        if (code !== 0) {
          throw new SetupError(`pip could not unpack ${spec} (exit code ${code}).`, 'See its messages above.');
        }
        rmSync(target, { recursive: true, force: true });
        mkdirSync(dirname(target), { recursive: true });
        renameSync(partial, target);
        return;
      }
      failures.push(`${spec} from ${where}: pip ended with exit code ${fetched.code}`);
      rmSync(wheels, { recursive: true, force: true });
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
    rmSync(temporary, { recursive: true, force: true });
  }
  throw new SetupError(
    `libtorch could not be fetched.\n${failures.map((line) => `  ${line}`).join('\n')}`,
    `Check the network or pip's index, or install torch ${TORCH_VERSION} yourself and set LIBTORCH to its folder.`,
  );
}
