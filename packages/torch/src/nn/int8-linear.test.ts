/** Linear layers of 8-bit weights. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as F from '../functional.js';
import { forgetPages, readSafetensors, writeSafetensors } from '../io/index.js';
import { manualSeed } from '../random.js';
import { memoryStats, scope } from '../scope.js';
import { full, randn, type Tensor, tensor, zeros } from '../tensor.js';
import { expectRounded, withStrictScopes } from '../testing.js';
import { Int8Linear, quantizeRows } from './int8-linear.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import { Parameter } from './parameter.js';
import { onMeta } from './placement.js';

const root = mkdtempSync(join(tmpdir(), 'int8-'));
after(() => rmSync(root, { recursive: true, force: true }));

/** The weight that 8 bits stand for, in f64. */
const restored = (weight: Tensor, scale: Tensor): Tensor => weight.to('f64').mul(scale.to('f64').unsqueeze(1));

for (const dtype of ['f32', 'bf16', 'f16'] as const) {
  test(`quantizeRows of ${dtype}: rounded to the nearest step, nothing cut off`, () => {
    withStrictScopes(() =>
      scope(() => {
        manualSeed(1);
        const weight = randn([37, 61]).mul(0.02).to(dtype);
        const { weight: quantized, scale } = quantizeRows(weight);
        assert.deepEqual([quantized.dtype, scale.dtype, quantized.shape], ['i8', 'bf16', [37, 61]]);
        assert.ok(quantized.to('i64').abs().max().item() <= 127);
        const steps = weight.to('f64').sub(restored(quantized, scale)).div(scale.to('f64').unsqueeze(1)).abs();
        // Half a step, and the rounding of up to 127 steps: of the reciprocal and of the product.
        assert.ok(steps.max().item() <= 0.5 + 127 * 2 * 2 ** -24, `${steps.max().item()} steps`);
        // The largest of a row uses the range up to the rounding of its scale to bf16.
        assert.ok(quantized.to('i64').abs().amax([1]).min().item() >= 126);
      }),
    );
  });
}

/** One row as the definition has it, a rounding after each step: scale up to bf16, reciprocal, product, nearest even. */
function quantizedByHand(row: readonly number[]): number[] {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  float[0] = Math.max(...row.map(Math.abs)) / 127;
  bits[0] = (bits[0]! + 0xffff) & 0xffff0000;
  const inverse = Math.fround(1 / float[0]!);
  const rounder = 1.5 * 2 ** 23;
  return row.map((value) => Math.fround(Math.fround(value * inverse) + rounder) - rounder);
}

for (const dtype of ['f32', 'bf16'] as const) {
  test(`quantizeRows of ${dtype} gives the same bytes on every processor: those of its definition`, () => {
    scope(() => {
      // Whole numbers over a power of two, from a generator of whole numbers: no kernel has a part in them.
      let state = 1;
      const draw = (): number => {
        state = (state * 48271) % 2147483647;
        return (state % 20001) / 2 ** 14 - 0.6;
      };
      const rows = Array.from({ length: 64 }, () => Array.from({ length: 201 }, draw));
      // Steps of a quarter, so that halves of steps are ties.
      rows.push(Array.from({ length: 201 }, (_, k) => (k === 0 ? 127 / 4 : (k % 250) / 8)));
      const weight = tensor(rows).to(dtype);
      const wanted = (weight.float().tolist() as number[][]).map(quantizedByHand);
      assert.deepEqual(quantizeRows(weight).weight.to('i32').tolist(), wanted);
    });
  });
}

test('quantizeRows: rows of zeros and of tiny values are zero, NaN and infinity are refused', () => {
  scope(() => {
    const { weight, scale } = quantizeRows(
      tensor([
        [0, 0],
        [1e-39, 0],
        [-2, 1],
      ]),
    );
    // 2 / 127 is rounded up to the next bf16, so that 2 is 126 or 127 steps.
    assert.deepEqual(Array.from(weight.narrow(0, 0, 2).to('f32').toArray() as Float32Array), [0, 0, 0, 0]);
    assert.ok(weight.narrow(0, 2, 1).to('f32').abs().max().item() >= 126);
    assert.deepEqual(Array.from(scale.narrow(0, 0, 2).to('f32').toArray() as Float32Array), [0, 0]);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const dtype of ['f32', 'bf16'] as const) {
        assert.throws(() => quantizeRows(full([2, 3], bad).to(dtype)), /NaN or infinite/);
      }
    }
    assert.throws(() => quantizeRows(zeros([3])), /must be a matrix/);
  });
});

for (const rows of [1, 4, 7, 16, 33]) {
  for (const [inDim, outDim] of [
    [1, 1],
    [13, 7],
    [64, 48],
    [588, 33],
  ] as const) {
    test(`Int8Linear: ${rows} rows, ${inDim} to ${outDim}, equal to the product with the restored weight`, () => {
      withStrictScopes(() =>
        scope(() => {
          manualSeed(rows + inDim);
          const layer = new Linear(inDim, outDim, { bias: outDim !== 7 });
          const int8 = Int8Linear.from(layer);
          const x = randn([rows, inDim]);
          const bias = layer.bias === null ? null : layer.bias.detach().to('f64');
          const weight = restored(int8.weight, int8.scale);
          // Product and bias may cancel.
          const scaleOf = (input: Tensor): number =>
            F.linear(input, weight).abs().max().item() + (bias?.abs().max().item() ?? 0);
          const wide = x.to('f64');
          expectRounded(int8.forward(x), F.linear(wide, weight, bias), {
            terms: inDim,
            steps: 2,
            scale: scaleOf(wide),
          });
          const y = int8.forward(x.to('bf16').unsqueeze(0));
          assert.deepEqual([y.dtype, y.shape], ['bf16', [1, rows, outDim]]);
          const narrow = x.to('bf16').to('f64');
          // Sums are in f32; at most the product, the scaled one and that with the bias are rounded to bf16.
          expectRounded(y.squeeze(0), F.linear(narrow, weight, bias), { dtype: 'bf16', scale: scaleOf(narrow) });
          layer.dispose();
          int8.dispose();
        }),
      );
    });
  }
}

test('Int8Linear refuses what does not fit', () => {
  scope(() => {
    const layer = new Int8Linear(4, 3);
    assert.throws(() => layer.forward(zeros([2, 5])), /int8_linear/);
    assert.throws(() => layer.forward(zeros([2, 4], { dtype: 'i64' })), /must hold floats/);
    layer.dispose();
  });
});

class Pair extends Module {
  readonly first = new Linear(4, 4);
  readonly rest = [new Linear(4, 4), new Linear(4, 2)];
}

test('replaceModules swaps layers in attributes and lists by their key', () => {
  const model = onMeta(() => new Pair());
  const seen: string[] = [];
  model.replaceModules((module, key) => {
    seen.push(key);
    return key === 'rest.1' ? Int8Linear.like(module as Linear) : module;
  });
  assert.deepEqual(seen, ['first', 'rest.0', 'rest.1']);
  const keys = [...model.stateDict()].map(([key, { dtype, device }]) => `${key} ${dtype} ${device}`);
  assert.deepEqual(keys.slice(-3), ['rest.1.weight i8 meta', 'rest.1.scale bf16 meta', 'rest.1.bias bf16 meta']);
  model.dispose();
});

test('hostBytes counts a parameter as long as it lives, once, and no mapped file', () => {
  const path = join(root, 'mapped.safetensors');
  scope(() => writeSafetensors(path, [['a', randn([256, 1024])]]));
  const before = memoryStats().hostBytes;
  const parameter = scope(() => new Parameter(zeros([256, 1024])));
  assert.equal(memoryStats().hostBytes - before, 2 ** 20);
  scope(() => {
    parameter.view(-1);
    assert.equal(memoryStats().hostBytes - before, 2 ** 20);
    readSafetensors(path);
    assert.equal(memoryStats().hostBytes - before, 2 ** 20);
  });
  assert.equal(memoryStats().hostBytes - before, 2 ** 20);
  parameter.dispose();
  assert.equal(memoryStats().hostBytes, before);
});

const residentFileKiB = (): number =>
  Number(/RssFile:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? Number.NaN);

test('forgetPages lets go of mapped memory, which reads the same afterwards', {
  skip: process.platform !== 'linux',
}, () => {
  const path = join(root, 'large.safetensors');
  scope(() =>
    writeSafetensors(path, [
      ['a', randn([2048, 4096])],
      ['b', randn([3])],
    ]),
  );
  scope(() => {
    const file = readSafetensors(path);
    const a = file.get('a') as Tensor;
    const sum = a.sum().item();
    const read = residentFileKiB();
    assert.equal(forgetPages(a), true);
    assert.ok(read - residentFileKiB() > 30_000, `${read} KiB, then ${residentFileKiB()} KiB`);
    assert.equal(a.sum().item(), sum);
    assert.equal(forgetPages(zeros([3])), false);
  });
});
