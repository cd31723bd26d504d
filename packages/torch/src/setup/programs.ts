/** Other programs of the set-up: running them so that an interrupt reaches them, and the Python at hand. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** A failed step: what went wrong in one sentence, and what to do about it. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
  readonly fix: string;
  readonly exitCode: number;

  constructor(message: string, fix: string, exitCode = 1) {
    super(message);
    this.fix = fix;
    this.exitCode = exitCode;
  }
}

/** The error of an interrupted set-up. */
export const interrupted = (): SetupError =>
  new SetupError('Interrupted.', 'Run the same command again to go on.', 130);

/** The first line that a program prints, or undefined when it cannot be run. */
export function firstLine(program: string, args: readonly string[]): string | undefined {
  const run = spawnSync(program, args, { encoding: 'utf8' });
  return run.status === 0 ? `${run.stdout}${run.stderr}`.split('\n')[0]?.trim() : undefined;
}

/** How a program runs; without `capture` the user sees what it prints, on stderr. */
export interface RunSettings {
  readonly capture?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
}

/**
 * Runs a program to its end. An interrupt reaches it, and the promise settles only after it has gone, so that the step can
 * clear away what it left.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  { capture = false, signal, env = {}, cwd }: RunSettings = {},
): Promise<{ code: number | null; output: string }> {
  return new Promise((fulfil, reject) => {
    const stdio = capture ? 'pipe' : 2;
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', stdio, stdio] });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk;
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    const stop = (): void => void child.kill('SIGTERM');
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
    child.on('error', (error) => {
      reject(new SetupError(`${program} could not be run: ${error.message}.`, 'Check that it is installed.'));
    });
    child.on('close', (code) => {
      signal?.removeEventListener('abort', stop);
      if (signal?.aborted) reject(interrupted());
      else fulfil({ code, output: output.trim() });
    });
  });
}

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
