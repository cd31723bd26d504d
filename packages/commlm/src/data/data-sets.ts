/** Opens data sets by their configuration. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { DataSetConfig } from '../config/data.js';
import { CommError } from '../config/errors.js';
import type { DataSet, Sample } from './sample.js';

const LlavaRow = z.looseObject({
  id: z.union([z.string(), z.number()]).optional(),
  image: z.union([z.string(), z.array(z.string())]).optional(),
  conversations: z.array(z.looseObject({ from: z.enum(['human', 'gpt']), value: z.string() })).min(2),
});

/** Opens a set; `context.name` is what its samples are called by. */
export async function openDataSet(config: DataSetConfig, context: { readonly name: string }): Promise<DataSet> {
  const { file } = config;
  const rows = await readRows(file);
  return {
    name: context.name,
    length: rows.length,
    sample: (index) => llavaSample(rows[index], index, config, context.name),
  };
}

async function readRows(file: string): Promise<unknown[]> {
  const text = await readFile(file, 'utf8');
  try {
    const rows: unknown = JSON.parse(text);
    if (Array.isArray(rows)) return rows;
  } catch (error) {
    throw new CommError(`${file} is not valid JSON: ${(error as Error).message}`, { code: 'data/file', cause: error });
  }
  throw new CommError(`${file} does not hold a JSON array.`, { code: 'data/file' });
}

function llavaSample(row: unknown, index: number, { file, store }: DataSetConfig, name: string): Sample {
  const where = `${file}, entry ${index + 1}`;
  const fail = (what: string): CommError => new CommError(`${where}: ${what}.`, { code: 'data/sample' });
  const parsed = LlavaRow.safeParse(row);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw fail(`${path.join('.')}: ${message}`);
  }
  const { id = index, image, conversations } = parsed.data;
  if (conversations.some(({ from }, i) => from !== (i % 2 === 0 ? 'human' : 'gpt')) || conversations.length % 2 !== 0) {
    throw fail('human and gpt do not take turns, beginning with human');
  }
  const turns = conversations.flatMap(({ value }, i) =>
    i % 2 === 0 ? [{ question: value, answer: conversations[i + 1]!.value, marks: [] }] : [],
  );
  const keys = image === undefined ? [] : [image].flat();
  return { id: `${name}/${id}`, where, pictures: keys.map((key) => ({ store, key })), turns };
}
