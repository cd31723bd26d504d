/** All texts of the synthetic world, what its tokenizer is trained on. */

import { captionsFor, makeScene, type SpriteBank, sceneSeed, turnsFor } from '../data/world/index.js';
import { writeTurn } from '../data/world-turns.js';
import { VICUNA_SYSTEM } from '../text/conversation.js';

/** Questions of a scene that are read, and captions. */
const TURNS = 12;
const CAPTIONS = 3;

/** Questions, answers and captions of `scenes` scenes of a stream, and the words of the conversation template. */
export function* worldTexts(bank: SpriteBank, scenes: number, seed: number): Generator<string> {
  for (let index = 0; index < scenes; index++) {
    const scene = makeScene(sceneSeed(seed, index), { bank, split: 'train' });
    yield `${VICUNA_SYSTEM} USER: `;
    for (const turn of turnsFor(scene, scene.seed, { max: TURNS })) {
      const { question, answer } = writeTurn(turn, scene);
      yield ` ${question} ASSISTANT: ${answer}`;
    }
    yield* captionsFor(scene, scene.seed, CAPTIONS).map((caption) => ` ${caption}`);
  }
}
