#!/usr/bin/env node
/**
 * The shape of the code in figures: lines, long files, files that import each other in a circle (types and `import()`
 * included), and arrows between folders of the product that point both ways. `node tools/structure.mjs [FOLDER...]`, each
 * folder a tree of this repository (this one by default), for a comparison; the tests must be built.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCircles, isTest, listSources, readImports } from '../tests/dist/helpers/imports.js';

const ROOT = resolve(fileURLToPath(import.meta.url), '..', '..');
const LONG = 400;

/** Folder of the product that a file lies in. */
const roomOf = (file) => /^packages\/commlm\/src\/([^/]+)\//.exec(file)?.[1];

function measure(root) {
  const isSource = (file) => /^packages\/[^/]+\/src\//.test(file) && !isTest(file) && !file.endsWith('.gen.ts');
  const lengths = listSources(root, 'packages')
    .filter(isSource)
    .map((file) => readFileSync(join(root, file), 'utf8').split('\n').length - 1);
  const arrows = readImports(root, ['packages'])
    .filter(({ file, resolved }) => resolved !== undefined && !isTest(file))
    .map(({ file, resolved }) => ({ from: file, to: resolved }));
  const circles = findCircles(arrows);
  const rooms = arrows
    .map(({ from, to }) => ({ from: roomOf(from), to: roomOf(to) }))
    .filter(({ from, to }) => from !== undefined && to !== undefined && from !== to);
  const isTwoWay = ({ from, to }) => rooms.some((other) => other.from === to && other.to === from);
  const pairs = new Set(rooms.filter(isTwoWay).map(({ from, to }) => [from, to].sort().join(' <-> ')));
  return {
    folder: root,
    files: lengths.length,
    lines: lengths.reduce((sum, length) => sum + length, 0),
    [`over ${LONG} lines`]: lengths.filter((length) => length > LONG).length,
    circles: circles.length,
    'files in them': circles.flat().length,
    'folders both ways': [...pairs].join(', ') || 'none',
  };
}

const folders = process.argv.slice(2);
console.table((folders.length === 0 ? [ROOT] : folders.map((folder) => resolve(folder))).map(measure));
