/**
 * Figures of docs/paper-notes.md about the fusion: what the start of the alignment leaves of its input, and how far the scale of
 * a level can move. `node runs/fusion-figures.mjs`, half a minute on one core.
 */
import { manualSeed, noGrad, optim, randn, scope } from '@commlm/torch';
import { Align, LevelScale } from '../packages/commlm/dist/models/fusion.js';

const WIDTH = 1024;
const NUM_TOKENS = 576;
const NUM_LEVELS = 24;
const SEEDS = [1, 2, 3];

/** Standard deviation over tokens, root mean square of the channels, behind so many blocks; the input has 1. */
function spreadBehind(blocks, init, seed) {
  manualSeed(seed);
  return scope(() =>
    noGrad(() => {
      const align = new Align(WIDTH, { kind: 'mlp', blocks, ratio: 4, act: 'gelu', init });
      const out = align.forward(randn([1, NUM_TOKENS, WIDTH]));
      const spread = Math.sqrt(
        out
          .sub(out.mean([1], true))
          .pow(2)
          .mean()
          .item(),
      );
      align.dispose();
      return spread;
    }),
  );
}

console.log(`spread behind the alignment, width ${WIDTH}, inputs of spread 1, seeds ${SEEDS.join(', ')}`);
for (const init of ['scaled', 'default']) {
  for (const blocks of [1, 2, 4, 8]) {
    const spreads = SEEDS.map((seed) => spreadBehind(blocks, init, seed).toPrecision(3));
    console.log(`  ${init.padEnd(8)} ${blocks} blocks  ${spreads.join('  ')}`);
  }
}

/** How far one number moves under the paper's AdamW (2e-5, cosine after 3 % warm-up) when its gradient always points one way. */
function farthest(steps) {
  const lr = 2e-5;
  const schedule = optim.cosineWithWarmup({ steps, warmupRatio: 0.03, minRatio: 0 });
  const scale = new LevelScale(NUM_LEVELS, { kind: 'softmax' });
  const optimizer = new optim.AdamW([scale.weight], { lr, betas: [0.9, 0.999], weightDecay: 0 });
  for (let step = 0; step < steps; step++) {
    scope(() => {
      // One logit up, the others down.
      const up = scale.weight.narrow(0, 0, 1).sum();
      up.mul(2).sub(scale.weight.sum()).neg().backward();
      optimizer.step(schedule(step));
      optimizer.zeroGrad();
    });
  }
  const logits = scale.weight.toArray();
  const weights = scope(() => noGrad(() => scale.forward().toArray()));
  return { logit: logits[0], ratio: weights[0] / weights[1] };
}

console.log(
  '\nfarthest that AdamW at 2e-5 takes a level scale that starts at 0 (softmax); a free one starts at 1/24 = 0.0417',
);
for (const steps of [9_400, 20_000, 100_000]) {
  const { logit, ratio } = farthest(steps);
  console.log(`  ${steps} steps: ${logit.toFixed(3)} either way, weights at most ${ratio.toFixed(2)} to 1`);
}
