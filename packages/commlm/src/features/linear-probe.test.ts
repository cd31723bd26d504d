/** Linear probes find what is linear in the features, and nothing where there is nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { F, manualSeed, randn, scope } from '@commlm/torch';
import { expectRounded } from '@commlm/torch/testing';
import { LinearProbe } from './linear-probe.js';

test('a linear target is read exactly, also from data that comes in pieces', () => {
  scope(() => {
    manualSeed(1);
    const map = randn([6, 3]);
    const target = (x: ReturnType<typeof randn>) => F.layerNorm(x, [6]).matmul(map).add(2);
    const probe = new LinearProbe(6, 3, 1e-9);
    for (let i = 0; i < 4; i++) {
      const x = randn([50, 6]);
      probe.add(x, target(x));
    }
    const unseen = randn([20, 6]).mul(5);
    // The map is solved for in f64; what it reads and what is compared come from a norm and a product of 6 in f32.
    expectRounded(probe.fit()(unseen), target(unseen), { terms: 6, steps: 6 });
    probe.dispose();
  });
});

test('of noise nothing is read on unseen rows', () => {
  scope(() => {
    manualSeed(2);
    const probe = new LinearProbe(8, 4);
    const labels = (count: number) => F.oneHot(randn([count, 4]).argmax(1), 4).to('f32');
    probe.add(randn([2000, 8]), labels(2000));
    const wanted = labels(2000);
    const read = probe.fit()(randn([2000, 8]));
    const right = read.argmax(1).eq(wanted.argmax(1)).to('f32').mean().item();
    assert.ok(Math.abs(right - 0.25) < 0.05, `${right}`);
    assert.throws(() => new LinearProbe(2, 2).fit(), RangeError);
    probe.dispose();
  });
});
