/** Measurements in turns: an abort is answered between two steps and ends a peer that computes; long rows are announced. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare, Peer } from './peer.js';
import { announce, betweenSteps } from './suite.js';

/** A peer that is ready and never answers. */
const SILENT = `console.log(JSON.stringify({ ready: true, versions: {}, threads: 1 })); setInterval(() => {}, 1000);`;

test('an abort ends a peer in the middle of its measurement, with the reason', async () => {
  const controller = new AbortController();
  const peer = await Peer.spawn(process.execPath, ['-e', SILENT], 1, controller.signal);
  assert.ok(peer instanceof Peer);
  const reason = new Error('asked to stop');
  setTimeout(() => controller.abort(reason), 100);
  await assert.rejects(
    compare(() => 1, peer, { rounds: 100, signal: controller.signal }),
    reason,
  );
});

test('an abort is heard between two rounds of our own side', async () => {
  const controller = new AbortController();
  let numRounds = 0;
  const ours = (): number => {
    if (++numRounds === 2) controller.abort(new Error('asked to stop'));
    return 1;
  };
  await assert.rejects(compare(ours, undefined, { rounds: 100, signal: controller.signal }), /asked to stop/);
  assert.equal(numRounds, 2);
  await assert.rejects(betweenSteps(controller.signal), /asked to stop/);
});

test('a signal that comes while a step computes is heard before the next one', async () => {
  const controller = new AbortController();
  setImmediate(() => controller.abort(new Error('asked to stop')));
  await assert.rejects(betweenSteps(controller.signal), /asked to stop/);
});

test('a row that takes long is announced, a short one is not', () => {
  const told: number[] = [];
  announce(3000, 9, (ms) => told.push(ms));
  announce(300, 9, (ms) => told.push(ms));
  assert.deepEqual(told, [27_000]);
});
