#!/usr/bin/env node
/** Starts the compiled command line; says what to run when it is not compiled yet. */
import { existsSync } from 'node:fs';
import nodeModule from 'node:module';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) {
  // Absent before Node 22.1; saves parsing on every later start.
  nodeModule.enableCompileCache?.();
  const { runProcess } = await import(main.href);
  await runProcess();
} else {
  console.error('error: commlm is not built yet.\nfix:   npm run setup');
  process.exitCode = 1;
}
