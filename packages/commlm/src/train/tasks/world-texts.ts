/** Texts of the synthetic world: what its tokenizer is trained on, and what a language model of it reads. */

import {
  captionsFor,
  makeScene,
  type Scene,
  type Split,
  type SpriteBank,
  sceneSeed,
  turnsFor,
} from '../../data/world/index.js';
import { type WrittenTurn, writeTurn } from '../../data/world-turns.js';
import { VICUNA_SYSTEM } from '../../text/conversation.js';

/** Questions of a scene that are read, and captions. */
const TURNS = 12;
const CAPTIONS = 3;

/** What is asked, answered and said of a scene. */
export interface SceneTexts {
  readonly turns: readonly WrittenTurn[];
  readonly captions: readonly string[];
}

/** The texts of scene `index` of a stream. */
export function sceneTexts(bank: SpriteBank, seed: number, index: number, split: Split): SceneTexts {
  const scene: Scene = makeScene(sceneSeed(seed, index), { bank, split });
  return {
    turns: turnsFor(scene, scene.seed, { max: TURNS }).map((turn) => writeTurn(turn, scene)),
    captions: captionsFor(scene, scene.seed, CAPTIONS),
  };
}

/** Questions, answers and captions of `scenes` scenes of a stream, and the words of the conversation template. */
export function* worldTexts(bank: SpriteBank, scenes: number, seed: number): Generator<string> {
  for (let index = 0; index < scenes; index++) {
    const { turns, captions } = sceneTexts(bank, seed, index, 'train');
    yield `${VICUNA_SYSTEM} USER: `;
    for (const { question, answer } of turns) yield ` ${question} ASSISTANT: ${answer}`;
    yield* captions.map((caption) => ` ${caption}`);
  }
}
