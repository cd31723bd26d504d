#!/usr/bin/env node
/**
 * How often 95 % intervals hold the truth, over pictures as `eval` draws them, and over questions as if those about one picture
 * had nothing to do with each other. Made-up answers of known figures; seeded; some minutes for the 500 trials that the
 * documents show.
 *
 *   node runs/interval-coverage.mjs [trials]
 */

import { Random } from '../packages/commlm/dist/data/world/random.js';
import { POPE } from '../packages/commlm/dist/eval/benchmarks/pope.js';
import { bootstrapIntervals } from '../packages/commlm/dist/eval/bootstrap.js';
import { pairedBootstrap, signFlipTest } from '../packages/commlm/dist/eval/significance.js';

const numTrials = Number(process.argv[2] ?? 500);
const LEVEL = 0.95;

/** Chance to answer about a picture rightly: uniform in `mean` plus or minus `spread`. */
const chanceOf = (random, mean, spread) => random.range(mean - spread, mean + spread);
const share = (sums) => {
  const totals = [...sums.values()];
  const parts = totals.map(([count, hits]) => hits / count);
  return { accuracy: parts.reduce((sum, part) => sum + part, 0) / parts.length };
};

/** Questions about `numPictures` pictures, `perPicture(random)` each; the share of right ones is `mean` on average. */
function questions(random, { numPictures, perPicture, mean, spread }) {
  return Array.from({ length: numPictures }, (_, picture) => {
    const chance = chanceOf(random, mean, spread);
    return Array.from({ length: perPicture(random) }, () => ({
      group: '',
      pictures: [String(picture)],
      sums: [1, random.chance(chance) ? 1 : 0],
    }));
  }).flat();
}

/** POPE: the same pictures in three splits, six questions each, half of them yes; yes is said too often about some. */
function pope(random) {
  return Array.from({ length: 500 }, (_, picture) => {
    const chance = { yes: chanceOf(random, 0.9, 0.1), no: chanceOf(random, 0.75, 0.25) };
    return ['random', 'popular', 'adversarial'].flatMap((group) =>
      ['yes', 'no', 'yes', 'no', 'yes', 'no'].map((label) => {
        const hit = random.chance(chance[label]);
        const said = hit ? label : label === 'yes' ? 'no' : 'yes';
        const figures = {
          hit: Number(hit),
          truePositive: Number(said === 'yes' && label === 'yes'),
          falsePositive: Number(said === 'yes' && label === 'no'),
          falseNegative: Number(said === 'no' && label === 'yes'),
          yes: Number(said === 'yes'),
        };
        return { group, pictures: [String(picture)], sums: POPE.sums([{ figures, score: 0 }]) };
      }),
    );
  }).flat();
}
// Recall 0.9 and a quarter of the absent things taken for present.
const POPE_F1 = (2 * 0.9) / (2 * 0.9 + 0.25 + 0.1);

const uniform = (low, high) => (random) => low + random.int(high - low + 1);
const scenarios = [
  ['500 pictures, 6 questions', { numPictures: 500, perPicture: uniform(6, 6), mean: 0.7, spread: 0.3 }],
  ['500 pictures, 1 to 11', { numPictures: 500, perPicture: uniform(1, 11), mean: 0.8, spread: 0.2 }],
  ['200 pictures, 20 questions', { numPictures: 200, perPicture: uniform(20, 20), mean: 0.5, spread: 0.5 }],
  ['100 pictures, 3 questions', { numPictures: 100, perPicture: uniform(3, 3), mean: 0.6, spread: 0.4 }],
  ['50 pictures, 6 questions', { numPictures: 50, perPicture: uniform(6, 6), mean: 0.7, spread: 0.3 }],
  ['500 pictures, 1 question', { numPictures: 500, perPicture: uniform(1, 1), mean: 0.7, spread: 0.3 }],
].map(([name, options]) => ({
  name: `accuracy, ${name}`,
  resamples: 1000,
  draw: (random) => questions(random, options),
  intervalOf: (units, drawing) => bootstrapIntervals(units, share, drawing).intervals.get('accuracy'),
  truth: options.mean,
}));
scenarios.push(
  ...[
    ['accuracy', 0.825],
    ['f1', POPE_F1],
  ].map(([figure, truth]) => ({
    name: `${figure}, POPE: 3 splits of the same 500 pictures`,
    resamples: 300,
    draw: pope,
    intervalOf: (units, drawing) => bootstrapIntervals(units, POPE.figures, drawing).intervals.get(figure),
    truth,
  })),
  {
    name: 'difference of two models, 300 pictures, 6 questions',
    resamples: 500,
    draw: (random) => pairs(random, 0.05),
    intervalOf: (units, drawing) => pairedBootstrap(units, share, drawing).get('accuracy'),
    truth: 0.05,
  },
);

/** Both models on the same pictures; each has pictures of its own that it understands better. */
function pairs(random, gain) {
  return Array.from({ length: 300 }, (_, picture) => {
    const [a, b] = [chanceOf(random, 0.6, 0.3), chanceOf(random, 0.6 + gain, 0.3)];
    return Array.from({ length: 6 }, () => ({
      group: '',
      pictures: [String(picture)],
      a: [1, random.chance(a) ? 1 : 0],
      b: [1, random.chance(b) ? 1 : 0],
    }));
  }).flat();
}

const apart = (units) => units.map((unit) => ({ ...unit, pictures: [] }));
const percent = (count) => `${((100 * count) / numTrials).toFixed(1)} %`;
const line = (name, ...cells) => console.log(name.padEnd(54) + cells.map((cell) => cell.padStart(16)).join(''));

const error = 100 * Math.sqrt((LEVEL * (1 - LEVEL)) / numTrials);
console.log(`${numTrials} trials; standard error of a coverage near 95 %: ${error.toFixed(1)} points`);
line('95 % intervals that hold the truth', 'over pictures', 'over questions');
for (const { name, draw, intervalOf, truth, resamples } of scenarios) {
  const held = { pictures: 0, questions: 0 };
  for (let trial = 0; trial < numTrials; trial++) {
    const units = draw(new Random(trial, name));
    const drawing = { resamples, seed: trial, level: LEVEL };
    const holds = ({ low, high }) => Number(low <= truth && truth <= high);
    held.pictures += holds(intervalOf(units, drawing));
    held.questions += holds(intervalOf(apart(units), drawing));
  }
  line(name, percent(held.pictures), percent(held.questions));
}

line('p below 0.05 where two models are equally good', 'over pictures', 'over questions');
const rejected = { bootstrap: [0, 0], signs: [0, 0] };
for (let trial = 0; trial < numTrials; trial++) {
  const units = pairs(new Random(trial, 'equal'), 0);
  [units, apart(units)].forEach((drawn, i) => {
    const { p } = pairedBootstrap(drawn, share, { resamples: 500, seed: trial, level: LEVEL }).get('accuracy');
    rejected.bootstrap[i] += Number(p < 0.05);
    const gains = new Map();
    drawn.forEach(({ pictures: [picture], a, b }, k) => {
      const key = picture ?? k;
      gains.set(key, (gains.get(key) ?? 0) + b[1] - a[1]);
    });
    rejected.signs[i] += Number(signFlipTest([...gains.values()]) < 0.05);
  });
}
line('paired bootstrap', ...rejected.bootstrap.map(percent));
line("McNemar's test", ...rejected.signs.map(percent));
