/** Progress on a pipe and on a terminal: how often, what it says, and never a division by zero. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress, type ProgressOptions } from './progress.js';

/** A progress display whose clock and stream are the test's. */
function watched(options: Partial<ProgressOptions>): { progress: Progress; written: string[]; clock: { ms: number } } {
  const written: string[] = [];
  const clock = { ms: 1000 };
  const stream = { write: (text: string) => written.push(text) > 0 } as unknown as NodeJS.WriteStream;
  const progress = new Progress({
    label: 'asking',
    total: 10,
    unit: 'pictures',
    stream,
    now: () => clock.ms,
    ...options,
  });
  return { progress, written, clock };
}

test('a pipe gets a line now and then, and one at the end', () => {
  const { progress, written, clock } = watched({ bar: false });
  for (let done = 1; done <= 10; done++) {
    clock.ms += 1000;
    progress.update(done);
  }
  progress.finish();
  assert.deepEqual(written, [
    'asking 5/10 pictures, 1.00/s, 5.0 s left\n',
    'asking 10/10 pictures, 1.00/s, took 10.0 s\n',
    'asking 10/10 pictures, 1.00/s, took 10.0 s\n',
  ]);
});

test('a terminal gets a bar that redraws itself and makes way for notes', () => {
  const { progress, written, clock } = watched({ bar: true });
  progress.update(0);
  clock.ms += 50;
  progress.update(1); // too soon to draw again
  clock.ms += 450;
  progress.update(5);
  progress.note('a note');
  progress.finish();
  const text = written.join('');
  assert.match(text, /\[#{12}\.{12}\] 5\/10 pictures, 10\.0\/s, 500 ms left/);
  assert.ok(text.includes('\r\x1b[Ka note\n'), text);
  assert.ok(text.endsWith('\n'));
  assert.equal(written.filter((part) => part.includes(' 1/10')).length, 0);
});

test('what an earlier run did counts in the bar, not in the rate', () => {
  const { progress, written, clock } = watched({ bar: false, start: 8 });
  clock.ms += 10_000;
  progress.update(9);
  assert.equal(written[0], 'asking 9/10 pictures, 0.100/s, 10.0 s left\n');
});

test('nothing to do is no division by zero', () => {
  const { progress, written } = watched({ bar: true, total: 0 });
  progress.finish();
  assert.match(written.join(''), /\[#{24}\] 0\/0/);
});
