/** Figures for people and tables: units, alignment, styles that do not count as width. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  answerFor,
  counted,
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatTable,
  styleOf,
} from './output.js';

test('bytes, counts and durations have the unit that fits', () => {
  assert.deepEqual([0, 1023, 1024, 5 * 2 ** 20, 13.5e9].map(formatBytes), [
    '0 B',
    '1023 B',
    '1.00 KiB',
    '5.00 MiB',
    '12.6 GiB',
  ]);
  assert.deepEqual([7, 1500, 25_200_000, 6.74e9].map(formatCount), ['7', '1.5 K', '25.20 M', '6.74 B']);
  assert.deepEqual([0.5, 850, 12_345, 250_000, 7_500_000].map(formatDuration), [
    '0.5 ms',
    '850 ms',
    '12.3 s',
    '4 min 10 s',
    '2 h 05 min',
  ]);
});

test('one thing is singular, any other number of them plural', () => {
  assert.deepEqual(
    [0, 1, 2].map((count) => counted(count, 'line')),
    ['0 lines', '1 line', '2 lines'],
  );
  assert.equal(counted(2, 'pass'), '2 passes');
});

test('a learning rate is a plain number, and 0 where rounding alone is left of it', () => {
  const rates = (highest: number, ...all: number[]): string[] => all.map((rate) => formatRate(rate, highest));
  assert.deepEqual(rates(2e-5, 0, 1.9698e-5, 1e-5, 1.31e-13), ['0', '0.0000197', '0.00001', '0']);
  assert.deepEqual(rates(0.0015, 0.00148, 0.00045, 5.24e-15), ['0.00148', '0.00045', '0']);
  assert.deepEqual(rates(20, 20, 0.31), ['20', '0.3']);
});

test('a table lines up, whatever styles its cells carry', () => {
  const bold = '\x1b[1m12\x1b[22m';
  const table = formatTable(
    [{ title: 'name' }, { title: 'n', align: 'right' }],
    [
      ['a', bold],
      ['long name', '3'],
    ],
  );
  assert.equal(table, `name        n\n---------  --\na          ${bold}\nlong name   3`);
});

test('a stream that is no terminal gets no colour', () => {
  const pipe = { isTTY: false } as NodeJS.WriteStream;
  assert.equal(styleOf(pipe).red('x'), 'x');
});

test('NO_COLOR and CI switch colours off on a terminal', () => {
  const terminal = { isTTY: true } as NodeJS.WriteStream;
  const { NO_COLOR, CI, TERM } = process.env;
  try {
    delete process.env.NO_COLOR;
    delete process.env.CI;
    process.env.TERM = 'xterm';
    assert.equal(styleOf(terminal).red('x'), '\x1b[31mx\x1b[39m');
    process.env.NO_COLOR = '1';
    assert.equal(styleOf(terminal).red('x'), 'x');
    delete process.env.NO_COLOR;
    process.env.CI = 'true';
    assert.equal(styleOf(terminal).red('x'), 'x');
  } finally {
    for (const [name, value] of Object.entries({ NO_COLOR, CI, TERM })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

test('an answer is exact for a pipe and harmless on a terminal', () => {
  const text = 'a\u001b[2J\r\u009b\n';
  assert.equal(answerFor({ isTTY: false }, text), text);
  assert.equal(answerFor({ isTTY: true }, text), 'a\\x1b[2J\\x0d\\x9b\n');
});
