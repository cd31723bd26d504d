/** `commlm chat` at a terminal: Tab, Ctrl-C in an answer and at rest, pictures that stay pending, boxes, the link of a drawing. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadModel } from 'commlm';
import { commlm } from '../helpers/cli.js';
import { DOG, FIND_DOG, writePicture } from '../helpers/pictures.js';
import { noTerminal, TerminalRun } from '../helpers/terminal.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let folder = '';
let talker = '';
const ESC = String.fromCharCode(27);
const PROMPT = new RegExp(`> (?:${ESC}\\[\\d*[A-Za-z])*$`);

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm chat ä-'));
  talker = makeTinyModel();
  copyFileSync(DOG, join(folder, 'a dog.png'));
  await writePicture(join(folder, 'wide.png'), 90, 30);
});
after(() => {
  rmSync(folder, { recursive: true });
  rmSync(talker, { recursive: true });
});

test('without a picture it says so, Tab finds one, boxes are in its pixels, and the drawing is a link', async (t) => {
  if (noTerminal) return t.skip(noTerminal);
  const asked = JSON.parse((await commlm(['ask', DOG, FIND_DOG, '--json'])).stdout) as { boxes: { box: number[] }[] };
  const box = asked.boxes[0]!.box.map(Math.round).join(', ');
  using run = new TerminalRun(['chat'], folder);
  await run.waitFor(PROMPT);
  // One key after the other: what comes at once is pasted, and a pasted tab is a blank.
  run.type('/im');
  await run.waitFor(/\/im/);
  run.type('\t');
  await run.waitFor(/\/image $|age $/);
  run.type('a');
  await run.waitFor(/a$/);
  run.type('\t');
  await run.waitFor(/dog\.png/);
  run.type('\r');
  await run.waitFor(/goes with your next message/);
  run.type('/reset\r');
  await run.waitFor(/empty again/);
  run.type('Is there a dog in the image?\r');
  await run.waitFor(/There is no picture yet/);
  await run.waitFor(PROMPT);
  run.type('/reset\r');
  await run.waitFor(/empty again/);
  run.type('/image a dog.png\r');
  await run.waitFor(/goes with your next message/);
  run.type(`${FIND_DOG}\r`);
  await run.waitFor(new RegExp(`: ${box} px`));
  run.type('/draw out.png\r');
  const drawn = await run.waitFor(/drawn: .*out\.png.*out\.png/);
  assert.match(drawn, new RegExp(`${ESC}\\]8;;file://\\S+out\\.png${ESC}\\\\out\\.png`));
  assert.ok(existsSync(join(folder, 'out.png')));
  run.type('/quit\r');
  assert.equal(await run.exit(), 0);
});

test('Ctrl-C takes a message back, its picture stays pending, and at rest it asks to be pressed again', async (t) => {
  if (noTerminal) return t.skip(noTerminal);
  const long = ['--max-new-tokens', '800'];
  using run = new TerminalRun(['chat', '--model', talker, ...long], folder);
  await run.waitFor(PROMPT);
  run.type('/image wide.png\r');
  await run.waitFor(/goes with your next message/);
  run.type('Talk on.\r');
  await run.waitFor(/Talk on\.[\r\n]+[^\r\n]{3}/);
  run.type('\u0003');
  await run.waitFor(/\[stopped; the picture goes with your next message\]/);
  await run.waitFor(PROMPT);
  run.type('half a question\u0003');
  await run.waitFor(/Press Ctrl-C again to leave\./);
  run.type('/help\r');
  await run.waitFor(/Tab completes/);
  run.type('\u0003');
  await run.waitFor(/Press Ctrl-C again to leave\./);
  run.type('\u0003');
  assert.equal(await run.exit(), 130);
});

test('a message that is taken back leaves the conversation as it was, its picture with the next message', async () => {
  using session = await loadModel();
  using chat = session.chat();
  const say = async (text: string): Promise<readonly number[][]> => {
    const stream = chat.say(text);
    for (;;) {
      const step = await stream.next();
      if (step.done) return step.value.boxes.map(({ box }) => [...box]);
    }
  };
  chat.takeBack();
  await chat.addPicture(DOG);
  const boxes = await say(FIND_DOG);
  assert.equal(boxes.length, 1);
  chat.takeBack();
  assert.equal(chat.turns.length, 0);
  assert.deepEqual(await say(FIND_DOG), boxes);
  assert.equal(chat.turns[0]!.images.length, 1);
});

test('boxes are in the frame of the picture that the last message with one brought', async () => {
  using session = await loadModel();
  using chat = session.chat();
  await chat.addPicture(join(folder, 'wide.png'));
  for await (const _ of chat.say('Is there a dog in the image?'));
  await chat.addPicture(DOG);
  const stream = chat.say(FIND_DOG);
  let step = await stream.next();
  while (!step.done) step = await stream.next();
  const { width, height } = chat.turns[1]!.images[0]!;
  assert.ok(step.value.boxes.length > 0);
  const side = Math.max(width, height);
  const shift = [(side - width) / 2, (side - height) / 2];
  // The model writes three decimals of the padded square, and what lies in its padding is cut off.
  for (const { box, normalized } of step.value.boxes) {
    for (const [i, value] of box.entries()) {
      const [size, pad] = i % 2 === 0 ? [width, shift[0]!] : [height, shift[1]!];
      const expected = Math.min(size, Math.max(0, normalized[i]! * side - pad));
      assert.ok(Math.abs(value - expected) < 1e-6 * side, `${value} in place of ${expected}`);
    }
  }
});
