#!/usr/bin/env node
/**
 * `npm run docs`: the reference of every public entry of both packages, as pages in `out/docs`. A warning is a failure.
 * TypeDoc reads sources through the interface of TypeScript 6, which version 7 does not have, so both are installed here
 * and not in the clone.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const run = (program, args, shell = false) => {
  const { status } = spawnSync(program, args, { cwd: here, stdio: 'inherit', shell });
  if (status !== 0) process.exit(status ?? 130);
};

if (!existsSync(join(here, 'node_modules', '.package-lock.json'))) {
  console.log('npm ci: TypeDoc and its TypeScript (46 MB on disk)');
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], process.platform === 'win32');
}
run(process.execPath, [
  join(here, 'node_modules', 'typedoc', 'bin', 'typedoc'),
  '--options',
  join(here, 'typedoc.json'),
]);
