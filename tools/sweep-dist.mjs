#!/usr/bin/env node
/**
 * Removes compiled files whose source is gone from `dist` of the package in the working directory: `tsc -b` leaves them
 * there, and a tarball must not hold them. Each package runs it before it is packed.
 */

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

for (const name of existsSync('dist') ? readdirSync('dist', { recursive: true }) : []) {
  const source = name.replace(/\.(js|d\.ts)(\.map)?$/, '.ts');
  if (source !== name && !existsSync(join('src', source))) rmSync(join('dist', name));
}
