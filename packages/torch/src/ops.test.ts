/** Dispatch by schema name: conversions of arguments and results, and that no wrong call gets past an exception. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  full,
  generator,
  io,
  isLoaded,
  listSchemas,
  manualSeed,
  ones,
  op,
  schemaOf,
  scope,
  TorchError,
  tensor,
  untypedOp,
  versionInfo,
  zeros,
} from './index.js';

/** A callable without types, to pass what the types forbid. */
const raw = (name: string) => untypedOp(name);

test('importing the package loads nothing native', () => {
  assert.equal(isLoaded(), false);
  op('aten::add.Tensor');
  assert.equal(isLoaded(), false);
  assert.match(versionInfo().torch, /^2\.\d+/);
  assert.equal(isLoaded(), true);
});

test('operators are found by schema name', () => {
  assert.match(schemaOf('aten::relu'), /^aten::relu\(Tensor self\) -> Tensor$/);
  const schemas = listSchemas();
  assert.ok(schemas.length > 2500);
  assert.ok(schemas.some((schema) => schema.startsWith('aten::add.Tensor(')));
});

test('arguments of every kind are converted', () => {
  scope(() => {
    const x = tensor([
      [1, -2],
      [3, 4],
    ]);
    assert.deepEqual(
      op('aten::add.Tensor')(x, x, 2).tolist(),
      [
        [3, -6],
        [9, 12],
      ],
      'Scalar with a default',
    );
    assert.deepEqual([...op('aten::sum.dim_IntList')(x, [0]).shape], [2], 'int[]');
    assert.deepEqual(op('aten::cat')([x, x], 1).shape[1], 4, 'Tensor[]');
    assert.equal(op('aten::to.dtype')(x, 'bf16').dtype, 'bf16', 'ScalarType');
    assert.equal(op('aten::gelu')(x, 'tanh').dtype, 'f32', 'str');
    assert.equal(op('aten::zeros')([2], 'i64', 'strided', 'meta').device, 'meta', 'Layout and Device');
    assert.deepEqual(
      op('aten::index.Tensor')(x, [null, tensor([1], { dtype: 'i64' })]).tolist(),
      [[-2], [4]],
      'Tensor?[]',
    );
    assert.equal(op('aten::norm.Scalar')(x, 2n).dtype, 'f32', 'bigint as Scalar');
    assert.deepEqual(op('aten::max_pool2d')(ones([1, 1, 4, 4]), 2 as never).shape[2], 2, 'one int for int[2]');
    assert.equal(op('aten::full')([1], 2n ** 62n, 'i64').toArray()[0], 2n ** 62n, 'a bigint beyond 2^53');
    const sample = () => op('aten::normal_')(zeros([3]), 0, 1, generator(5)).tolist();
    assert.deepEqual(sample(), sample(), 'Generator');
    const strides = op('aten::contiguous')(zeros([1, 2, 3, 3]), 'channels_last').facts().strides;
    assert.deepEqual(strides, [18, 1, 6, 2], 'MemoryFormat');
  });
});

test('results of every kind come back', () => {
  scope(() => {
    const x = tensor([
      [1, 5],
      [3, 4],
    ]);
    const [values, indices] = op('aten::max.dim')(x, 1);
    assert.deepEqual(
      [values.tolist(), indices.tolist()],
      [
        [5, 4],
        [1, 1],
      ],
      'a tuple',
    );
    assert.equal(op('aten::split.Tensor')(x, 1).length, 2, 'a list');
    assert.equal(op('aten::size.int')(x, 0), 2, 'an int');
    assert.equal(op('aten::equal')(x, x), true, 'a bool');
    assert.equal(op('aten::_local_scalar_dense')(full([], 2n ** 60n, { dtype: 'i64' })), 2n ** 60n, 'a bigint');
    assert.equal(op('aten::_foreach_add_.Scalar')([x], 1), undefined, 'nothing');
    assert.deepEqual(x.tolist(), [
      [2, 6],
      [4, 5],
    ]);
  });
});

test('whole numbers are integer scalars, so that dtypes promote as in Python', () => {
  scope(() => {
    const whole = tensor([1, 2], { dtype: 'i64' });
    assert.equal(whole.mul(2).dtype, 'i64');
    assert.equal(whole.mul(2.5).dtype, 'f32');
    assert.equal(tensor([1], { dtype: 'bf16' }).add(0.5).dtype, 'bf16');
  });
});

test('in-place and out= operators return the object that they were given', () => {
  scope(() => {
    const [x, out] = [ones([2]), zeros([2])];
    assert.equal(op('aten::add_.Scalar')(x, 1), x);
    assert.equal(raw('aten::add.out')(x, x, 1, out), out);
    assert.deepEqual(out.tolist(), [4, 4]);
    const flat = zeros([4]);
    assert.deepEqual([...flat.shape], [4]);
    assert.equal(op('aten::unsqueeze_')(flat, 0), flat);
    assert.deepEqual([...flat.shape], [1, 4], 'what was remembered about it is forgotten');
  });
});

test('wrong arguments are TypeErrors that name the operator and the argument', () => {
  scope(() => {
    const x = ones([2]);
    const add = raw('aten::add.Tensor');
    const wrong: [() => unknown, RegExp][] = [
      [() => add(), /^aten::add\.Tensor: argument "self" is missing$/],
      [() => add(x), /argument "other" is missing/],
      [() => add(x, x, 1, 2), /takes 3 arguments, got 4/],
      [() => add(x, 'text'), /argument "other" must be a Tensor, got a string/],
      [() => add(x, 5), /argument "other" must be a Tensor, got a number/],
      [() => add(x, {}), /must be a Tensor, got a/],
      [() => add(null, x), /"self" cannot be null/],
      [() => add(x, x, 'one'), /argument "alpha" must be a number, bigint or boolean, got a string/],
      [() => add(x, x, x), /argument "alpha" must be a number, bigint or boolean/],
      [() => raw('aten::sum.dim_IntList')(x, [0.5]), /"dim" must be an integer, got 0\.5/],
      [() => raw('aten::sum.dim_IntList')(x, [Number.NaN]), /"dim" must be an integer/],
      [() => raw('aten::sum.dim_IntList')(x, [Number.POSITIVE_INFINITY]), /"dim" must be an integer/],
      [() => raw('aten::sum.dim_IntList')(x, [2 ** 60]), /"dim" must be an integer/],
      [() => raw('aten::sum.dim_IntList')(x, ['0']), /"dim" must be an integer, got a string/],
      [() => raw('aten::sum.dim_IntList')(x, 'x'), /"dim" must be/],
      [() => raw('aten::sum.dim_IntList')(x, [0], 'yes'), /"keepdim" must be a boolean, got a string/],
      [() => raw('aten::cat')(x), /"tensors" must be an array of Tensors/],
      [() => raw('aten::cat')([x, 3]), /must be a Tensor, got a number/],
      [() => raw('aten::cat')([x, null]), /"tensors"/],
      [() => raw('aten::to.dtype')(x, 'float32'), /"dtype" is no dtype: "float32"/],
      [() => raw('aten::to.dtype')(x, 32), /"dtype" must be a string, got a number/],
      [() => raw('aten::gelu')(x, 1), /"approximate" must be a string, got a number/],
      [() => raw('aten::select.int')(x, 0, 2n ** 70n), /"index" must be an integer/],
      [() => raw('aten::dropout')(x, '0.5', true), /"p" must be a number, got a string/],
    ];
    for (const [call, message] of wrong) assert.throws(call, { name: 'TypeError', message }, String(call));
    assert.throws(() => raw('aten::nothing')(x), { name: 'TypeError', message: /has no operator "aten::nothing"/ });
    assert.throws(() => raw('nonsense')(x), TypeError);
    assert.throws(() => raw('')(x), TypeError);
    assert.throws(() => raw('aten::normal_')(x, 0, 1, 'seed'), TypeError);
    assert.throws(() => raw('aten::normal_')(x, 0, 1, {}), TypeError);
  });
});

test('a disposed tensor is a TypeError wherever it is used', () => {
  scope(() => {
    const [x, gone] = [ones([2]), ones([2])];
    gone.dispose();
    gone.dispose();
    assert.ok(gone.disposed);
    const isDisposed = { name: 'TypeError', message: /disposed tensor/ };
    assert.throws(() => x.add(gone), isDisposed);
    assert.throws(() => gone.add_(1), isDisposed);
    assert.throws(() => op('aten::cat')([x, gone]), isDisposed);
    assert.throws(() => op('aten::index.Tensor')(x, [gone]), isDisposed);
    assert.throws(() => gone.shape, isDisposed);
    assert.throws(() => gone.toArray(), isDisposed);
    assert.throws(() => gone.backward(), isDisposed);
    assert.throws(() => gone.grad, isDisposed);
    assert.throws(() => gone.requiresGrad_(), isDisposed);
    assert.throws(() => {
      x.grad = gone;
    }, isDisposed);
    assert.throws(() => io.writeSafetensors('/nowhere', [['x', gone]]), isDisposed);
    assert.equal(String(gone), 'Tensor(disposed)');
  });
});

test('a stale id is found out, even after its slot was given to another tensor', () => {
  scope(() => {
    const old = ones([1]);
    const { id } = old;
    old.dispose();
    const fresh = zeros([1]);
    old.id = id;
    assert.throws(() => old.item(), { name: 'TypeError', message: /disposed tensor/ });
    old.dispose();
    assert.equal(fresh.item(), 0);
  });
});

test('what libtorch refuses is a TorchError of one line, without a C++ back trace', () => {
  scope(() => {
    const failures = [
      () => ones([2, 3]).matmul(ones([2, 3])),
      () => ones([2]).view(3),
      () => ones([2]).add(ones([3])),
      () => ones([2]).select(0, 5),
      () => ones([2], { dtype: 'i64' }).requiresGrad_(),
      () => ones([1]).to('cuda:99'),
      () => ones([1]).to('mps:7' as 'mps'),
      () => op('aten::cat')([]),
    ];
    for (const fail of failures) {
      assert.throws(fail, (error: Error) => {
        assert.ok(/Error$/.test(error.name), String(fail));
        assert.ok(!/Exception raised|frame #|\.cpp:\d|C\+\+|0x[0-9a-f]{6}/.test(error.message), error.message);
        return true;
      });
    }
    assert.throws(() => ones([2, 3]).matmul(ones([2, 3])), {
      name: 'TorchError',
      code: 'ERR_TORCH',
      message: /^aten::matmul: mat1 and mat2 shapes cannot be multiplied \(2x3 and 2x3\)$/,
    });
    assert.throws(() => op('aten::add.Tensor')(ones([2]), ones([3])), TorchError);
  });
});

test('memory that cannot be had is an error, not the end', () => {
  scope(() => {
    assert.throws(
      () => zeros([2 ** 50]),
      (error: TorchError) => error.code === 'ERR_TORCH_OOM',
    );
    assert.equal(ones([1]).item(), 1);
  });
});

test('fuzz: no operator survives nonsense with anything but an exception', () => {
  scope(() => {
    manualSeed(0);
    const values: unknown[] = [
      undefined,
      null,
      0,
      -1,
      2.5,
      Number.NaN,
      'x',
      '',
      true,
      [],
      [1],
      ['a'],
      {},
      () => 0,
      5n,
      Symbol('s'),
      ones([2]),
    ];
    const names = [
      'add.Tensor',
      'cat',
      'sum.dim_IntList',
      'view',
      'index.Tensor',
      'softmax.int',
      'zeros',
      'linear',
      'conv2d',
      'normal_',
      'embedding',
      'where.self',
      'topk',
    ];
    let seed = 1;
    const random = (n: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % n;
    };
    for (const name of names) {
      const call = raw(`aten::${name}`);
      for (let i = 0; i < 200; i++) {
        const args = Array.from({ length: random(6) }, () => values[random(values.length)]);
        scope(() => {
          try {
            call(...args);
          } catch (error) {
            assert.ok(
              error instanceof Error && /^(TypeError|TorchError|RangeError)$/.test(error.name),
              `${name}: ${error}`,
            );
          }
        });
      }
    }
  });
});
