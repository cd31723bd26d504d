/**
 * Guard of what messages advise: every command, option, script and field of a recipe that a sentence in the sources names
 * is there, so that who follows the advice is not refused.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../helpers/cli.js';

const inside = (module: string): string => pathToFileURL(join(ROOT, 'packages', 'commlm', 'dist', module)).href;
const { COMMANDS } = (await import(inside('cli/commands.js'))) as { COMMANDS: readonly { readonly name: string }[] };
const { applySettings, loadRecipe } = (await import(inside('train/recipe.js'))) as {
  applySettings(recipe: object, settings: readonly string[]): object;
  loadRecipe(name: string): Promise<object>;
};

/** Options of other programs that our sentences name. */
const OF_OTHERS = ['--omit', '--install'];

interface Sentence {
  readonly where: string;
  readonly text: string;
}

/** What is put into a text is code, and may hold texts of its own. */
function withoutValues(text: string): string {
  const shorter = text.replace(/\$\{[^{}]*\}/g, '_');
  return shorter === text ? text : withoutValues(shorter);
}

/** Texts of several words in the code of a file, without what is put in. */
function sentencesOf(path: string): Sentence[] {
  const code = readFileSync(join(ROOT, path), 'utf8');
  return code.split('\n').flatMap((line, i) => {
    if (/^\s*(\*|\/\*|\/\/)/.test(line)) return [];
    const literals = line.matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g);
    return [...literals]
      .map((literal) => literal.slice(1).find((part) => part !== undefined) ?? '')
      .map(withoutValues)
      .filter((text) => text.includes(' '))
      .map((text) => ({ where: `${path}:${i + 1}`, text }));
  });
}

const sources = ['packages/commlm/src', 'packages/torch/src', 'packages/torch/native', 'tools'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        /\.(ts|mjs)$/.test(name) &&
        !/\.(test|fixture|gen)\.ts$|^(golden|world|bench)\/.*mjs$|testing|node_modules/.test(name),
    )
    .map((name) => join(folder, name)),
);
const sentences = sources.flatMap(sentencesOf);

/** Options of a command, those of its sub-commands too. */
function optionsOf(words: readonly string[]): string[] {
  const cli = join(ROOT, 'packages', 'commlm', 'bin', 'commlm.js');
  const { stdout } = spawnSync(process.execPath, [cli, ...words, '--help'], { encoding: 'utf8' });
  const below = /^Commands:\n((?: .*\n?)+)/m.exec(stdout)?.[1]?.matchAll(/^ {2}([a-z]+) /gm) ?? [];
  const own = [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z][a-z0-9-]*)/gm)].map(([, option]) => option as string);
  return [...own, ...[...below].flatMap(([, name]) => (name === 'help' ? [] : optionsOf([...words, name as string])))];
}

const known = new Map(COMMANDS.map(({ name }) => [name, new Set(optionsOf([name]))] as const));

test('commands that sentences name exist, with the options that stand behind them', () => {
  let found = 0;
  for (const { where, text } of sentences) {
    for (const [, name = '', rest = ''] of text.matchAll(/\bcommlm ([a-z]+)\b([^;:.)",]*)/g)) {
      const options = known.get(name);
      assert.ok(options !== undefined, `${where} names "commlm ${name}", which does not exist`);
      for (const [option] of rest.matchAll(/--[a-z][a-z0-9-]*/g)) {
        assert.ok(options.has(option), `${where}: commlm ${name} has no ${option}`);
      }
      found++;
    }
  }
  assert.ok(found > 20, `only ${found} found`);
});

test('options that sentences name exist', () => {
  const all = new Set([...OF_OTHERS, ...[...known.values()].flatMap((options) => [...options])]);
  let found = 0;
  for (const { where, text } of sentences) {
    for (const [option] of text.matchAll(/(?<![\w-])--[a-z][a-z0-9-]*/g)) {
      // Of the tools, which read their own.
      const isOwn =
        !where.startsWith('packages/commlm') &&
        readFileSync(join(ROOT, where.split(':')[0] ?? '')).includes(`'${option}'`);
      assert.ok(all.has(option) || isOwn, `${where} names ${option}, which no command has: ${text}`);
      found++;
    }
  }
  assert.ok(found > 50, `only ${found} found`);
});

test('npm scripts that sentences name exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
  for (const { where, text } of sentences) {
    for (const [, name = ''] of text.matchAll(/\bnpm run ([\w:-]+)/g)) assert.ok(name in scripts, `${where}: ${text}`);
  }
});

function hasField(recipe: Awaited<ReturnType<typeof loadRecipe>>, path: string): boolean {
  try {
    applySettings(recipe, [`${path}=null`]);
    return true;
  } catch (error) {
    // Another type, or a range: then there is such a field.
    return !/^The recipe has no /.test((error as Error).message);
  }
}

test('fields of recipes that sentences name exist', async () => {
  const recipes: Readonly<Record<string, string | readonly string[]>> = {
    ...{ loop: 'tiny-clip', clip: 'tiny-clip', dinov2: 'tiny-dinov2', mae: 'tiny-mae', deit: 'tiny-deit' },
    ...{ lm: 'tiny-lm', comm: ['tiny-stage1', 'tiny-own-data'] },
  };
  const field = new RegExp(
    `(?<![\\w./-])(${Object.keys(recipes).join('|')})((?:\\.[a-z](?:[\\w-]*\\w)?)+)(?![\\w/]|\\.[a-z])`,
    'g',
  );
  const paths = new Set<string>();
  for (const { text } of sentences) for (const [path] of text.matchAll(field)) paths.add(path);
  for (const path of paths) {
    const names = [recipes[path.split('.')[0]!]!].flat();
    const known = await Promise.all(names.map(async (name) => hasField(await loadRecipe(name), path)));
    assert.ok(known.includes(true), `no recipe has ${path}`);
  }
  assert.ok(paths.size > 15, `only ${[...paths]}`);
});
