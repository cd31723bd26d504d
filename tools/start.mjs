#!/usr/bin/env node
/**
 * `npm start`: the set-up, then a question about a picture, answered by the embedded model.
 * `npm start -- PICTURE "QUESTION"` does it on yours; further options go to `commlm ask`.
 */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { basename, extname, join, relative, resolve } from 'node:path';
import { ROOT, setUp } from './setup.mjs';

// The wording that the paper shows; the answer has a box for each thing.
const DEMO = {
  picture: 'examples/music.png',
  question:
    'Provide a comprehensive description of the image and specify the positions of any mentioned objects in square brackets.',
};

const [picture, question, ...options] = process.argv.slice(2);
if (picture !== undefined && question === undefined) {
  console.error('A question is missing: npm start -- PICTURE "QUESTION"');
  process.exit(2);
}

await setUp({ quiet: true });

// npm runs scripts in the root of the clone; a path of the user counts from where they are.
const chosen = picture === undefined ? join(ROOT, DEMO.picture) : resolve(process.env.INIT_CWD ?? '.', picture);
const asked = question ?? DEMO.question;
const shown = (path) => relative(process.env.INIT_CWD ?? process.cwd(), path) || path;
const drawn = join(ROOT, 'out', `${basename(chosen, extname(chosen))}-answer.png`);
mkdirSync(join(ROOT, 'out'), { recursive: true });

console.log(`picture   ${shown(chosen)}`);
console.log(`question  ${asked}\n`);
const cli = join(ROOT, 'packages', 'commlm', 'bin', 'commlm.js');
const child = spawn(process.execPath, [cli, 'ask', chosen, asked, '--draw', drawn, ...options], { stdio: 'inherit' });
process.on('SIGINT', () => {});
const code = await new Promise((fulfil) => child.on('close', (status) => fulfil(status ?? 130)));
if (code === 0 && existsSync(drawn)) {
  // The command itself names the drawn picture.
  console.log(`
Try next
  npm start -- PICTURE "QUESTION"                  your own picture
  npx commlm ask examples/${basename(DEMO.picture)} "Is there a cat in the image? please answer yes or no." --json
  npx commlm chat examples/${basename(DEMO.picture)}
  npx commlm inspect                               what the model is made of
  npx commlm --help`);
}
process.exitCode = code;
