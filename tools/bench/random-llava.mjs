/**
 * Writes a LLaVA of full size with random weights, as transformers stores it: `node tools/bench/random-llava.mjs OUT
 * [7b | 13b | 100m]`. 7b takes 14 GB of disk and about 3 GB of memory. Measure on it with `commlm bench load --model OUT`.
 */
import { LLAVA_SIZES, writeRandomLlava } from '../../packages/commlm/dist/bench/random-llava.fixture.js';

const [out, size = '7b'] = process.argv.slice(2);
if (out === undefined || !Object.hasOwn(LLAVA_SIZES, size)) {
  console.error(`usage: node tools/bench/random-llava.mjs OUT [${Object.keys(LLAVA_SIZES).join(' | ')}]`);
  process.exit(2);
}
const total = writeRandomLlava(out, /** @type {keyof typeof LLAVA_SIZES} */ (size), (done, all) =>
  console.error(`file ${done} of ${all}`),
);
console.error(`${out}: ${(total / 1e9).toFixed(2)} billion parameters, ${((2 * total) / 1e9).toFixed(1)} GB in bf16`);
