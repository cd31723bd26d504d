/** Runs the command line at a pseudo terminal (Python's), as a person who types and reads does. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { ENTRY } from './cli.js';

const PTY = 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
const WAIT_MS = 20_000;

/** Why no pseudo terminal can be made here, or false. */
export const noTerminal: string | false =
  spawnSync('python3', ['-c', 'import pty']).status === 0 ? false : 'no Python with pseudo terminals';

/** `commlm` at a terminal. */
export class TerminalRun {
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;
  #text = '';
  #seen = 0;

  constructor(args: readonly string[], cwd: string) {
    const { CI: _, NO_COLOR: __, ...env } = process.env;
    this.#child = spawn('python3', ['-c', PTY, process.execPath, ENTRY, ...args], {
      cwd,
      env: { ...env, TERM: 'xterm', OMP_NUM_THREADS: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
    });
    this.#closed = new Promise((resolve) => this.#child.on('close', resolve));
  }

  /** Types keys; `\r` is Enter, `\x03` Ctrl-C. */
  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  /** Waits until what came since the last wait matches; what stood before the match's end is then read. */
  async waitFor(pattern: RegExp): Promise<string> {
    const until = Date.now() + WAIT_MS;
    for (;;) {
      const news = this.#text.slice(this.#seen);
      const match = pattern.exec(news);
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return news.slice(0, match.index + match[0].length);
      }
      if (Date.now() > until) throw new Error(`${pattern} did not come; what came: ${JSON.stringify(news)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** The exit code. */
  exit(): Promise<number | null> {
    return this.#closed;
  }

  /** Ends the run if it still runs. */
  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}
