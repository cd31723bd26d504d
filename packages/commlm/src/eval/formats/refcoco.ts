/** Referring expressions as JSON lines with pixel boxes, and answers in the same order. */
import type { CornerBox, RecTarget } from '../metrics/rec.js';
import { listField, numberField, readJsonLines, requireSameCount, stringField } from './files.js';

/** Reads `{img_path, expression, bbox: [x1, y1, x2, y2], width, height}` lines. */
export async function readRecTargets(path: string): Promise<readonly RecTarget[]> {
  return (await readJsonLines(path)).map(({ value, place }) => {
    const corners = listField(value, 'bbox', place);
    if (corners.length !== 4 || corners.some((corner) => typeof corner !== 'number' || !Number.isFinite(corner))) {
      throw place.error('"bbox" must be four numbers x1, y1, x2, y2.');
    }
    const box = corners as unknown as CornerBox;
    const width = numberField(value, 'width', place);
    const height = numberField(value, 'height', place);
    if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
      throw place.error(`"width" and "height" must be whole numbers above zero, but are ${width} and ${height}.`);
    }
    if (box[2] < box[0] || box[3] < box[1]) {
      throw place.error(
        `"bbox" has its corners the wrong way round: ${box.join(', ')}.`,
        'The form is x1, y1, x2, y2, not x, y, width, height.',
      );
    }
    return { box, width, height };
  });
}

/** Reads `{answer}` lines, one for each target. */
export async function readRecAnswers(
  path: string,
  numTargets: number,
  annotations: string,
): Promise<readonly string[]> {
  const lines = await readJsonLines(path);
  requireSameCount(numTargets, lines.length, { annotations, predictions: path });
  return lines.map(({ value, place }) => stringField(value, 'answer', place));
}
