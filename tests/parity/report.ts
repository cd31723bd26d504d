/** `npm run parity`: the table of differences to the reference libraries; `-- --json` for a program. Exits 1 when a row is out of bounds. */
import { goldenEncoders, measureEncoder } from './encoders.js';
import { goldenLanguageModels, measureLanguage } from './language.js';
import { measureLora } from './lora.js';
import { goldenModels, measure } from './measure.js';
import { printTable } from './table.js';
import { measureWhole, wholeModels } from './whole.js';

const encoderRows = await Promise.all(goldenEncoders().map(measureEncoder));
const rows = [...goldenModels().flatMap(measure), ...encoderRows.flat()];
for (const model of goldenLanguageModels()) rows.push(...(await measureLanguage(model)));
for (const model of wholeModels()) rows.push(...(await measureWhole(model)));
rows.push(...measureLora());
const failed = rows.filter(({ ok }) => !ok);

if (process.argv.includes('--json')) {
  console.log(JSON.stringify(rows, null, 2));
} else {
  printTable([
    ['model', 'dtype', 'quantity', 'max difference', 'bound', ''],
    ...rows.map(({ model, dtype, quantity, difference, bound, ok }) => [
      ...[model, dtype, quantity, difference.toExponential(1), bound.toExponential(1)],
      ok ? 'ok' : 'FAILED',
    ]),
  ]);
  console.log(
    `\nDifference: max |ours - theirs| / max |theirs|. ${rows.length - failed.length} of ${rows.length} rows within bounds.`,
  );
}
process.exitCode = failed.length === 0 ? 0 : 1;
