/** The instruction sets that `doctor` names, and the switches that forbid some. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { versionInfo } from '@commlm/torch';
import { readProcessor } from './processor.js';

test('the instruction sets are those of the system, and cover what libtorch uses', {
  skip: process.platform !== 'linux',
}, () => {
  const { model, cores, features } = readProcessor();
  assert.ok(model.length > 0 && cores > 0);
  const words = readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/);
  for (const feature of features) assert.ok(words.includes(feature), feature);
  const needed = { AVX2: 'avx2', AVX512: 'avx512f' }[versionInfo().cpuCapability];
  if (needed !== undefined) assert.ok(features.includes(needed), `${needed} in ${features.join(' ')}`);
});

test('switches that forbid instruction sets are named', () => {
  const before = process.env['ONEDNN_MAX_CPU_ISA'];
  process.env['ONEDNN_MAX_CPU_ISA'] = 'AVX2';
  try {
    assert.ok(readProcessor().switches.includes('ONEDNN_MAX_CPU_ISA=AVX2'));
    delete process.env['ONEDNN_MAX_CPU_ISA'];
    assert.ok(!readProcessor().switches.some((text) => text.startsWith('ONEDNN')));
  } finally {
    if (before !== undefined) process.env['ONEDNN_MAX_CPU_ISA'] = before;
  }
});
