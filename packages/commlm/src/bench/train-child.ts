/**
 * Our side of the suite `train`, in a process of its own: one training step for each line on stdin, answered as peer.py does.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { io, nn, numThreads, optim, reuseFreedMemory, scope, type Tensor, versionInfo } from '@commlm/torch';
import type { TrainingFormat } from '../config/formats.js';
import type { CommBatch } from '../models/comm.js';
import { type DecodeOptions, Llama } from '../models/llama.js';
import { recomputedBackward } from '../train/memory/recompute.js';
import { hfLanguageModel } from '../weights/layouts/hf-language.js';
import type { Measurement } from './peer.js';
import { peakKiB } from './resident.js';

const [folder, dtype, lr] = process.argv.slice(2) as [string, TrainingFormat, string];
reuseFreedMemory();
const { config } = hfLanguageModel(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')), folder);
// Without values: those of the file are copied, as training writes to them.
const llama = nn.onMeta(() => new Llama(config));
scope(() => {
  const stored = io.readSafetensors(join(folder, 'model.safetensors'));
  const own = new Map([...stored].map(([key, weight]) => [key, weight.to(dtype).clone()]));
  llama.loadStateDict(own, { assign: true });
});
const batches = io.readSafetensors(join(folder, 'batches.safetensors')).get('ids') as Tensor;
const optimizer = new optim.AdamW(llama.parameters(), { lr: Number(lr), masterWeights: true });
const model = {
  languageModel: llama,
  hidden: ({ ids }: CommBatch, options: Pick<DecodeOptions, 'run'> = {}) => llama.model.forward(ids, options),
};

function step(count: number): Measurement {
  return scope(() => {
    const ids = batches.select(0, count % batches.shape[0]!);
    const [start, before] = [performance.now(), process.cpuUsage()];
    const { loss } = recomputedBackward(model, { ids, labels: ids, visual: null });
    optimizer.step();
    optimizer.zeroGrad();
    const { user, system } = process.cpuUsage(before);
    return {
      value: (performance.now() - start) / 1000,
      cpu: (user + system) / 1e6,
      loss: loss.item(),
      peakKiB: peakKiB(),
    };
  });
}

const say = (message: object): boolean => process.stdout.write(`${JSON.stringify(message)}\n`);
say({ ready: true, versions: { libtorch: versionInfo().torch }, threads: numThreads() });
let count = 0;
for await (const _ of createInterface({ input: process.stdin })) say(step(count++));
