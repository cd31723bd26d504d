// Whether a tower has learned: what a linear map reads from each of its frozen levels on unseen scenes of the world, beside
// the same tower untrained, and the verdict of the gate. For judging a tower before anything is trained on it.
//
//   node tools/world/probe.mjs FOLDER [--branch clip] [--scenes 2000] [--json FILE] [--misplaced]
//
// FOLDER is an encoder (of an encoder recipe, transformers, timm, open_clip) or a model of ours, of which --branch names the
// encoder. Probes are fitted on train scenes in the known styles; "known" and "shift" are figures on test scenes in those
// styles and in the held-out one. Figures are shares: of a picture's nouns among as many highest scores, of rows that are
// right, the mean overlap (IoU) of boxes. --misplaced fits the probes with the truth of other pictures: a control. Exit code
// 1 where the gate is not passed.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { GATE, isCollapsed, judgeTower } from '../../packages/commlm/dist/features/tower-gate.js';
import { buildEncoder } from '../../packages/commlm/dist/models/encoders.js';
import { measureTowers, untrainedTower } from '../../packages/commlm/dist/train/gate/measure.js';
import { loadCommFolder } from '../../packages/commlm/dist/weights/comm-folder.js';
import { isOwnEncoder, loadEncoder } from '../../packages/commlm/dist/weights/encoder-folder.js';
import { isEncoderFolder, loadHfEncoder } from '../../packages/commlm/dist/weights/encoder-reader.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    branch: { type: 'string' },
    scenes: { type: 'string', default: '2000' },
    json: { type: 'string' },
    misplaced: { type: 'boolean', default: false },
  },
});
const [folder] = positionals;
if (folder === undefined) {
  console.error('usage: node tools/world/probe.mjs FOLDER [--branch clip] [--scenes 2000] [--json FILE] [--misplaced]');
  process.exit(2);
}

function openTower(path, branch) {
  if (isEncoderFolder(path)) {
    const { vit, image } = loadHfEncoder(path);
    return { vit, image, type: 'vit' };
  }
  if (isOwnEncoder(path)) {
    const { config, weights } = loadEncoder(path);
    const vit = buildEncoder(config);
    vit.loadStateDict(weights);
    return { vit, image: config.image, type: config.type };
  }
  const { encoders } = loadCommFolder(path).model.vision;
  const index = branch === undefined ? 0 : encoders.findIndex(({ config }) => config.type === branch);
  if (index < 0) throw new Error(`There is no encoder ${branch} in ${path}.`);
  const { vit, config } = encoders[index];
  return { vit, image: config.image, type: config.type };
}

/** A folder that is none, in the words of the error and not of the stack. */
function openOrEnd(path, branch) {
  try {
    return openTower(path, branch);
  } catch (error) {
    console.error(`error: ${error.message}${error.fix === undefined ? '' : `\nfix:   ${error.fix}`}`);
    process.exit(1);
  }
}

const start = Date.now();
const tower = openOrEnd(folder, values.branch);
const untrained = untrainedTower(tower, tower.type);
const scenes = Number(values.scenes);
const [own, fresh] = await measureTowers([tower, untrained], { scenes, misplaced: values.misplaced });
const verdict = judgeTower(own, fresh);
const seconds = Math.round((Date.now() - start) / 1000);

const READINGS = ['noun', 'patch noun', 'colour', 'count', 'row', 'column', 'box edges'];
const percent = (share) => (100 * share).toFixed(1);
function printTable(title, figures) {
  console.log(`\n${title}`);
  console.log(`level  ${[...READINGS, 'rank', 'spread', 'of pictures'].map((name) => name.padStart(11)).join('')}`);
  for (const [level, each] of figures.entries()) {
    const cells = READINGS.map((name) => (name in each.scores ? percent(each.scores[name]) : '-'));
    cells.push(each.rank.toFixed(1), each.spread.toFixed(2), each.pictureSpread.toFixed(2));
    const note = isCollapsed(each) ? '  collapsed' : '';
    console.log(`${String(level).padStart(5)}  ${cells.map((cell) => cell.padStart(11)).join('')}${note}`);
  }
}
for (const style of ['known', 'shift']) {
  printTable(`${folder}, ${style} style, per cent`, own[style]);
  printTable(`the same untrained, ${style} style, per cent`, fresh[style]);
}
console.log('');
for (const { reading, style, wanted, gain, level, untrainedLevel, collapsed, met } of verdict.demands) {
  const state = met ? 'met' : 'NOT MET';
  const why = collapsed ? ', that level has collapsed' : '';
  console.log(
    `${reading}, ${style}: ${percent(gain)} points above the untrained tower (level ${level} against ${untrainedLevel}${why}), ${percent(wanted)} asked: ${state}`,
  );
}
console.log(
  `gate ${verdict.passed ? 'passed' : 'NOT passed'} (${GATE.length} demands, ${scenes} scenes, ${seconds} s)`,
);
if (values.json !== undefined) {
  const result = { folder, scenes, misplaced: values.misplaced, seconds, tower: own, untrained: fresh, verdict };
  writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
}
process.exitCode = verdict.passed ? 0 : 1;
