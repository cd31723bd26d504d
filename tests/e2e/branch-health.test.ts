/** Whether both encoders of the embedded model take part, as commands tell it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { commlm, ROOT } from '../helpers/cli.js';

const model = join(ROOT, 'models', 'comm-tiny');
const examples = join(ROOT, 'examples');

interface Report {
  readonly health: {
    readonly pictures: number;
    readonly branches: readonly { readonly type: string; readonly verdict: string; readonly trouble: string | null }[];
    readonly levels: readonly (readonly { readonly level: number; readonly varianceShare: number }[])[];
  };
}

test('inspect says that the embedded model has a constant DINOv2 branch, on pictures of a folder, the same each time', async () => {
  const args = ['inspect', model, '--health', examples, '--json'];
  const [first, second] = [await commlm(args), await commlm(args)];
  assert.equal(first.code, 0, first.stderr);
  assert.equal(second.stdout, first.stdout);
  const { health } = JSON.parse(first.stdout) as Report;
  assert.deepEqual(
    health.branches.map(({ type, verdict }) => [type, verdict]),
    [
      ['clip', 'alive'],
      ['dinov2', 'constant'],
    ],
  );
  assert.equal(health.branches[0]?.trouble, null);
  assert.match(health.branches[1]?.trouble ?? '', /^The dinov2 branch \(encoder 1\) is constant: /);
  assert.deepEqual(
    health.levels.map((levels) => levels.map(({ level }) => level)),
    [
      [1, 2, 3, 4, 5, 6],
      [4, 5, 6],
    ],
  );
  for (const levels of health.levels) {
    assert.ok(Math.abs(levels.reduce((sum, { varianceShare }) => sum + varianceShare, 0) - 1) < 1e-9);
  }
});

test('one picture is too few, and one that is not there is named', async () => {
  const one = await commlm(['inspect', model, '--health', join(examples, 'park.png')]);
  assert.equal(one.code, 1);
  assert.match(one.stderr, /Give at least two pictures/);
  const none = await commlm(['inspect', model, '--health', 'nothing.png']);
  assert.match(none.stderr, /nothing\.png/);
});
