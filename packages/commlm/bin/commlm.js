#!/usr/bin/env node
/** Starts the compiled command line; says what to run when it is not compiled yet. */
import { existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('commlm is not built yet.\nRun this in the clone: npm run setup');
  process.exitCode = 1;
}
