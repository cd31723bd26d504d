/**
 * Guard of the documents: every npm script, every `commlm` command and option, and every linked file that a Markdown file
 * names exists, so that what a reader copies from them runs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const embedded = join(root, 'models', 'comm-tiny', 'config.json');
const cli = join(root, 'packages', 'commlm', 'bin', 'commlm.js');

/** Markdown files of the project: the root, `docs`, and the packages' own. */
function listDocuments(): string[] {
  const inFolder = (folder: string): string[] =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder))
          .filter((name) => name.endsWith('.md'))
          .map((name) => join(folder, name))
      : [];
  return ['', 'docs', 'packages/torch', 'packages/commlm', 'models/comm-tiny', 'examples', 'runs'].flatMap(inFolder);
}

interface Line {
  readonly file: string;
  readonly text: string;
}

const documents = listDocuments().map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }));

/** Lines of shell blocks, continuation lines joined, comments cut. */
const shellLines: readonly Line[] = documents.flatMap(({ file, text }) =>
  [...text.matchAll(/^```(?:sh|bash|console)\n([\s\S]*?)^```/gm)].flatMap((block) =>
    (block[1] ?? '')
      .replaceAll('\\\n', ' ')
      .split('\n')
      .map((line) => line.replace(/\s+#.*$/, '').trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => ({ file, text: line })),
  ),
);

test('the documents are there', () => {
  for (const name of ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', join('docs', 'architecture.md')]) {
    assert.ok(
      documents.some(({ file }) => file === name),
      `${name} is missing`,
    );
  }
  assert.ok(shellLines.length > 10, `only ${shellLines.length} shell lines found`);
});

test('npm scripts that the documents name exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const { file, text } of shellLines) {
    const name = /\bnpm (?:run )?(start|test)\b/.exec(text)?.[1] ?? /\bnpm run ([\w:-]+)/.exec(text)?.[1];
    if (name !== undefined)
      assert.ok(name in scripts, `${file}: "${text}" names the script "${name}", which is absent`);
  }
});

test('commands and options that the documents name exist', () => {
  const help = new Map<string, string>();
  for (const { file, text } of shellLines) {
    const words = /\bcommlm (.*)$/.exec(text)?.[1]?.match(/"[^"]*"|'[^']*'|\S+/g);
    const command = words?.find((word) => !word.startsWith('-'));
    if (words === undefined || words === null || command === undefined || !/^[a-z]+$/.test(command)) continue;
    let output = help.get(command);
    if (output === undefined) {
      const run = spawnSync(process.execPath, [cli, command, '--help'], { encoding: 'utf8' });
      assert.equal(run.status, 0, `${file}: "${text}": commlm ${command} --help failed:\n${run.stderr}`);
      output = run.stdout;
      help.set(command, output);
    }
    for (const option of words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.split('=')[0] ?? '')) {
      assert.match(output, new RegExp(`${option}\\b`), `${file}: "${text}": commlm ${command} has no ${option}`);
    }
  }
  assert.ok(help.size > 4, `only ${help.size} commands found in the documents`);
});

test('relative links lead to files', () => {
  for (const { file, text } of documents) {
    const prose = text.replace(/^```[\s\S]*?^```/gm, '');
    for (const [, target = ''] of prose.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      // The model card and the pictures of answers come with the embedded model.
      if (/(docs\/images|models\/comm-tiny)\//.test(target) && !existsSync(embedded)) continue;
      assert.ok(existsSync(join(root, dirname(file), target)), `${file} links to ${target}, which does not exist`);
    }
  }
});
