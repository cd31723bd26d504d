/** Which version of this software makes a result. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cloneRoot } from '@commlm/torch/setup';

/** A version of the package, and of the clone that it runs from. */
export interface CodeVersion {
  readonly commlm: string;
  /** With `+` behind it where tracked files differ from the commit; null outside of a clone. */
  readonly commit: string | null;
}

/** The version that runs. */
export function codeVersion(): CodeVersion {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const root = cloneRoot();
  return { commlm: version, commit: root === undefined ? null : commitOf(root) };
}

function commitOf(root: string): string | null {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return `${git('rev-parse', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+'}`;
  } catch {
    return null; // no git here, or no commit yet
  }
}
