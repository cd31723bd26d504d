#!/usr/bin/env node
/**
 * Makes the package `@commlm/torch-<platform>-<arch>` for this machine: the addon, built against the libtorch of the clone,
 * so that no compiler is needed where it is installed beside `@commlm/torch`. It looks for libtorch in a folder `libtorch`
 * beside itself, which `commlm setup` links. Behind `npm run setup`, with a libtorch for the CPU:
 *
 *   node tools/prebuilt.mjs --out FOLDER
 */

import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildAddon, writeJson } from '../packages/torch/native/build.mjs';
import { readJson } from '../packages/torch/native/steps.mjs';
import { ROOT } from './setup.mjs';

const at = process.argv.indexOf('--out');
if (at < 0 || process.argv[at + 1] === undefined) {
  console.error('Name the folder to write: node tools/prebuilt.mjs --out FOLDER');
  process.exit(2);
}
const out = resolve(process.argv[at + 1]);
const libtorch = readJson(join(ROOT, '.cache', 'libtorch.json'));
if (libtorch === undefined || libtorch.cuda) {
  console.error(libtorch ? 'The libtorch of the clone is a CUDA build.' : 'No libtorch is chosen yet: npm run setup');
  process.exit(1);
}

const { version, license, engines } = readJson(join(ROOT, 'packages', 'torch', 'package.json'));
const name = `@commlm/torch-${process.platform}-${process.arch}`;
const minor = Number(libtorch.version.split('.')[1]);
const work = join(out, 'work');
mkdirSync(work, { recursive: true });
// They are named by their content: what the clone has compiled already is not compiled again.
const objects = join(ROOT, 'packages', 'torch', 'build', 'obj');
if (existsSync(objects)) cpSync(objects, join(work, 'obj'), { recursive: true });
const { addon } = await buildAddon({
  libtorchPath: libtorch.path,
  outDir: work,
  runPath: process.platform === 'darwin' ? '@loader_path/libtorch/lib' : '$ORIGIN/libtorch/lib',
  report: (text) => console.error(text),
});
copyFileSync(addon, join(out, 'commtorch.node'));
rmSync(work, { recursive: true, force: true });
copyFileSync(join(ROOT, 'LICENSE'), join(out, 'LICENSE'));
writeFileSync(
  join(out, 'README.md'),
  `# ${name}

The addon of \`@commlm/torch\` ${version}, built for ${process.platform} ${process.arch}
against libtorch 2.${minor} for the CPU. Install it beside \`@commlm/torch\` of the same version, and \`commlm-torch setup\` needs no C++
compiler: it takes this addon and fetches libtorch, which is not in this package.
`,
);
writeJson(join(out, 'package.json'), {
  name,
  version,
  description: `The addon of @commlm/torch, built for ${process.platform} ${process.arch} and libtorch 2.${minor}`,
  license,
  engines,
  os: [process.platform],
  cpu: [process.arch],
  ...(process.platform === 'linux' ? { libc: ['glibc'] } : {}),
  // What the set-up compares with the libtorch that it finds: the C++ interface holds within one minor version.
  commtorch: { libtorchMinors: [minor, minor] },
  files: ['commtorch.node'],
  publishConfig: { access: 'public', provenance: true },
});
console.log(`${name} ${version} for libtorch 2.${minor}: ${out}`);
