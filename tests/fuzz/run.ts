/** `node tests/dist/fuzz/run.js --count 20000 [--seed 1]`: damages good files and shows what every reader makes of them. */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.js';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } },
});
const results = await fuzz(Number(values.count), Number(values.seed));
for (const { reader, numInputs, numRefused, slowestMs, faults } of results) {
  console.log(
    `${reader}: ${numInputs} inputs, ${numRefused} refused, slowest ${slowestMs.toFixed(0)} ms, ${faults.length} faults`,
  );
  for (const fault of faults.slice(0, 10)) console.log(`  ${fault}`);
}
process.exitCode = results.some(({ faults }) => faults.length > 0) ? 1 : 0;
