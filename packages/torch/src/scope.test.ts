/** Scopes, the finalizer net and the counters: what lives, what goes, and when. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { keep, liveTensors, memoryStats, nn, noGrad, ones, scope, type Tensor, traceTensors, zeros } from './index.js';
import { expectRounded, withStrictScopes } from './testing.js';

const live = () => memoryStats().liveTensors;

test('a scope drops what was made inside and gives back what it returns', () => {
  const before = live();
  let inner: Tensor | undefined;
  const out = scope(() => {
    inner = ones([2]);
    return inner.add(1);
  });
  assert.ok(inner?.disposed);
  assert.deepEqual(out.tolist(), [2, 2]);
  assert.equal(live() - before, 1);
  out.dispose();
  assert.equal(live(), before);
});

test('arrays, maps, sets and plain objects of results are walked', () => {
  const before = live();
  const made = scope(() => ({
    list: [ones([1]), [ones([1])]],
    map: new Map([['x', ones([1])]]),
    set: new Set([ones([1])]),
    none: null,
    text: 'x',
  }));
  assert.equal(live() - before, 4);
  const all = [made.list[0], (made.list[1] as Tensor[])[0], made.map.get('x'), ...made.set] as Tensor[];
  assert.ok(all.every((t) => !t.disposed));
  for (const t of all) t.dispose();
});

test('scopes nest: a result belongs to the scope around', () => {
  const before = live();
  scope(() => {
    const outer = ones([1]);
    const [result, hidden] = scope(() => {
      const temporary = outer.add(1);
      return [temporary.mul(2), 5] as const;
    });
    assert.equal(hidden, 5);
    assert.equal(result.item(), 4);
    assert.equal(live() - before, 2);
  });
  assert.equal(live(), before);
});

test('a tensor from outside is not touched by an inner scope', () => {
  const outer = ones([1]);
  assert.equal(
    scope(() => outer),
    outer,
  );
  scope(() => outer.add_(1));
  assert.equal(outer.item(), 2);
  outer.dispose();
});

test('a throw cleans up and leaves the scope around usable', () => {
  const before = live();
  scope(() => {
    assert.throws(
      () =>
        scope(() => {
          scope(() => {
            ones([1]);
            throw new RangeError('stop');
          });
        }),
      RangeError,
    );
    assert.equal(live(), before);
    ones([1]);
    assert.equal(live() - before, 1);
  });
  assert.equal(live(), before);
});

test('a Promise is refused, and what was made before it is dropped', async () => {
  const before = live();
  const refused = { name: 'TypeError', message: /asynchronous/ };
  assert.throws(() => scope(async () => void ones([1])), refused);
  // biome-ignore lint/suspicious/noThenProperty: any thenable counts
  assert.throws(() => scope(() => ({ then: () => {} })), refused);
  assert.throws(() => noGrad(async () => {}), { name: 'TypeError', message: /synchronous/ });
  assert.equal(live(), before);
});

test('keep exempts a tensor, or all in a structure, from every scope', () => {
  const before = live();
  const kept: Tensor[] = [];
  scope(() => {
    scope(() => {
      kept.push(keep(ones([1])));
      kept.push(...keep({ a: [ones([1])] }).a);
      zeros([1]);
    });
  });
  assert.equal(live() - before, 2);
  assert.ok(kept.every((t) => !t.disposed));
  for (const t of kept) t.dispose();
  assert.equal(live(), before);
});

test('dropping handles never breaks a gradient that is still to come', () => {
  scope(() => {
    const x = ones([3]).requiresGrad_();
    const loss = scope(() => x.mul(2).exp().mul(x).sum());
    loss.backward();
    expectRounded(
      x.grad as Tensor,
      [1, 1, 1].map(() => 3 * Math.E ** 2),
      { steps: 5 },
    );
  });
});

test('using disposes at the end of a block', () => {
  const before = live();
  {
    using x = ones([1]);
    assert.equal(x.item(), 1);
  }
  assert.equal(live(), before);
});

test('strict scopes refuse an unscoped tensor and keep none of it', () => {
  const before = live();
  withStrictScopes(() => {
    assert.throws(() => ones([1]), { name: 'TorchError', code: 'ERR_TORCH_SCOPE' });
    scope(() => void ones([1]).add(1));
    new nn.Linear(2, 2).dispose();
  });
  assert.equal(live(), before);
});

test('host bytes count storages, not views', () => {
  scope(() => {
    const before = memoryStats().hostBytes;
    const x = zeros([1000]);
    assert.equal(memoryStats().hostBytes - before, 4000);
    x.view(10, 100).t();
    x.slice(0, 5);
    assert.equal(memoryStats().hostBytes - before, 4000);
  });
});

test('liveTensors names the lines that made what is alive', () => {
  traceTensors(true);
  try {
    scope(() => {
      const x = zeros([2, 3], { dtype: 'bf16' });
      const listed = liveTensors().filter(({ shape }) => shape.join() === '2,3');
      assert.equal(listed.length, 1);
      assert.equal(listed[0]?.dtype, 'bf16');
      assert.match(listed[0]?.site ?? '', /scope\.test\.[jt]s/);
      x.dispose();
      assert.equal(liveTensors().filter(({ shape }) => shape.join() === '2,3').length, 0);
    });
  } finally {
    traceTensors(false);
  }
});

test('unscoped tensors that nobody holds are freed by the garbage collector', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const before = live();
  (() => {
    for (let i = 0; i < 500; i++) ones([10]).add(1);
  })();
  const held = ones([1]);
  assert.ok(live() - before >= 1001);
  for (let i = 0; i < 20 && live() - before > 1; i++) {
    gc();
    await setImmediate();
  }
  assert.ok(live() - before <= 1, `${live() - before} are left`);
  assert.equal(held.item(), 1);
  held.dispose();
});

test('a tensor that was disposed by hand is not freed twice by the collector', async () => {
  const gc = runInNewContext('gc') as () => void;
  (() => {
    for (let i = 0; i < 100; i++) ones([1]).dispose();
  })();
  const fresh = Array.from({ length: 100 }, (_, i) => zeros([1]).add(i));
  for (let i = 0; i < 5; i++) {
    gc();
    await setImmediate();
  }
  assert.deepEqual(
    fresh.map((t) => t.item()),
    Array.from({ length: 100 }, (_, i) => i),
  );
  for (const t of fresh) t.dispose();
});

test('the memory of 300 unreferenced tensors of 8 MB does not pile up in a loop with scopes', () => {
  const start = process.memoryUsage.rss();
  for (let i = 0; i < 300; i++) scope(() => void ones([2_000_000]).add(1));
  assert.ok(process.memoryUsage.rss() - start < 200e6);
});
