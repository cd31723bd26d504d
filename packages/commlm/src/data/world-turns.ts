/** Turns of the synthetic world as the model reads and writes them: boxes in the frame of the padded square. */
import { fillPlaceholders, type TextBox } from '../text/boxes.js';
import { boxInSquare, type PixelBox, type Scene, type Turn } from './world/index.js';

/** A question and its answer with all coordinates written out. */
export interface WrittenTurn {
  readonly question: string;
  readonly answer: string;
}

/** Fill the `<boxes>` of a turn: pixels of the scene become shares of the square it is padded to (Shikra's Expand2square). */
export function writeTurn(turn: Turn, scene: Scene): WrittenTurn {
  const boxes = (turn.boxes ?? []).map((box): TextBox[] => [boxInSquare(box as unknown as PixelBox, scene)]);
  const inQuestion = turn.question.split('<boxes>').length - 1;
  return {
    question: fillPlaceholders(turn.question, { boxes: boxes.slice(0, inQuestion) }),
    answer: fillPlaceholders(turn.answer, { boxes: boxes.slice(inQuestion) }),
  };
}
