/** Texts as rows of tokens: documents behind each other, each with its end. A pure function of the index; runs in the data thread. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { CommError } from '../../config/errors.js';
import type { TextData } from '../../config/pretrain.js';
import { reasonOf, sampleError } from '../../data/fault.js';
import { loadSpriteBank, type Split } from '../../data/world/index.js';
import { checkFile } from '../../files/read.js';
import { VICUNA_SYSTEM } from '../../text/conversation.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { EpochOrder } from '../pictures/epoch-order.js';
import { sceneTexts } from './world-texts.js';

/** Row `index` of an endless stream, `rowLength` ids. */
export type TokenRows = (index: number) => readonly number[] | Uint32Array;

/** Opens the texts of a recipe. @throws CommError for files that are missing, misshaped or too short for one row. */
export async function openRows(
  data: TextData | { readonly kind: 'world'; readonly seed: number },
  tokenizer: Tokenizer,
  rowLength: number,
  split: Split,
): Promise<TokenRows> {
  return data.kind === 'world'
    ? worldRows(data.seed, tokenizer, rowLength, split)
    : fileRows(data, tokenizer, rowLength);
}

const withoutGaps = (ids: readonly (number | undefined)[]): number[] => ids.filter((id) => id !== undefined);

/** Scenes that a row may take its texts from before those of the next row begin. */
const SCENES_OF_ROW = 64;

/** Conversations and captions about scenes, as the stages spell them. */
async function worldRows(seed: number, tokenizer: Tokenizer, rowLength: number, split: Split): Promise<TokenRows> {
  const bank = await loadSpriteBank();
  const { bosId, eosId } = tokenizer;
  return (index) => {
    const row: number[] = [];
    for (let scene = index * SCENES_OF_ROW; row.length < rowLength; scene++) {
      const { turns, captions } = sceneTexts(bank, seed, scene, split);
      const asked = turns.map(({ question, answer }) => `USER: ${question} ASSISTANT: ${answer}`);
      const parts = [`${VICUNA_SYSTEM} ${asked[0] ?? ''}`, ...asked.slice(1)];
      row.push(...withoutGaps([bosId, ...parts.flatMap((text) => [...tokenizer.encode(text), eosId])]));
      for (const caption of captions) row.push(...withoutGaps([bosId, ...tokenizer.encode(caption), eosId]));
    }
    return row.slice(0, rowLength);
  };
}

/** All documents in one row, cut into rows that come in another order each epoch; what fills no row at the end is left out. */
async function fileRows(
  { files, seed }: Extract<TextData, { kind: 'texts' }>,
  tokenizer: Tokenizer,
  rowLength: number,
): Promise<TokenRows> {
  const ids = new GrowingIds();
  const { bosId, eosId } = tokenizer;
  for (const file of files) {
    for await (const text of documentsOf(file)) {
      ids.push(withoutGaps([bosId, ...tokenizer.encode(text), eosId]));
    }
  }
  const tokens = ids.take();
  const numRows = Math.floor(tokens.length / rowLength);
  if (numRows === 0) {
    throw new CommError(`The texts have ${tokens.length} tokens, too few for one row of ${rowLength}.`, {
      code: 'data/too-short',
      fix: 'Give more text, or set a smaller lm.rowLength.',
    });
  }
  const order = new EpochOrder(numRows, seed);
  return (index) => {
    const start = order.place(index) * rowLength;
    return tokens.subarray(start, start + rowLength);
  };
}

/** The whole file, or with JSON lines the `text` of each. */
async function* documentsOf(file: string): AsyncGenerator<string> {
  checkFile(file, 'the texts');
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
  const whole: string[] = [];
  let number = 0;
  try {
    for await (const line of lines) {
      number++;
      if (!/\.jsonl$/i.test(file)) whole.push(line);
      else if (line.trim() !== '') yield textOf(line, `${file}:${number}`);
    }
  } catch (error) {
    if (error instanceof CommError) throw error;
    throw sampleError(file, reasonOf(error), 'Check the path.');
  }
  if (whole.length > 0) yield whole.join('\n');
}

function textOf(line: string, where: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw sampleError(where, `this is not JSON (${(error as Error).message}).`);
  }
  const { text } = (value ?? {}) as { text?: unknown };
  if (typeof text !== 'string') throw sampleError(where, 'it has no "text".', 'Write {"text": "..."} on each line.');
  return text;
}

/** Ids of unknown number, four bytes each. */
class GrowingIds {
  #ids = new Uint32Array(1 << 16);
  #length = 0;

  push(ids: readonly number[]): void {
    if (this.#length + ids.length > this.#ids.length) {
      const larger = new Uint32Array(2 * (this.#length + ids.length));
      larger.set(this.#ids.subarray(0, this.#length));
      this.#ids = larger;
    }
    this.#ids.set(ids, this.#length);
    this.#length += ids.length;
  }

  take(): Uint32Array {
    return this.#ids.slice(0, this.#length);
  }
}
