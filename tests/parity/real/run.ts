/** Other programs: pip, npm, the Python tools of tools/real. What they print goes to standard error. */
import { spawn } from 'node:child_process';
import { CommError } from 'commlm';

/** How a program is run. */
export interface RunSettings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What to do when it fails, as a sentence. */
  readonly fix: string;
}

/**
 * Runs a program to its end; throws CommError where it cannot be run or does not end with 0. An interrupt ends it, and then this
 * process; what it left is cleared away by the next run.
 */
export async function run(program: string, args: readonly string[], { cwd, env, fix }: RunSettings): Promise<void> {
  const child = spawn(program, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', process.stderr, process.stderr],
  });
  const stop = (signal: NodeJS.Signals): void => {
    child.kill('SIGTERM');
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const code = await new Promise<number | null>((fulfil, reject) => {
    child.on('error', (cause) =>
      reject(new CommError(`${program} could not be run: ${cause.message}.`, { code: 'real/program', fix, cause })),
    );
    child.on('close', fulfil);
  }).finally(() => process.off('SIGINT', stop).off('SIGTERM', stop));
  if (code === 0) return;
  const name = [program, ...args].slice(0, 4).join(' ');
  throw new CommError(`"${name} ..." ended with ${code === null ? 'a signal' : `exit code ${code}`}.`, {
    code: 'real/program',
    fix,
  });
}
