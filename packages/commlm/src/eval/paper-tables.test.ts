/** The paper's tables: every row has a value or null for every column, and its means are those of its own columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findBenchmark } from './benchmarks/index.js';
import { PAPER_TABLES, paperFigure } from './paper-tables.js';

test('rows fit their columns, and columns name benchmarks', () => {
  for (const { table, columns, rows } of PAPER_TABLES) {
    for (const { system, values } of rows) assert.equal(values.length, columns.length, `table ${table}, ${system}`);
    for (const { benchmark } of columns) for (const name of benchmark.split(', ')) assert.ok(findBenchmark(name), name);
  }
});

test('the means of table 2 are those of its eight splits', () => {
  const rows = PAPER_TABLES.find(({ table }) => table === 2)?.rows ?? [];
  for (const system of ['Shikra-7B', 'Shikra-13B', 'Qwen-VL-7B-Chat', 'COMM-7B']) {
    const values = rows.find((row) => row.system === system)?.values as number[];
    const mean = values.slice(0, 8).reduce((sum, value) => sum + value, 0) / 8;
    assert.ok(Math.abs(mean - values[8]!) < 0.011, `${system}: ${mean}`);
  }
});

test('a figure is found by benchmark, figure and data set', () => {
  assert.equal(paperFigure('COMM-7B', 'refcoco', 'testB.accuracy'), 88.85);
  assert.equal(paperFigure('COMM-7B', 'reg', 'val.CIDEr', 'refcocog'), 79.22);
  assert.equal(paperFigure('COMM-7B', 'vqav2', 'accuracy'), 79.05);
  assert.equal(paperFigure('COMM-7B', 'reg', 'val.CIDEr'), null);
  assert.equal(paperFigure('COMM-7B', 'mme', 'perception'), null);
});
