#!/usr/bin/env node
/** Starts the compiled command line of the package: `commlm-torch setup`. */
import { run } from '../dist/setup/command.js';

process.exitCode = await run(process.argv.slice(2));
