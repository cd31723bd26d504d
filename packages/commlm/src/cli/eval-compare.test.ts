/** What `eval compare` prints: sides that can be told apart, and changed answers with or without a question. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, Comparison } from '../eval/compare.js';
import { printComparison } from './eval-compare.js';

const change = (id: number, prompt: string): Change => ({
  ...({ kind: 'lost', id, picture: null, prompt, target: 'yes' } as const),
  a: { answer: 'yes', score: 1 },
  b: { answer: 'no', score: 0 },
});

function printed(a: string, b: string): string[] {
  const comparison: Comparison = {
    a: { folder: 'out/before', model: a },
    b: { folder: 'out/after', model: b },
    bootstrap: { resamples: 2000, seed: 0, level: 0.95 },
    benchmarks: [
      {
        ...({ benchmark: 'pope', reader: 'official', scale: 'fraction', count: 2, clusters: 1, figures: {} } as const),
        mcnemar: null,
        changes: [change(100, ''), change(101, 'Is there a dog?')],
        notes: [],
      },
    ],
  };
  const lines: string[] = [];
  const write = process.stdout.write;
  process.stdout.write = (text: string | Uint8Array): boolean => lines.push(...String(text).split('\n')) > 0;
  try {
    printComparison(comparison, 10);
  } finally {
    process.stdout.write = write;
  }
  return lines;
}

test('a name that both sides have is not printed, and names that differ are', () => {
  assert.deepEqual(printed('result', 'result').slice(0, 1), ['A  out/before']);
  assert.ok(printed('result', 'result').includes('B  out/after'));
  assert.deepEqual(printed('comm-tiny', 'result').slice(0, 1), ['A  out/before  comm-tiny']);
  assert.ok(printed('comm-tiny', 'result').includes('B  out/after  result'));
});

test('a changed answer without a question is told by its id', () => {
  const lines = printed('result', 'result');
  assert.ok(lines.includes('  lost   100'), lines.join('\n'));
  assert.ok(lines.includes('  lost   101: Is there a dog?'), lines.join('\n'));
});
