/**
 * Loaded into a run by tools/walks.mjs: takes the call stack whenever the addon is called or a file is written, and leaves
 * the files of commlm that lie on those stacks, and the calls between them, in the file WALKS_RECORD when the run ends.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const files = new Set();
const calls = new Set();
const SOURCE = /packages\/commlm\/dist\/(.+?)\.js:\d+/;
Error.stackTraceLimit = 200;

function takeStack() {
  const lines = new Error().stack.split('\n');
  const met = lines.map((line) => SOURCE.exec(line)?.[1]).filter((name) => name !== undefined);
  const path = met.reverse().map((name) => `${name}.ts`);
  path.forEach((file, index) => {
    files.add(file);
    if (index > 0 && path[index - 1] !== file) calls.add(`${path[index - 1]}>${file}`);
  });
}

const watched = (run) =>
  function (...args) {
    takeStack();
    return Reflect.apply(run, this, args);
  };

if (isMainThread) {
  const { dlopen } = process;
  process.dlopen = (module, ...rest) => {
    dlopen.call(process, module, ...rest);
    if (!rest[0]?.includes('commtorch')) return;
    const { exports } = module;
    module.exports = Object.fromEntries(
      Object.entries(exports).map(([name, value]) => [
        name,
        typeof value === 'function' && !/^[A-Z]/.test(name) ? watched(value) : value,
      ]),
    );
  };
  for (const name of ['writeFileSync', 'writeSync', 'renameSync']) fs[name] = watched(fs[name]);
  for (const name of ['writeFile', 'rename', 'open']) fs.promises[name] = watched(fs.promises[name]);
  syncBuiltinESMExports();
  const write = fs.writeFileSync;
  process.on('exit', () => write(process.env.WALKS_RECORD, JSON.stringify({ files: [...files], calls: [...calls] })));
}
