/** Other programs of the set-up: running them so that an interrupt reaches them, and the Python at hand. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { firstLine } from '../../native/programs.mjs';

export { firstLine, interrupted, runProgram, SetupError } from '../../native/programs.mjs';

/** A Python 3. */
export interface Python {
  readonly command: string;
  readonly version: string;
}

/** The Python that PYTHON names, or the first on the path; undefined when there is none. */
export function findPython(): Python | undefined {
  const usual = process.platform === 'win32' ? ['python', 'py', 'python3'] : ['python3', 'python'];
  for (const command of process.env.PYTHON ? [process.env.PYTHON] : usual) {
    const version = /^Python (3\.\d+\.\d+)/.exec(firstLine(command, ['--version']) ?? '')?.[1];
    if (version !== undefined) return { command, version };
  }
  return undefined;
}

/** The torch folder of a Python, found without importing it (an import takes seconds), or undefined. */
export function pythonTorch({ command }: Python, cwd: string): string | undefined {
  const script = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s and s.origin else '')";
  const run = spawnSync(command, ['-c', script], { encoding: 'utf8', cwd });
  const origin = run.status === 0 ? run.stdout.trim().split('\n').at(-1) : '';
  return origin ? resolve(origin, '..') : undefined;
}

/** True when the machine has an NVIDIA GPU with its driver. */
export function hasNvidiaGpu(): boolean {
  if (process.platform === 'darwin') return false;
  return existsSync('/proc/driver/nvidia/version') || firstLine('nvidia-smi', ['-L'])?.startsWith('GPU') === true;
}
