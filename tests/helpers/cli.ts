/** Runs the command line as its users do: a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the repository. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** The program. */
export const ENTRY = join(ROOT, 'packages', 'commlm', 'bin', 'commlm.js');

/** The libtorch that the clone uses. */
export function clonesLibtorch(): { readonly path: string; readonly cuda: boolean } {
  return JSON.parse(readFileSync(join(ROOT, '.cache', 'libtorch.json'), 'utf8'));
}

/** How a run ended. */
export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Settings of a run. */
export interface CliOptions {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Gets the process while it runs, e.g. to send it a signal. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** Runs `commlm` with these arguments to its end. */
export function commlm(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, OMP_NUM_THREADS: '1', ...options.env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => {}); // a command that ends without reading closes its side
  child.stdin.end(options.input ?? '');
  options.onStart?.(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
