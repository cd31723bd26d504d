/** Which version of this software made a result. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Version of the package; the commit too where it runs from a repository. */
export function codeVersion(): { readonly commlm: string; readonly commit: string | null } {
  const manifest = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  try {
    const folder = dirname(fileURLToPath(manifest));
    const commit = execFileSync('git', ['-C', folder, 'rev-parse', 'HEAD'], { stdio: ['ignore', 'pipe', 'ignore'] });
    return { commlm: version, commit: commit.toString().trim() };
  } catch {
    return { commlm: version, commit: null }; // installed from a registry, or a machine without git
  }
}
