/**
 * Arguments that change while they are read: getters, setters and proxies that resize buffers, dispose tensors or resolve
 * operators, and lists without end. Each is a TypeError or the right answer. tools/sanitize.mjs runs this file under
 * AddressSanitizer, where a read of freed memory cannot pass for luck.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  fromBytes,
  generator,
  io,
  keep,
  listSchemas,
  memoryStats,
  type Nested,
  nn,
  ones,
  scope,
  type Tensor,
  tensor,
  untypedOp,
  zeros,
} from './index.js';
import { native } from './native.js';

/** A callable without types, to pass what the types forbid. */
const raw = (name: string) => untypedOp(name);

/** A list whose element `at` runs `act` when it is read. */
function trapped<T>(values: readonly T[], at: number, act: () => void): T[] {
  const list = [...values];
  const value = list[at];
  Object.defineProperty(list, at, {
    get: () => {
      act();
      return value;
    },
  });
  return list;
}

/** Buffers that change size are in Node 20, and not yet in the types of ES2023. */
interface Resizable extends ArrayBuffer {
  resize(bytes: number): void;
}
const resizable = (bytes: number, most = bytes): Resizable =>
  new (ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => Resizable)(bytes, {
    maxByteLength: most,
  });

const detach = (buffer: ArrayBuffer): void => void structuredClone(buffer, { transfer: [buffer] });

let names: string[] | undefined;

/** Resolves enough new operators for any table of them to move. */
function resolveMany(first: number, count: number): void {
  names ??= listSchemas().flatMap((schema) => /^aten::[a-z][\w.]*/.exec(schema)?.[0] ?? []);
  for (const name of names.slice(first, first + count)) native().resolve(name);
}

/** Runs `fn` while arrays or objects made by the addon meet a setter on their prototype, which acts once. */
function withSetter(prototype: object, key: string, act: () => void, fn: () => void): void {
  let acted = false;
  const set = (): void => {
    if (acted) return;
    acted = true;
    act();
  };
  Object.defineProperty(prototype, key, { set, get: () => undefined, configurable: true });
  try {
    fn();
  } finally {
    delete (prototype as Record<string, unknown>)[key];
  }
  assert.ok(acted, `the setter of ${key} ran`);
}

const LARGE = 1 << 22;

test('a buffer that shrinks while the shape is read is found too small', () => {
  for (const size of [0, 16]) {
    const buffer = resizable(4 * LARGE);
    const shape = trapped([1, LARGE], 0, () => buffer.resize(size));
    assert.throws(() => fromBytes(new Float32Array(buffer), shape, 'f32'), {
      name: 'TypeError',
      message: new RegExp(`asks for ${4 * LARGE} bytes, the data has ${size}$`),
    });
  }
  const buffer = resizable(4 * LARGE);
  const shape = trapped([LARGE], 0, () => buffer.resize(0));
  assert.throws(() => tensor(new Float32Array(buffer), { shape }), TypeError);
});

test('a buffer that is transferred while the shape is read is found empty', () => {
  const buffer = new ArrayBuffer(4 * LARGE);
  const shape = trapped([LARGE], 0, () => detach(buffer));
  assert.throws(() => fromBytes(new Float32Array(buffer), shape, 'f32'), {
    name: 'TypeError',
    message: /the data has 0$/,
  });
});

test('a part of a buffer that no longer exists is empty', () => {
  const buffer = resizable(64, 128);
  const part = new Float32Array(buffer, 32, 8);
  buffer.resize(48);
  assert.throws(() => fromBytes(part, [8], 'f32'), TypeError);
  const tracking = new Float32Array(buffer);
  buffer.resize(128);
  scope(() => assert.deepEqual([...tensor(tracking).shape], [32]));
  detach(buffer);
  assert.throws(() => fromBytes(tracking, [32], 'f32'), TypeError);
  scope(() => assert.deepEqual([...tensor(tracking).shape], [0]));
});

test('shared memory that grows while the shape is read is taken as it is then', () => {
  const shared = new (
    SharedArrayBuffer as unknown as new (
      bytes: number,
      options: { maxByteLength: number },
    ) => SharedArrayBuffer & { grow(bytes: number): void }
  )(16, { maxByteLength: 64 });
  const data = new Float32Array(shared);
  data.fill(3);
  scope(() => {
    const shape = trapped([8], 0, () => shared.grow(32));
    assert.deepEqual(fromBytes(data, shape, 'f32').tolist(), [3, 3, 3, 3, 0, 0, 0, 0]);
    const fixed = new Float32Array(new SharedArrayBuffer(8)).fill(2);
    assert.deepEqual(tensor(fixed).tolist(), [2, 2]);
  });
});

test('an operator keeps its name and schema while others are resolved by its arguments', () => {
  scope(() => {
    const x = ones([2, 3]);
    const sum = raw('aten::sum.dim_IntList');
    // A short name lies in the entry itself, and moves with it.
    const wrong = trapped<unknown>([0, 'x'], 0, () => resolveMany(0, 1500));
    assert.throws(() => raw('aten::permute')(x, wrong), {
      name: 'TypeError',
      message: 'aten::permute: argument "dims" must be an integer, got a string',
    });
    const right = trapped([0], 0, () => resolveMany(1500, 1500));
    assert.deepEqual((sum(x, right) as Tensor).tolist(), [2, 2, 2]);
  });
});

test('a tensor that is disposed while later arguments are read is used as it was', () => {
  scope(() => {
    const x = ones([LARGE]);
    const others: Tensor[] = [];
    const dims = trapped([0], 0, () => {
      x.dispose();
      for (let i = 0; i < 100; i++) others.push(zeros([LARGE / 64]));
    });
    assert.equal((raw('aten::sum.dim_IntList')(x, dims) as Tensor).item(), LARGE);

    const [a, b] = [ones([LARGE]), ones([LARGE])];
    const ids = trapped([a.id, b.id], 1, () => native().release(a.id));
    const joined = native().call(native().resolve('aten::cat').index, ids) as number;
    assert.deepEqual([...native().shape(joined)], [2 * LARGE]);
    native().release(joined);
    const list = trapped([b, b], 1, () => b.dispose());
    assert.throws(() => raw('aten::cat')(list), { name: 'TypeError', message: /disposed tensor/ });
  });
});

test('a list of tensors is as long as it was when reading began', () => {
  scope(() => {
    const x = ones([1]);
    const cat = raw('aten::cat');
    const growing: Tensor[] = [x, x];
    const grow = (at: number): void => {
      Object.defineProperty(growing, at, {
        get: () => {
          grow(growing.length);
          return x;
        },
        configurable: true,
      });
    };
    grow(0);
    assert.deepEqual([...(cat(growing) as Tensor).shape], [2]);
    const shrinking = trapped([x, x, x], 0, () => {
      shrinking.length = 1;
    });
    assert.throws(() => cat(shrinking), { name: 'TypeError', message: /"tensors" must be a Tensor, got undefined/ });
    const numbers = trapped([0, 1], 0, () => {
      numbers.length = 1;
    });
    assert.throws(() => raw('aten::permute')(ones([2, 2]), numbers), /"dims" must be an integer, got undefined/);
    assert.deepEqual([...(cat(new Proxy([x, x], {})) as Tensor).shape], [2]);
    class Odd extends Array<Tensor> {
      static override get [Symbol.species](): ArrayConstructor {
        return Object as unknown as ArrayConstructor;
      }
    }
    assert.deepEqual([...(cat(Odd.from([x, x])) as Tensor).shape], [2]);
  });
});

test('what a getter throws comes through', () => {
  const fault = new Error('mine');
  const shape = trapped([1], 0, () => {
    throw fault;
  });
  scope(() => {
    assert.throws(() => fromBytes(new Float32Array(1), shape, 'f32'), fault);
    assert.throws(() => zeros(shape), fault);
    assert.throws(() => raw('aten::cat')(trapped([ones([1])], 0, () => assert.fail(fault))), fault);
  });
});

test('a sparse list that claims billions of elements is refused at once', () => {
  const endless = new Array(2 ** 32 - 1) as never[];
  const before = process.memoryUsage.rss();
  scope(() => {
    assert.throws(() => fromBytes(new Float32Array(1), endless, 'f32'), TypeError);
    assert.throws(() => zeros(endless), TypeError);
    assert.throws(() => raw('aten::cat')(endless), TypeError);
    const { index } = native().resolve('aten::index.Tensor');
    assert.throws(() => native().call(index, ones([1]).id, endless), TypeError);
    assert.throws(() => native().backward(endless, null, false), TypeError);
    assert.throws(() => native().backward([ones([1]).id], endless, false), TypeError);
    assert.throws(() => native().releaseMany(endless), TypeError);
    assert.throws(() => tensor(endless as unknown as Nested), TypeError);
    assert.throws(() => tensor([endless] as unknown as Nested), TypeError);
  });
  assert.ok(process.memoryUsage.rss() - before < 2 ** 30);
});

test('setters on prototypes cannot touch what a result is made of', () => {
  const shape = scope(() => {
    const x = keep(ones([3, 5]));
    const id = x.id;
    const resize = raw('aten::resize_');
    // More axes than a tensor has room for in itself: they lie in memory that resizing gives back.
    resize(x, [1, 1, 1, 1, 1, 1, 1, 4]);
    withSetter(
      Array.prototype,
      '0',
      () => void resize(x, [4]),
      () => native().shape(id),
    );
    withSetter(
      Object.prototype,
      'contiguous',
      () => void resize(x, [2, 2]),
      () => native().facts(id),
    );
    withSetter(
      Object.prototype,
      'index',
      () => resolveMany(0, 3000),
      () => native().resolve('aten::hardswish'),
    );
    const { shape } = x;
    x.dispose();
    return shape;
  });
  assert.deepEqual([...shape], [2, 2]);
});

test('lists that hold themselves, or are nested too deep, are TypeErrors', () => {
  const self: unknown[] = [];
  self[0] = self;
  assert.throws(() => tensor(self as Nested), { name: 'TypeError', message: /nested more than 64 deep/ });
  const [a, b]: unknown[][] = [[1], [2]];
  a?.unshift(b);
  b?.unshift(a);
  assert.throws(() => tensor(a as Nested), { name: 'TypeError', message: /nested more than 64 deep/ });
  let deep: Nested = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  assert.throws(() => tensor(deep), { name: 'TypeError', message: /nested more than 64 deep/ });
  const endless: unknown = new Proxy([], { get: (_, key) => (key === 'length' ? 1 : endless) });
  assert.throws(() => tensor(endless as Nested), TypeError);
  scope(() => {
    let allowed: Nested = 7;
    for (let i = 0; i < 64; i++) allowed = [allowed];
    assert.equal(tensor(allowed).item(), 7);
  });
});

test('few arrays that stand for more numbers than there is memory are a TorchError', () => {
  let doubled: Nested = [1, 1];
  for (let i = 0; i < 60; i++) doubled = [doubled, doubled];
  assert.throws(() => tensor(doubled), { name: 'TorchError', code: 'ERR_TORCH_OOM' });
});

test('nested lists that change while they are read, or are ragged, are TypeErrors', () => {
  const rows = [
    [1, 2],
    [3, 4],
  ];
  const cut = trapped(rows, 0, () => {
    cut.length = 1;
  });
  const grown = trapped(rows, 1, () => grown.push([5, 6]));
  assert.throws(() => tensor(cut), TypeError);
  scope(() => assert.deepEqual(tensor(grown).tolist(), rows, 'what was added meanwhile is not read'));
  const longer = [[1, 2], trapped([3, 4], 0, () => (longer[1] as number[]).push(5))];
  scope(() =>
    assert.deepEqual(tensor(longer).tolist(), [
      [1, 2],
      [3, 4],
    ]),
  );
  const lengths = [2, 3];
  const lying = new Proxy([1, 2], {
    get: (list, key) => (key === 'length' ? lengths.shift() : Reflect.get(list, key)),
  });
  assert.throws(() => tensor(lying), TypeError);
  const nonsense: unknown[] = [
    [[1, 2], [3]],
    [[1], 2],
    [1, [2]],
    Object.assign(new Array(3), { 0: 1, 2: 3 }),
    [[[]], [[1]]],
    ['1'],
    [null],
    [1n],
    { length: 1 },
    new Proxy([], { get: () => -1 }),
    new Proxy([], { get: () => 'x' }),
    new DataView(new ArrayBuffer(4)),
    () => 1,
  ];
  for (const [i, data] of nonsense.entries()) assert.throws(() => tensor(data as Nested), TypeError, `input ${i}`);
});

test('scope and keep find tensors in structures that hold themselves, or are deep', () => {
  const ring: unknown[] = Array.from({ length: 100 });
  const made = scope(() => {
    const x = ones([2]);
    ring.fill(ring);
    ring[50] = { list: [new Map([['x', x]])] };
    return ring && x;
  });
  assert.deepEqual(made.tolist(), [1, 1]);
  made.dispose();
  const before = memoryStats().liveTensors;
  interface Link {
    readonly next: Link | null;
    readonly value: Tensor;
  }
  let last = scope((): Link => {
    let chain: Link | null = null;
    for (let i = 0; i < 1000; i++) chain = { next: chain, value: zeros([1]) };
    return chain as Link;
  });
  assert.equal(memoryStats().liveTensors - before, 1000);
  keep(last);
  for (;;) {
    last.value.dispose();
    if (last.next === null) break;
    last = last.next;
  }
  const cyclic = scope(() => {
    const all: unknown[] = [zeros([1])];
    for (let i = 0; i < 30; i++) all.push(all);
    return all;
  });
  (cyclic[0] as Tensor).dispose();
  assert.equal(memoryStats().liveTensors, before);
});

test('empty matrices are quantised and multiplied', () => {
  scope(() => {
    const { weight, scale } = nn.quantizeRows(zeros([3, 0]));
    assert.deepEqual([...weight.shape, ...scale.shape], [3, 0, 3]);
    assert.deepEqual(scale.float().tolist(), [0, 0, 0]);
    const linear = raw('commtorch::int8_linear') as (...args: unknown[]) => Tensor;
    const int8 = (...shape: number[]): [Tensor, Tensor] => {
      const { weight, scale } = nn.quantizeRows(ones(shape));
      return [weight, scale];
    };
    for (const rows of [1, 20]) {
      const ofNothing = linear(zeros([rows, 0]), ...int8(3, 0), tensor([2, 3, 4]));
      assert.deepEqual(ofNothing.sum(0).tolist(), [2 * rows, 3 * rows, 4 * rows]);
      assert.deepEqual([...linear(zeros([2, rows, 4]), ...int8(0, 4)).shape], [2, rows, 0]);
      assert.deepEqual([...linear(zeros([0, rows, 4]), ...int8(3, 4)).shape], [0, rows, 3]);
    }
    assert.deepEqual([...nn.quantizeRows(zeros([0, 5])).weight.shape], [0, 5]);
    assert.deepEqual([...nn.quantizeRows(zeros([0, 0])).weight.shape], [0, 0]);
  });
});

test('values are read as they are meant: negated, conjugated and empty views', () => {
  scope(() => {
    const x = tensor([1, -2, 3]);
    assert.deepEqual((raw('aten::_neg_view')(x) as Tensor).tolist(), [-1, 2, -3]);
    const complex = raw('aten::complex')(x, x) as Tensor;
    const conjugate = raw('aten::conj')(complex) as Tensor;
    assert.deepEqual([...new Float32Array(conjugate.toBytes().buffer as ArrayBuffer)], [1, -1, -2, 2, 3, -3]);
    assert.deepEqual((raw('aten::imag')(conjugate) as Tensor).tolist(), [-1, 2, -3]);
    assert.deepEqual((raw('aten::_efficientzerotensor')([4]) as Tensor).toArray(), new Float32Array(4));
    const sparse = raw('aten::to_sparse')(x) as Tensor;
    assert.throws(() => sparse.toArray(), /^TorchError: toArray: .*not strided .*convert it to a dense one/);
    assert.throws(() => zeros([2], { device: 'meta' }).toArray(), /meta tensor has no data/);
  });
});

test('elements that no ArrayBuffer has room for are a TorchError, not the end of the process', () => {
  scope(() => {
    const x = ones([3]);
    const original = globalThis.ArrayBuffer;
    const swap = (made: unknown): void => void Object.assign(globalThis, { ArrayBuffer: made });
    try {
      swap(function none() {
        throw new RangeError('Array buffer allocation failed');
      });
      assert.throws(() => x.toArray(), { name: 'TorchError', code: 'ERR_TORCH_OOM' });
      swap(function smaller() {
        return new original(4);
      });
      assert.throws(() => x.toArray(), { name: 'TypeError', message: /wrong size/ });
      swap(function other() {
        x.dispose();
        return {};
      });
      assert.throws(() => x.toArray(), Error);
    } finally {
      swap(original);
    }
  });
});

test('a gradient fits its tensor and is not the tensor itself', () => {
  scope(() => {
    const x = ones([2], { requiresGrad: true });
    const refused: [Tensor, RegExp][] = [
      [x, /cannot be its own gradient/],
      [ones([3]), /the shape of its tensor/],
      [ones([2], { dtype: 'f64' }), /the dtype of its tensor/],
      [zeros([2], { device: 'meta' }), /the device of its tensor/],
    ];
    for (const [grad, message] of refused) {
      assert.throws(() => {
        x.grad = grad;
      }, message);
    }
    x.grad = ones([2]);
    assert.deepEqual(x.grad?.tolist(), [1, 1]);
  });
});

test('a state of the wrong kind leaves a generator as it was', () => {
  scope(() => {
    const own = generator(3);
    const state = own.getState();
    for (const wrong of [zeros([0], { dtype: 'u8' }), zeros([16], { dtype: 'u8' }), zeros([5056]), ones([])])
      assert.throws(() => own.setState(wrong), { name: 'TorchError', code: 'ERR_TORCH' });
    assert.deepEqual(own.getState().toArray(), state.toArray());
    assert.throws(() => io.writeSafetensors('/nowhere/x', [['x', zeros([1], { device: 'meta' })]]), Error);
  });
});
