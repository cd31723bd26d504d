/** Chat templates and patterns of a model folder from outside: none runs for ever, none fills the memory. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CommError, renderChatTemplate, Tokenizer } from 'commlm';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const json = JSON.parse(readFileSync(`${root}/models/comm-tiny/tokenizer.json`, 'utf8'));

test('a template that would run for ever, or fill the memory, is refused', () => {
  const tokenizer = new Tokenizer(json);
  const doubled = (end: string): string =>
    `{% set n = namespace(a=[1]) %}{% for i in range(50) %}{% set n.a = [n.a, n.a] %}{% endfor %}${end}`;
  for (const [template, why] of [
    ['{{ range(1000000000) | list | length }}', /range/],
    ['{% for i in range(100000000) %}x{% endfor %}', /range/],
    [
      '{% for i in range(3000) %}{% for j in range(3000) %}{% for k in range(3000) %}x{% endfor %}{% endfor %}{% endfor %}',
      /steps/,
    ],
    ["{{ 'x' * 1000000000 }}", /characters/],
    ['{{ [0] * 1000000000 }}', /characters/],
    [
      "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
      /characters/,
    ],
    [doubled('{{ n.a }}'), /steps|characters/],
    [doubled('{{ n.a | tojson }}'), /steps|characters/],
    ['{{ 2 ** 100000000 }}', /bits/],
    ['{% set n = namespace(v=3) %}{% for i in range(40) %}{% set n.v = n.v * n.v %}{% endfor %}', /bits/],
    ["{{ '%1000000000s' % 'a' }}", /width/],
    ["{{ '{:>1000000000}'.format('a') }}", /width/],
    ["{{ 'a'.center(1000000000000) }}", /characters/],
    ["{{ 'a'.zfill(99999999999) }}", /characters/],
    ["{{ 'a\tb'.expandtabs(99999999999) }}", /characters/],
    ["{{ 'x' | indent(1000000000, true) }}", /characters/],
    ['{{ {} | tojson(indent=999999999) }}', /characters/],
    ["{{ ('ab' * 1000000).replace('a', 'b' * 1000000) }}", /characters/],
    ["{{ range(100000) | map('string') | join('x' * 100000) }}", /characters/],
    ['{{ ([3, 2, 1] * 3000000) | sort | length }}', /steps/],
    ['{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', /nested/],
    ['{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}', /nested/],
    [`{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`, /nested/],
    [`{{ ${'-'.repeat(100_000)}1 }}`, /nested/],
    [`{{ ${'1+'.repeat(100_000)}1 }}`, /nested/],
    ['{% if 1 %}'.repeat(50_000), /nested/],
    [' '.repeat(1_000_001), /characters/],
  ] as const) {
    const before = performance.now();
    const refused = (error: unknown): boolean =>
      error instanceof CommError && error.code === 'text/chat-template' && why.test(error.message);
    assert.throws(() => renderChatTemplate([], tokenizer, { template }), refused, template.slice(0, 100));
    // The bounds are on work; a minute only tells that there are any.
    assert.ok(performance.now() - before < 60_000, template.slice(0, 100));
  }
});

test('a pattern that would run for ever is stopped', () => {
  const replace = (Regex: string): unknown => ({ type: 'Replace', pattern: { Regex }, content: '' });
  const split = (Regex: string): unknown => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  });
  for (const [field, step, text] of [
    ['normalizer', replace('(.*)*$x'), `${'a'.repeat(40)}\nb`],
    ['pre_tokenizer', split(String.raw`(\w+\s*)+$x`), `${'word '.repeat(40)}!`],
    ['pre_tokenizer', split(String.raw`\d+x`), '1'.repeat(400_000)],
  ] as const) {
    const tokenizer = new Tokenizer({ ...json, [field]: step });
    assert.throws(() => tokenizer.encode(text), { name: 'CommError', code: 'text/pattern-time' });
    assert.ok(tokenizer.encode('a dog').length > 0, 'and works on');
  }
});
