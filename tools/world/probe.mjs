// What a linear map reads from the frozen levels of a tower, on unseen scenes of the world: the nouns of a picture (from the
// mean of its patches), the noun under a patch, and the row and column of a patch. For judging a tower before any language
// model is trained on it.
//
//   node tools/world/probe.mjs FOLDER [--branch clip] [--scenes 2000] [--json]
//
// FOLDER is an encoder (of an encoder recipe, transformers, timm, open_clip) or a model of ours, of which --branch names the
// encoder. Figures are shares: of a picture's nouns among as many highest scores, and of patches that are right.
import { parseArgs } from 'node:util';
import {
  loadSpriteBank,
  makeScene,
  NOUNS,
  renderPadded,
  sceneSeed,
} from '../../packages/commlm/dist/data/world/index.js';
import { LinearProbe } from '../../packages/commlm/dist/features/linear-probe.js';
import { buildEncoder } from '../../packages/commlm/dist/models/encoders.js';
import { normalisePictures } from '../../packages/commlm/dist/train/pictures/pixels.js';
import { patchObjects } from '../../packages/commlm/dist/train/tasks/comm/patch-labels.js';
import { labelPrecision } from '../../packages/commlm/dist/train/tasks/deit-task.js';
import { loadCommFolder } from '../../packages/commlm/dist/weights/comm-folder.js';
import { isOwnEncoder, loadEncoder } from '../../packages/commlm/dist/weights/encoder-folder.js';
import { isEncoderFolder, loadHfEncoder } from '../../packages/commlm/dist/weights/encoder-reader.js';
import { F, noGrad, scope, tensor } from '../../packages/torch/dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { branch: { type: 'string' }, scenes: { type: 'string', default: '2000' }, json: { type: 'boolean' } },
});
const [folder] = positionals;
if (folder === undefined) {
  console.error('usage: node tools/world/probe.mjs FOLDER [--branch clip] [--scenes 2000] [--json]');
  process.exit(2);
}
const numScenes = Number(values.scenes);
const BATCH = 50;
/** Streams of scenes that no recipe trains on. */
const STREAMS = { fit: 801, known: 802, shift: 803 };
const nounAt = new Map(NOUNS.map(({ name }, i) => [name, i]));

const { vit, image } = openTower(folder, values.branch);
const grid = Math.floor(image.size / vit.config.patchSize);
const levels = Array.from({ length: vit.config.numLayers + 1 }, (_, level) => level);
const bank = await loadSpriteBank();

function openTower(path, branch) {
  if (isEncoderFolder(path)) return loadHfEncoder(path);
  if (isOwnEncoder(path)) {
    const { config, weights } = loadEncoder(path);
    const own = buildEncoder(config);
    own.loadStateDict(weights);
    return { vit: own, image: config.image };
  }
  const { encoders } = loadCommFolder(path).model.vision;
  const index = branch === undefined ? 0 : encoders.findIndex(({ config }) => config.type === branch);
  if (index < 0) throw new Error(`There is no encoder ${branch} in ${path}.`);
  return { vit: encoders[index].vit, image: encoders[index].config.image };
}

/** Features of every level and what is to be read from them, batch by batch. */
function* batches(stream, split, style, count) {
  for (let start = 0; start < count; start += BATCH) {
    const scenes = Array.from({ length: Math.min(BATCH, count - start) }, (_, i) =>
      makeScene(sceneSeed(stream, start + i), { bank, split, style, size: image.size }),
    );
    const pixels = new Uint8Array(scenes.length * image.size ** 2 * 3);
    for (const [i, scene] of scenes.entries()) {
      pixels.set(renderPadded(scene, bank, image.size), i * image.size ** 2 * 3);
    }
    yield { scenes, pixels };
  }
}

/** Levels float[B, N, D], presence f32[B, nouns], patches with one thing on them and its noun, rows and columns of all. */
function read({ scenes, pixels }) {
  const count = scenes.length;
  const states = noGrad(() => {
    const input = normalisePictures(pixels, count, image.size, image, vit.blocks[0].norm1.weight.dtype);
    return vit.forward(input, levels);
  });
  const presence = new Float32Array(count * NOUNS.length);
  const places = [];
  const nouns = [];
  for (const [i, scene] of scenes.entries()) {
    for (const { noun } of scene.objects) presence[i * NOUNS.length + nounAt.get(noun)] = 1;
    for (const [patch, object] of patchObjects(scene, bank, grid).entries()) {
      if (!object) continue;
      places.push(BigInt(i * grid * grid + patch));
      nouns.push(BigInt(nounAt.get(object.noun)));
    }
  }
  const all = Array.from({ length: count * grid * grid }, (_, p) => p % (grid * grid));
  return {
    states,
    presence: tensor(presence, { shape: [count, NOUNS.length] }),
    places: tensor(BigInt64Array.from(places)),
    nouns: tensor(BigInt64Array.from(nouns)),
    rows: tensor(BigInt64Array.from(all, (patch) => BigInt(Math.floor(patch / grid)))),
    columns: tensor(BigInt64Array.from(all, (patch) => BigInt(patch % grid))),
  };
}

/** What each probe reads: features of a level and targets, with the number of outputs. */
const READINGS = {
  nouns: { outputs: NOUNS.length, of: (state, { presence }) => [state.mean(1), presence] },
  'patch noun': {
    outputs: NOUNS.length,
    of: (state, { places, nouns }) => [state.flatten(0, 1).indexSelect(0, places), F.oneHot(nouns, NOUNS.length)],
  },
  row: { outputs: grid, of: (state, { rows }) => [state.flatten(0, 1), F.oneHot(rows, grid)] },
  column: { outputs: grid, of: (state, { columns }) => [state.flatten(0, 1), F.oneHot(columns, grid)] },
};

const probes = levels.map(() =>
  Object.entries(READINGS).map(([name, { outputs, of }]) => ({
    name,
    of,
    probe: new LinearProbe(vit.config.hiddenSize, outputs),
  })),
);
for (const batch of batches(STREAMS.fit, 'train', 'known', numScenes)) {
  scope(() => {
    const facts = read(batch);
    for (const [level, own] of probes.entries()) {
      for (const { of, probe } of own) probe.add(...of(facts.states[level], facts));
    }
  });
}
const maps = probes.map((own) => own.map(({ name, of, probe }) => ({ name, of, map: probe.fit() })));

/** Figures on unseen scenes of a style: for each level a figure a reading. */
function measure(style) {
  const sums = levels.map(() =>
    Object.fromEntries(Object.keys(READINGS).map((name) => [name, { right: 0, count: 0 }])),
  );
  for (const batch of batches(STREAMS[style], 'test', style, Math.ceil(numScenes / 2))) {
    scope(() => {
      const facts = read(batch);
      for (const [level, own] of maps.entries()) {
        for (const { name, of, map } of own) {
          const [features, targets] = of(facts.states[level], facts);
          const hits =
            name === 'nouns'
              ? labelPrecision(map(features), targets)
              : map(features).argmax(1).eq(targets.argmax(1)).to('f32');
          sums[level][name].right += hits.sum().item();
          sums[level][name].count += hits.numel;
        }
      }
    });
  }
  return sums.map((own) => Object.fromEntries(Object.entries(own).map(([name, s]) => [name, s.right / s.count])));
}

const result = { folder, scenes: numScenes, chance: chanceOf(), known: measure('known'), shift: measure('shift') };

/** What guessing gives for the places; nouns are rarer than one in so many. */
function chanceOf() {
  return { 'patch noun': 1 / NOUNS.length, row: 1 / grid, column: 1 / grid };
}

if (values.json) {
  console.log(JSON.stringify(result, null, 2));
} else {
  const names = Object.keys(READINGS);
  for (const style of ['known', 'shift']) {
    console.log(`${style} style, share right\nlevel  ${names.map((name) => name.padStart(10)).join('  ')}`);
    for (const [level, figures] of result[style].entries()) {
      const cells = names.map((name) => figures[name].toFixed(3).padStart(10));
      console.log(`${String(level).padStart(5)}  ${cells.join('  ')}`);
    }
  }
}
