/** Turns of the synthetic world as the model reads and writes them: boxes in the frame of the padded square. */
import { fillPlaceholders, type TextBox } from '../text/boxes.js';
import type { Scene, Turn } from './world/index.js';

/** A question and its answer with all coordinates written out. */
export interface WrittenTurn {
  readonly question: string;
  readonly answer: string;
}

/** Fill the `<boxes>` of a turn: pixels of the scene become shares of the square it is padded to (Shikra's Expand2square). */
export function writeTurn(turn: Turn, { width, height }: Scene): WrittenTurn {
  const side = Math.max(width, height);
  const [dx, dy] = [Math.floor((side - width) / 2), Math.floor((side - height) / 2)];
  const boxes = (turn.boxes ?? []).map((box): TextBox[] => {
    const [x1, y1, x2, y2] = box as [number, number, number, number];
    return [[(x1 + dx) / side, (y1 + dy) / side, (x2 + dx) / side, (y2 + dy) / side]];
  });
  const inQuestion = turn.question.split('<boxes>').length - 1;
  return {
    question: fillPlaceholders(turn.question, { boxes: boxes.slice(0, inQuestion) }),
    answer: fillPlaceholders(turn.answer, { boxes: boxes.slice(inQuestion) }),
  };
}
