/** Other programs: pip, npm, the Python tools of tools/real. What they print goes to standard error. */
import { type ChildProcess, spawn } from 'node:child_process';
import { CommError } from 'commlm';

const running = new Set<ChildProcess>();

/** On Ctrl-C the program that runs ends too, and then this one. What it left is cleared away by the next run. */
export function endTogether(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      for (const child of running) child.kill('SIGTERM');
      process.exit(code);
    });
  }
}

/** How a program is run. */
export interface RunSettings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What to do when it fails, as a sentence. */
  readonly fix: string;
}

/** Runs a program to its end; throws CommError where it cannot be run or does not end with 0. */
export async function run(program: string, args: readonly string[], { cwd, env, fix }: RunSettings): Promise<void> {
  const code = await new Promise<number | null>((fulfil, reject) => {
    const child = spawn(program, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
      stdio: ['ignore', process.stderr, process.stderr],
    });
    running.add(child);
    child.on('error', (cause) => {
      running.delete(child);
      reject(new CommError(`${program} could not be run: ${cause.message}.`, { code: 'real/program', fix, cause }));
    });
    child.on('close', (status) => {
      running.delete(child);
      fulfil(status);
    });
  });
  if (code === 0) return;
  const name = [program, ...args].slice(0, 4).join(' ');
  throw new CommError(`"${name} ..." ended with ${code === null ? 'a signal' : `exit code ${code}`}.`, {
    code: 'real/program',
    fix,
  });
}
