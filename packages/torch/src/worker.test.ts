/** Worker threads: each loads the addon for itself, computes, and ends without harm to the others. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ones, scope } from './index.js';

const INDEX = new URL('./index.js', import.meta.url).href;

function run(body: string): Worker {
  const source = `import(${JSON.stringify(INDEX)}).then((torch) => {
    const { parentPort } = require('node:worker_threads');
    ${body}
  })`;
  return new Worker(source, { eval: true });
}

test('several workers compute at once, each with its own handles and gradient mode', async () => {
  const body = `
    const { scope, ones, F, nn, noGrad, memoryStats } = torch;
    const before = memoryStats().liveTensors;
    const value = scope(() => {
      const x = ones([64, 64], { requiresGrad: true });
      for (let i = 0; i < 20; i++) noGrad(() => x.matmul(x));
      x.mul(2).sum().backward();
      return x.grad.sum().item();
    });
    parentPort.postMessage([value, memoryStats().liveTensors - before]);`;
  const here = ones([4]);
  const results = await Promise.all(Array.from({ length: 3 }, async () => (await once(run(body), 'message'))[0]));
  assert.deepEqual(results, [
    [8192, 0],
    [8192, 0],
    [8192, 0],
  ]);
  assert.equal(here.sum().item(), 4);
  here.dispose();
});

test('a worker that ends with tensors alive, or is terminated, leaves this thread as it was', async () => {
  const idle = run('globalThis.kept = torch.ones([1000]); parentPort.postMessage(1);');
  await once(idle, 'message');
  const [code] = await once(idle, 'exit');
  assert.equal(code, 0);
  const busy = run(`
    const x = torch.ones([200, 200]);
    parentPort.postMessage(1);
    for (;;) torch.scope(() => x.matmul(x));`);
  await once(busy, 'message');
  await busy.terminate();
  assert.equal(
    scope(() => ones([3]).sum().item()),
    3,
  );
});

test('an error in a worker is an error, not a crash', async () => {
  const worker = run(`
    try { torch.ones([2]).matmul(torch.ones([3])); } catch (error) { parentPort.postMessage([error.name, error.message]); }`);
  const [[name, message]] = await once(worker, 'message');
  assert.equal(name, 'TorchError');
  assert.match(message, /^aten::matmul: /);
});
