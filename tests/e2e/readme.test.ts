/** What the README tells a reader to type runs, with the embedded model; and that model answers about the examples. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { decodeImage, loadModel } from 'commlm';
import { commlm, ROOT } from '../helpers/cli.js';

/** Takes minutes and is no different from one command to the next; `bench` has its own tests. */
const LEFT_OUT = new Set(['bench']);

const hasModel = existsSync(join(ROOT, 'models', 'comm-tiny', 'config.json'));

/** What keeps a long command short here, and changes nothing else. */
const SHORTENED: Readonly<Record<string, readonly string[]>> = { eval: ['--limit', '3'] };

/** The words of every `npx commlm ...` line in the README, without the shell's comments. */
const commands = readFileSync(join(ROOT, 'README.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('npx commlm '))
  .map((line) =>
    (line.replace(/\s#.*$/, '').match(/"[^"]*"|\S+/g) ?? []).slice(2).map((word) => word.replace(/^"|"$/g, '')),
  );

describe('the README', { skip: hasModel ? false : 'models/comm-tiny is not there' }, () => {
  let folder = '';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'commlm-readme-'));
    for (const name of ['models', 'examples']) symlinkSync(join(ROOT, name), join(folder, name));
    const questions = ['Is there a dog in the image?', 'What is in the image?'];
    const lines = questions.map((question, id) => JSON.stringify({ id, image: 'examples/traffic.jpg', question }));
    writeFileSync(join(folder, 'questions.jsonl'), lines.join('\n'));
    // The user's own data, as the recipe tiny-own-data finds them.
    mkdirSync(join(folder, 'data', 'own', 'images'), { recursive: true });
    copyFileSync(join(ROOT, 'examples', 'street.jpg'), join(folder, 'data', 'own', 'images', 'photo.jpg'));
    const conversations = [
      { from: 'human', value: '<image>\nIs there a dog in the image?' },
      { from: 'gpt', value: 'Yes.' },
    ];
    writeFileSync(join(folder, 'data', 'own', 'train.json'), JSON.stringify([{ image: 'photo.jpg', conversations }]));
  });

  after(() => rmSync(folder, { recursive: true }));

  test('its commands run', async () => {
    assert.ok(commands.length >= 8, `only ${commands.length} commands found`);
    for (const words of commands.filter(([name]) => !LEFT_OUT.has(name as string))) {
      const input = words[0] === 'chat' ? 'Is there a dog in the image?\n/quit\n' : '';
      const result = await commlm([...words, ...(SHORTENED[words[0] as string] ?? [])], { cwd: folder, input });
      assert.equal(result.code, 0, `commlm ${words.join(' ')}: ${result.stderr}`);
      if (words.includes('--json')) JSON.parse(result.stdout);
    }
    for (const name of ['boxes.png', 'levels.png']) assert.ok((await decodeImage(join(folder, name))).width > 0, name);
    assert.equal(readFileSync(join(folder, 'answers.jsonl'), 'utf8').trimEnd().split('\n').length, 2);
  });

  test('its library example answers, and boxes lie within the picture, landscape and portrait', async () => {
    using model = await loadModel();
    const pictures = readdirSync(join(ROOT, 'examples')).filter((name) => ['.png', '.jpg'].includes(extname(name)));
    assert.ok(pictures.length > 0);
    for (const name of pictures) {
      const image = await decodeImage(join(ROOT, 'examples', name));
      const { answer, boxes, finishReason } = await model.ask(
        image,
        'Provide a comprehensive description of the image and specify the positions of any mentioned objects in square brackets.',
      );
      assert.equal(finishReason, 'stop', `${name}: ${answer}`);
      assert.ok(boxes.length > 0, `${name}: ${answer}`);
      for (const { box } of boxes) {
        const [x1, y1, x2, y2] = box;
        assert.ok(
          x1 >= 0 && y1 >= 0 && x2 <= image.width && y2 <= image.height && x1 < x2 && y1 < y2,
          `${name}: ${answer}`,
        );
      }
    }
  });
});
