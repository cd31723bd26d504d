#!/usr/bin/env node
/**
 * `npm start`: the set-up, then a question about a picture, answered by the embedded model.
 * `npm start -- PICTURE QUESTION` does it on yours; further options go to `commlm ask`.
 */

import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, extname, join, relative, resolve } from 'node:path';
import { ROOT, setUp } from './setup.mjs';

// The wording that the paper shows; the answer has a box for each thing.
const DEMO = {
  picture: 'examples/music.png',
  question:
    'Provide a comprehensive description of the image and specify the positions of any mentioned objects in square brackets.',
};

const HELP = `Usage: npm start                                   a question about a picture of this repository
       npm start -- PICTURE QUESTION [options]     yours

The picture comes first, then the question. Quotes around the question are needed where it holds what the shell reads
itself ('?', '*', '"'); npm wants the "--" in front of all of it. The picture with the boxes of the answer is written into
the folder out/ of the repository.

Examples:
  npm start -- examples/traffic.jpg "Find the dog in the image."
  npm start -- examples/street.jpg How many cars are there
  npm start -- photo.jpg "What is in the image?" --model llava-hf/llava-1.5-7b-hf

The options are those of "npx commlm ask --help".`;

/** Where the user is: npm runs scripts in the root of the clone. */
const HERE = process.env.INIT_CWD ?? process.cwd();

const isAddress = (word) => /^[a-z][a-z0-9+.-]+:\/\//i.test(word) && !/^file:/i.test(word);
const isFile = (word) => statSync(resolve(HERE, word), { throwIfNoEntry: false })?.isFile() === true;

/** Ends with one sentence and what to do, as the commands do. */
function refuse(message, fix) {
  console.error(`error: ${message}\nfix:   ${fix}`);
  process.exit(2);
}

/** The picture, the question and the options of a command line; ends the process where they make none. */
function readArguments(args) {
  const first = args.findIndex((arg) => /^-./.test(arg));
  const words = first < 0 ? args : args.slice(0, first);
  const options = first < 0 ? [] : args.slice(first);
  if (words.length === 0) return { picture: join(ROOT, DEMO.picture), question: DEMO.question, options };
  const [picture, ...rest] = words;
  if (isAddress(picture)) {
    const why = /^https?:/i.test(picture)
      ? 'is a web address, and pictures are not fetched from the web'
      : 'is an address that is not read as a picture';
    refuse(`${picture} ${why}.`, 'Download the picture and give the path of the file.');
  }
  if (!isFile(picture)) {
    const turned = words.slice(1).find(isFile);
    if (turned !== undefined) {
      refuse(`"${picture}" is no picture.`, `The picture comes first: npm start -- ${turned} "QUESTION"`);
    }
    refuse(`There is no file ${picture}.`, 'The picture comes first: npm start -- PICTURE "QUESTION"');
  }
  if (rest.length === 0) {
    refuse('A question is missing.', `As in: npm start -- ${picture} "What is in the image?"`);
  }
  // Unquoted words are one question.
  return { picture: resolve(HERE, picture), question: rest.join(' '), options };
}

/** The folder for drawn pictures: out/ of the clone, or a temporary one where the clone may not be written. */
function folderForDrawings() {
  const folder = join(ROOT, 'out');
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return folder;
  } catch {
    return mkdtempSync(join(tmpdir(), 'commlm-'));
  }
}

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  console.log(HELP);
  process.exit(0);
}
const { picture, question, options } = readArguments(args);

await setUp({ quiet: true });

const drawn = join(folderForDrawings(), `${basename(picture, extname(picture))}-answer.png`);
console.log(`picture   ${relative(HERE, picture) || picture}`);
console.log(`question  ${question}\n`);
const cli = join(ROOT, 'packages', 'commlm', 'bin', 'commlm.js');
const child = spawn(process.execPath, [cli, 'ask', picture, question, '--draw', drawn, ...options], {
  stdio: 'inherit',
});
process.on('SIGINT', () => {});
const code = await new Promise((fulfil) => child.on('close', (status) => fulfil(status ?? 130)));
if (code === 0) {
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
