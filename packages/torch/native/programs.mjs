/**
 * Running other programs so that an interrupt reaches them. Plain Node: the clone's set-up uses it before anything is compiled,
 * and the package's own through `programs.d.mts`.
 */
import { spawn, spawnSync } from 'node:child_process';

/** A failed step: what went wrong in one sentence, and what to do about it. */
export class SetupError extends Error {
  name = 'SetupError';

  constructor(message, fix, exitCode = 1) {
    super(message);
    this.fix = fix;
    this.exitCode = exitCode;
  }
}

export const interrupted = () => new SetupError('Interrupted.', 'Run the same command again to go on.', 130);

export function firstLine(program, args, { shell = false } = {}) {
  const run = spawnSync(program, args, { encoding: 'utf8', shell });
  return run.status === 0 ? `${run.stdout}${run.stderr}`.split('\n')[0]?.trim() : undefined;
}

export function runProgram(program, args, { capture = false, signal, env = {}, cwd, shell = false } = {}) {
  return new Promise((fulfil, reject) => {
    const stdio = capture ? 'pipe' : 2;
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', stdio, stdio],
      shell,
    });
    let output = '';
    const collect = (chunk) => {
      output += chunk;
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    const stop = () => void child.kill('SIGTERM');
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
