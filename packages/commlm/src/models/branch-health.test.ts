/** Health of branches: a dead one is told dead, a live one alive, and the same is measured twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, noGrad, randn, type Tensor } from '@commlm/torch';
import { CommConfig, parseConfig } from '../config/model.js';
import { type BranchHealth, type HealthUnit, judgeBranch, measureBranches, measureLevels } from './branch-health.js';
import { Comm } from './comm.js';
import type { AlignBlock } from './fusion.js';
import { smallComm } from './sample-configs.fixture.js';

/** Units of two pictures whose loss is the distance to the model's own visual tokens at the start, so that every branch counts. */
function unitsOf(model: Comm, count = 4): HealthUnit[] {
  return Array.from({ length: count }, (): HealthUnit => {
    const pixels = model.vision.encoders.map(() => randn([2, 3, 32, 32]));
    const wanted = noGrad(() => model.encodeImages(pixels));
    return {
      levels: () => model.vision.encode(pixels),
      loss: (visual: Tensor) => visual.sub(wanted).pow(2).mean().add(0.01).item(),
    };
  });
}

function modelOf(changes: Partial<CommConfig> = {}): Comm {
  manualSeed(3);
  const model = new Comm(parseConfig(CommConfig, smallComm(changes)));
  model.requiresGrad_(false).eval();
  // What a fresh merge gives is a hundredth of what its maps give later.
  for (const { merge } of model.vision.encoders) {
    for (const [key, weight] of merge.namedParameters()) if (key.startsWith('linears')) weight.mul_(10);
  }
  return model;
}

/** Every unit of the second block far below zero, as in the first four versions of comm-tiny. */
function kill(model: Comm): void {
  const block = model.vision.encoders[1]!.align.blocks[1] as AlignBlock;
  block.fc1.bias!.fill_(-1000);
}

const verdicts = ({ loss, branches }: { loss: number; branches: readonly BranchHealth[] }) =>
  branches.map((branch) => judgeBranch(branch, loss));

test('branches that are both needed are alive, and their shares are whole', () => {
  using model = modelOf();
  const units = unitsOf(model);
  const health = measureBranches(model, units);
  assert.deepEqual(verdicts(health), ['alive', 'alive']);
  assert.equal(health.numPictures, 8);
  const [first, second] = health.branches as [BranchHealth, BranchHealth];
  for (const key of ['varianceShare', 'covarianceShare'] as const) {
    assert.ok(Math.abs(first[key] + second[key] - 1) < 1e-9, key);
    assert.ok(first[key] > 0.001 && second[key] > 0.001, `${first[key]} ${second[key]}`);
  }
  assert.deepEqual(first.active, []);
  assert.equal(second.active.length, 2);
  for (const share of second.active) assert.ok(share > 0.2 && share < 0.8, `${share}`);
  assert.ok(first.knockOut.mean.value > 2 * first.knockOut.mean.error);
  assert.deepEqual(measureBranches(model, units), health, 'nothing is drawn');
});

test('a branch whose alignment is dead is constant, whatever its size, and the other one stays alive', () => {
  using model = modelOf();
  kill(model);
  const health = measureBranches(model, unitsOf(model));
  assert.deepEqual(verdicts(health), ['alive', 'constant']);
  const dead = health.branches[1]!;
  assert.equal(dead.active[1], 0);
  assert.ok(dead.active[0]! > 0.2);
  // Means of equal numbers round.
  assert.ok(dead.varianceShare < 1e-12);
  assert.deepEqual(dead.knockOut.other, { value: 0, error: 0 });
});

test('a branch that varies and that nothing reads is of no use', () => {
  using model = modelOf();
  const width = model.config.vision.encoders[1]!.vit.hiddenSize;
  const projector = [...model.projector.namedParameters()].find(([, { shape }]) => shape.length === 2)![1];
  projector.narrow(1, projector.shape[1]! - width, width).fill_(0);
  const health = measureBranches(model, unitsOf(model));
  assert.deepEqual(verdicts(health), ['alive', 'unused']);
  assert.ok(health.branches[1]!.relativeSpread > 0.1);
});

test('a rise is nought only where two standard errors above it are below four thousandths of the loss', () => {
  const branch = (value: number, error: number): BranchHealth => ({
    type: 'clip',
    encoder: 0,
    spread: { patches: 1, pictures: 1 },
    relativeSpread: 1,
    varianceShare: 1,
    covarianceShare: 1,
    active: [],
    knockOut: { mean: { value, error }, other: { value, error } },
  });
  assert.equal(judgeBranch(branch(0.002, 0.0009), 1), 'unused');
  assert.equal(judgeBranch(branch(0.002, 0.0011), 1), 'unclear');
  assert.equal(judgeBranch(branch(-0.01, 0.001), 1), 'unused');
  assert.equal(judgeBranch(branch(0.01, 0.004), 1), 'alive');
  assert.equal(judgeBranch(branch(0.0005, 0.0002), 0.1), 'alive');
  assert.equal(judgeBranch({ ...branch(1, 0), relativeSpread: 0.003 }, 1), 'constant');
});

test('one encoder, three, and tokens in a row', () => {
  const { vision } = smallComm();
  const [clip, dino] = vision.encoders as [(typeof vision.encoders)[0], (typeof vision.encoders)[0]];
  for (const encoders of [[dino], [clip, dino, clip]]) {
    for (const fuse of ['channels', 'tokens'] as const) {
      using model = modelOf({ vision: { encoders, fuse } });
      const health = measureBranches(model, unitsOf(model));
      assert.deepEqual(
        verdicts(health),
        encoders.map(() => 'alive'),
      );
      const sum = health.branches.reduce((total, { covarianceShare }) => total + covarianceShare, 0);
      assert.ok(Math.abs(sum - 1) < 1e-9, `${sum}`);
    }
  }
  using single = modelOf();
  assert.throws(() => measureBranches(single, []), { code: 'health/pictures' });
});

test('a level with a factor of nearly nothing has no share and no loss, whatever its place', () => {
  using model = modelOf();
  const units = unitsOf(model);
  const { merge } = model.vision.encoders[0]!;
  const [, scale] = [...merge.namedParameters()].find(([key]) => key === 'scale.weight')!;
  scale.narrow(0, 1, 1).fill_(-50);
  const [clip, dino] = measureLevels(model, units) as [never, never] as ReturnType<typeof measureLevels>;
  assert.deepEqual(
    clip!.map(({ level }) => level),
    [1, 2, 3],
  );
  assert.deepEqual(
    dino!.map(({ level }) => level),
    [2, 3],
  );
  assert.ok(clip![1]!.varianceShare < 1e-6 && clip![0]!.varianceShare > 0.05);
  assert.ok(Math.abs(clip![1]!.dropOne.value) < 1e-6);
  assert.ok(Math.abs(clip!.reduce((sum, { varianceShare }) => sum + varianceShare, 0) - 1) < 1e-9);
});
