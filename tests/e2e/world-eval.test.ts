/** `commlm eval world`: four columns, of which the last needs no model, and what is left of the first against the others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commlm } from '../helpers/cli.js';

const NAMES = ['existence', 'vqa', 'dialogue', 'pairs', 'rec', 'recMeanIou', 'captionCider'] as const;
type Figures = Readonly<Record<(typeof NAMES)[number], number>> & {
  readonly vqaByType: Readonly<Record<string, number>>;
};

interface Results {
  readonly withPicture: Figures;
  readonly withWrongPicture: Figures;
  readonly withGrey: Figures;
  readonly withPrior: Figures;
  readonly branches: { readonly branches: readonly { readonly verdict: string }[] };
  readonly margins: Readonly<Record<string, { readonly over: string; readonly value: number }>>;
}

const world = import.meta.resolve('../../../packages/commlm/dist/data/world/index.js');
const evalFolder = '../../../packages/commlm/dist/eval';

test('the table has its columns and margins are over the highest of the other three', async () => {
  const { code, stdout, stderr } = await commlm(['eval', 'world', '--count', '3', '--json']);
  assert.equal(code, 0, stderr);
  const results = JSON.parse(stdout) as Results;
  for (const name of NAMES) {
    const others = [results.withWrongPicture[name], results.withGrey[name], results.withPrior[name]];
    assert.equal(results.margins[name]?.value, results.withPicture[name] - Math.max(...others), name);
  }
  assert.deepEqual(
    results.branches.branches.map(({ verdict }) => verdict),
    ['alive', 'constant'],
  );
});

// In front of those that learn, since the constants are kept.
test('the learning of constants is told scene by scene, and ends with its signal', async () => {
  const { loadSpriteBank } = (await import(world)) as typeof import('../../packages/commlm/dist/data/world/index.js');
  const { learnPrior } = (await import(
    import.meta.resolve(`${evalFolder}/world-prior.js`)
  )) as typeof import('../../packages/commlm/dist/eval/world-prior.js');
  const told: number[] = [];
  const abort = new AbortController();
  const learning = learnPrior(await loadSpriteBank(), {
    signal: abort.signal,
    onProgress: (done, total) => {
      assert.equal(total, 5000);
      if (told.push(done) === 3) abort.abort();
    },
  });
  await assert.rejects(learning, { name: 'AbortError' });
  assert.equal(told[0], 0);
  assert.equal(told.length, 3);
});

test('what words alone give on unseen scenes', async () => {
  const { loadSpriteBank } = (await import(world)) as typeof import('../../packages/commlm/dist/data/world/index.js');
  const { learnPrior } = (await import(
    import.meta.resolve(`${evalFolder}/world-prior.js`)
  )) as typeof import('../../packages/commlm/dist/eval/world-prior.js');
  const { itemsOf, sceneAt } = (await import(
    import.meta.resolve(`${evalFolder}/world-items.js`)
  )) as typeof import('../../packages/commlm/dist/eval/world-items.js');
  const { compareColumns } = (await import(
    import.meta.resolve(`${evalFolder}/world-figures.js`)
  )) as typeof import('../../packages/commlm/dist/eval/world-figures.js');
  const bank = await loadSpriteBank();
  const prior = await learnPrior(bank);
  const count = 600;
  const stream = { bank, split: 'test', style: 'known', seed: 7, size: 256 } as const;
  const scenes = Array.from({ length: count }, (_, index) => ({ scene: sceneAt(stream, index), index }));
  const items = scenes.flatMap((scene, i) => itemsOf(scene, scenes[(i + 1) % count] as (typeof scenes)[number]));
  const answers = items.map(prior.answerTo);
  const { figures } = compareColumns(items, { picture: answers, wrong: answers, grey: answers, prior: answers });
  const { existence, vqa, vqaByType, pairs, rec } = figures.prior;
  // Found apart from this code on other scenes of the same kind, each with the standard error of so many questions.
  const known: ReadonlyArray<readonly [name: string, value: number, known: number, numQuestions: number]> = [
    ['existence', existence, 0.5, count],
    ['count', vqaByType['count'] as number, 0.611, count],
    ['VQA', vqa, 0.29, 4.85 * count],
    ['two pictures', pairs, 0.621, count],
    ['REC', rec, 0.105, count],
  ];
  for (const [name, value, expected, number] of known) {
    const error = Math.sqrt((expected * (1 - expected)) / number);
    assert.ok(Math.abs(value - expected) < 4 * error, `${name}: ${value}, ${expected} known`);
  }
  assert.equal(prior.constants['count'], '1');
});

test('what takes long is told from its beginning, and the constants are learnt once in a process', async () => {
  const { evaluateWorld } = await import('commlm/eval');
  const constant = { answer: 'The answer is yes.', finishReason: 'stop' };
  const model = { askBatch: async (requests: readonly object[]) => requests.map(() => constant) };
  const measure = async () => {
    const told = { prior: [] as number[], asked: [] as number[] };
    const results = await evaluateWorld(model as never, {
      ...({ count: 3, style: 'known', seed: 900, size: 64, batchSize: 16 } as const),
      onPrior: (done) => void told.prior.push(done),
      onProgress: (done) => void told.asked.push(done),
    });
    return { told, results };
  };
  const first = await measure();
  const { length } = first.results.samples;
  assert.deepEqual(first.told.asked, [0, 16, length]);
  const again = await measure();
  assert.deepEqual(again.told.prior, []);
  assert.deepEqual(again.results, first.results);
});
