// What a model's visual tokens show, without its language model's blocks: the share of patches whose likeliest noun is
// the thing on them, on unseen scenes of the known and of the held-out style.
//
//   node tools/world/patch-names.mjs MODEL [SCENES=500]
import {
  loadSpriteBank,
  makeScene,
  NOUNS,
  renderPadded,
  sceneSeed,
} from '../../packages/commlm/dist/data/world/index.js';
import { patchObjects } from '../../packages/commlm/dist/data/world/patch-labels.js';
import { Tokenizer } from '../../packages/commlm/dist/text/tokenizer.js';
import { normalisePictures } from '../../packages/commlm/dist/train/pictures/pixels.js';
import { loadCommFolder } from '../../packages/commlm/dist/weights/comm-folder.js';
import { F, noGrad, scope, tensor } from '../../packages/torch/dist/index.js';

const [folder = 'models/comm-tiny', count = '500'] = process.argv.slice(2);
const STREAM = 901;
const BATCH = 50;

const { model } = loadCommFolder(folder);
const tokenizer = await Tokenizer.load(folder);
const bank = await loadSpriteBank();
const nouns = BigInt64Array.from(NOUNS, ({ name }) => BigInt(tokenizer.encode(` ${name}`)[0]));
const grid = Math.sqrt(model.tokensPerImage);
const { size } = model.vision.encoders[0].config.image;

/** Indices of the likeliest noun of every patch. */
function namesOf(pictures, numPictures) {
  return scope(() =>
    noGrad(() => {
      const pixels = model.vision.encoders.map(({ config }) =>
        normalisePictures(pictures, numPictures, size, config.image, model.projector.parameters()[0].dtype),
      );
      const tokens = model.languageModel.model.norm.forward(model.encodeImages(pixels).flatten(0, 1));
      const words = model.languageModel.model.embedTokens.forward(tensor(nouns));
      return F.linear(tokens, words).argmax(1).tolist();
    }),
  );
}

for (const style of ['known', 'shift']) {
  let [right, asked] = [0, 0];
  for (let start = 0; start < Number(count); start += BATCH) {
    const numPictures = Math.min(BATCH, Number(count) - start);
    const pictures = new Uint8Array(numPictures * size * size * 3);
    const scenes = Array.from({ length: numPictures }, (_, i) =>
      makeScene(sceneSeed(STREAM, start + i), { bank, split: 'test', style, size }),
    );
    for (const [i, scene] of scenes.entries()) {
      pictures.set(renderPadded(scene, bank, size), i * size * size * 3);
    }
    const named = namesOf(pictures, numPictures);
    for (const [i, scene] of scenes.entries()) {
      for (const [patch, object] of patchObjects(scene, bank, grid).entries()) {
        if (!object) continue;
        asked++;
        if (NOUNS[Number(named[i * grid * grid + patch])].name === object.noun) right++;
      }
    }
  }
  console.log(`${style}: ${((100 * right) / asked).toFixed(1)} % of ${asked} patches`);
}
