/** Rows of the parity table for LoRA adapters: weights merged by peft and here (tools/golden/lora.py). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { io, noGrad, scope, tensor } from '@commlm/torch';
import { maxRelDiff } from '@commlm/torch/testing';
import { loadHfLlama, mergeLora } from 'commlm';
import { forwardBound, LORA_BOUND } from './arithmetic.js';
import type { ParityRow } from './measure.js';

const golden = fileURLToPath(new URL('../../golden', import.meta.url));
const BASES = { llama: 'models/llama', 'llama-patterns': 'models/llama', gpt2: 'lora/gpt2-base' };

/** Merged weights of every adapter, and the logits of the merged language models. */
export function measureLora(): ParityRow[] {
  return Object.entries(BASES).flatMap(([name, base]) => {
    const out = mkdtempSync(join(tmpdir(), 'parity-lora-'));
    try {
      mergeLora(join(golden, base), join(golden, 'lora', name), out);
      return scope(() => rowsOf(name, out));
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  });
}

function rowsOf(name: string, out: string): ParityRow[] {
  const wanted = io.readSafetensors(join(golden, 'lora', `${name}.merged.safetensors`));
  const merged = io.readSafetensors(join(out, 'model.safetensors'));
  const row = (quantity: string, difference: number, bound: number): ParityRow => ({
    model: `lora ${name}`,
    dtype: 'f32',
    quantity,
    difference,
    bound,
    ok: difference <= bound,
  });
  const weights = [...wanted].filter(([key]) => key !== 'logits');
  const rows = [
    row(
      'merged weights',
      Math.max(...weights.map(([key, weight]) => maxRelDiff(merged.get(key)!, weight))),
      LORA_BOUND,
    ),
  ];
  if (!name.startsWith('llama')) return rows;
  const model = loadHfLlama(out);
  const logits = noGrad(() => model.forward(tensor([[3, 1, 4, 1, 5]], { dtype: 'i64' })));
  rows.push(row('logits', maxRelDiff(logits, wanted.get('logits')!), forwardBound(model.config)));
  model.dispose();
  return rows;
}
