// Learns a few samples of every task by heart through the loaders of the real data sets, then asks for them.
//
//   node runs/overfit.mjs [--samples 64] [--steps 640] [--batch 32] [--out runs/out/overfit]
//
// Prints the share of answers that come back letter for letter, task by task; exit code 1 when it is below --bound (0.95).
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../packages/commlm/dist/index.js';

const cli = fileURLToPath(new URL('../packages/commlm/bin/commlm.js', import.meta.url));
const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: '64' },
    steps: { type: 'string', default: '640' },
    batch: { type: 'string', default: '32' },
    out: { type: 'string', default: 'runs/out/overfit' },
    bound: { type: 'string', default: '0.95' },
  },
});
const { out } = values;
const samples = Number(values.samples);
const world = join(out, 'world');
const files = join(out, 'files');
const commlm = (...args) =>
  execFileSync(process.execPath, [cli, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 2 ** 28,
  });

/** The first samples of a list whose questions differ: two answers to one question cannot both be learned. */
function firstOnes(rows, questionOf) {
  const seen = new Set();
  return rows.filter((row) => {
    const key = JSON.stringify(questionOf(row));
    return seen.size < samples && !seen.has(key) && seen.add(key);
  });
}

const readJson = (name) => JSON.parse(readFileSync(join(world, name), 'utf8'));
const readLines = (name) =>
  readFileSync(join(world, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const writeJson = (name, value) => writeFileSync(join(files, name), JSON.stringify(value));
const writeLines = (name, rows) =>
  writeFileSync(join(files, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

function writeFiles() {
  mkdirSync(join(files, 'flickr30k_entities', 'Sentences'), { recursive: true });
  mkdirSync(join(files, 'flickr30k_entities', 'Annotations'), { recursive: true });
  const regions = readLines('refcoco.jsonl');
  writeLines(
    'rec.jsonl',
    firstOnes(regions, ({ img_path, expression }) => [img_path, expression]),
  );
  writeLines(
    'regions.jsonl',
    firstOnes(regions, ({ img_path, bbox }) => [img_path, bbox]),
  );
  writeLines(
    'pointqa_local.jsonl',
    firstOnes(readLines('pointqa_local.jsonl'), ({ file_path, bbox, question }) => [file_path, bbox, question]),
  );
  const captions = readJson('captions.json');
  writeJson('captions.json', { ...captions, annotations: firstOnes(captions.annotations, ({ image_id }) => image_id) });
  const questions = readJson('vqa_questions.json');
  const asked = firstOnes(questions.questions, ({ image_id, question }) => [image_id, question]);
  const ids = new Set(asked.map(({ question_id }) => question_id));
  const answers = readJson('vqa_annotations.json');
  writeJson('vqa_questions.json', { ...questions, questions: asked });
  writeJson('vqa_annotations.json', {
    ...answers,
    annotations: answers.annotations.filter(({ question_id }) => ids.has(question_id)),
  });
  writeJson('llava.json', readJson('llava.json').slice(0, samples));
  for (const name of readdirSync(join(world, 'flickr30k_entities', 'Sentences'))
    .sort((a, b) => parseInt(a, 10) - parseInt(b, 10))
    .slice(0, samples)) {
    const [first] = readFileSync(join(world, 'flickr30k_entities', 'Sentences', name), 'utf8').split('\n');
    writeFileSync(join(files, 'flickr30k_entities', 'Sentences', name), `${first}\n`);
    const xml = name.replace('.txt', '.xml');
    copyFileSync(
      join(world, 'flickr30k_entities', 'Annotations', xml),
      join(files, 'flickr30k_entities', 'Annotations', xml),
    );
  }
}

// The files that the recipe names lie below runs/out/overfit; another --out moves them.
const { recipe: moved } = JSON.parse(commlm('train', 'tiny-overfit', '--dry-run', '--json'));
const at = (path) => path.replace('runs/out/overfit', out);
const settings = Object.entries(moved.comm.data.sets)
  .flatMap(([set, config]) =>
    Object.entries(config)
      .filter(([, value]) => typeof value === 'string' && value.startsWith('runs/out/overfit'))
      .map(([key, value]) => `comm.data.sets.${set}.${key}=${at(value)}`),
  )
  .concat(
    `comm.data.stores.world.folder=${world}`,
    `comm.features.folder=${join(out, 'features')}`,
    `loop.steps=${values.steps}`,
    `loop.batchSize=${values.batch}`,
  )
  .flatMap((setting) => ['--set', setting]);

commlm(
  'world',
  world,
  '--split',
  'train',
  '--count',
  values.samples,
  '--format',
  'jpg',
  '--size',
  '160',
  '--seed',
  '9',
);
writeFiles();
const run = join(out, 'run');
if (!existsSync(join(run, 'result', 'config.json')))
  commlm(
    'train',
    'tiny-overfit',
    '--out',
    run,
    ...(existsSync(join(run, 'run.json')) ? ['--resume'] : []),
    ...settings,
  );

await repeat(await loadModel(join(run, 'result')));

/** Asks for every answer, whole conversations with the model's own history. */
async function repeat(model) {
  let [right, total] = [0, 0];
  for (const set of Object.keys(moved.comm.data.sets)) {
    const shown = JSON.parse(
      commlm('data', 'preview', 'tiny-overfit', ...settings, '--only', set, '--count', values.samples, '--json'),
    );
    let [same, count] = [0, 0];
    for (const { turns, pictures } of shown.samples.slice(0, shown.samplesPerEpoch)) {
      const chat = model.chat();
      for (const { key } of pictures) await chat.addPicture(join(world, key.replace('world/', '')));
      for (const { question, answer } of turns) {
        let text = '';
        for await (const { text: piece } of chat.say(question.replace(/<image>\n/g, '<image> '))) text += piece;
        count++;
        if (text.trim() === answer.trim()) same++;
        else if (count - same <= 2)
          console.log(
            `  ${set}: ${JSON.stringify(question)}\n    wanted ${JSON.stringify(answer)}\n    got    ${JSON.stringify(text)}`,
          );
      }
      chat[Symbol.dispose]?.();
    }
    console.log(`${set.padEnd(8)} ${same} of ${count}`);
    right += same;
    total += count;
  }
  const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter((line) => 'train/loss' in line);
  console.log(
    `loss ${lines[0]['train/loss'].toFixed(3)} -> ${lines.at(-1)['train/loss'].toFixed(4)}; ${right} of ${total} answers repeated (${((100 * right) / total).toFixed(1)} %)`,
  );
  model.dispose();
  if (right / total < Number(values.bound)) process.exitCode = 1;
}
