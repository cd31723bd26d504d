/** One process at a time, whatever the one before left behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lockFile } from './lock.js';

const folder = mkdtempSync(join(tmpdir(), 'lock-'));
after(() => rmSync(folder, { recursive: true }));
const purpose = { doing: 'trains in', subject: 'the folder', otherwise: 'name another --out' };

test('a second owner is refused until the first gives the lock back', () => {
  const path = join(folder, 'once.lock');
  {
    using _ = lockFile(path, purpose);
    assert.throws(() => lockFile(path, purpose), {
      code: 'file/busy',
      message: `Process ${process.pid} on ${hostname()} trains in the folder.`,
    });
  }
  assert.ok(!existsSync(path));
  using _ = lockFile(path, purpose);
});

test('the lock of a process that is gone is taken over', () => {
  const path = join(folder, 'gone.lock');
  const gone = [
    // No process has that number; process 1 has, but it began at another time.
    { pid: 2 ** 30, host: hostname(), began: null },
    ...(process.platform === 'linux' ? [{ pid: 1, host: hostname(), began: 'another time' }] : []),
  ];
  for (const owner of gone) {
    writeFileSync(path, JSON.stringify(owner));
    using _ = lockFile(path, purpose);
    assert.equal(JSON.parse(readFileSync(path, 'utf8')).pid, process.pid);
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('a number that was given to a process of another user is told by when that began', {
  skip: process.platform !== 'linux',
}, (t) => {
  const path = join(folder, 'other-user.lock');
  t.mock.method(process, 'kill', () => {
    throw Object.assign(new Error('kill EPERM'), { code: 'EPERM', syscall: 'kill' });
  });
  writeFileSync(path, JSON.stringify({ pid: process.pid, host: hostname(), began: 'another time' }));
  {
    using _ = lockFile(path, purpose);
  }
  // One that is known by its number alone may be the owner; so may one of which nothing can be seen.
  for (const owner of [
    { pid: process.pid, began: null },
    { pid: 2 ** 30, began: 'another time' },
  ]) {
    writeFileSync(path, JSON.stringify({ ...owner, host: hostname() }));
    assert.throws(() => lockFile(path, purpose), { code: 'file/busy' });
    rmSync(path);
  }
});

test('a lock that cannot be read is told as such', () => {
  const path = join(folder, 'folder.lock');
  mkdirSync(path);
  assert.throws(() => lockFile(path, purpose), {
    code: 'file/unreadable',
    message: /folder\.lock \(a lock\) cannot be read/,
  });
  rmSync(path, { recursive: true });
});

test('a lock on another machine is left alone', () => {
  const path = join(folder, 'far.lock');
  writeFileSync(path, JSON.stringify({ pid: 2 ** 30, host: 'elsewhere', began: null }));
  assert.throws(() => lockFile(path, purpose), { code: 'file/busy', message: /on elsewhere trains in/ });
  rmSync(path);
});

test('an empty lock, left by a crash or a full disk, does not block for ever', () => {
  for (const content of ['', '{"pid":', 'null', '[]']) {
    const path = join(folder, 'empty.lock');
    writeFileSync(path, content);
    utimesSync(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000));
    using _ = lockFile(path, purpose);
  }
});

test('of many processes that find an abandoned lock, exactly one at a time holds it', { timeout: 60_000 }, async () => {
  const path = join(folder, 'many.lock');
  const record = join(folder, 'record');
  writeFileSync(path, JSON.stringify({ pid: 2 ** 30, host: hostname(), began: null }));
  writeFileSync(record, '');
  // Each writes when it enters and when it leaves; a killed one leaves its lock behind.
  const code = `
    const { lockFile } = await import(${JSON.stringify(new URL('./lock.js', import.meta.url).href)});
    const { appendFileSync } = await import('node:fs');
    const [path, record, end] = process.argv.slice(1);
    for (let done = 0; done < 10; ) {
      let lock;
      try { lock = lockFile(path, ${JSON.stringify(purpose)}); } catch (error) {
        if (error.code !== 'file/busy') throw error;
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      appendFileSync(record, '<' + process.pid + '\\n');
      await new Promise((resolve) => setTimeout(resolve, 1));
      appendFileSync(record, process.pid + '>\\n');
      done++;
      if (end === 'kill' && done === 5) process.kill(process.pid, 'SIGKILL');
      lock[Symbol.dispose]();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
    }`;
  const ends = ['kill', 'stay', 'kill', 'stay', 'stay'];
  const codes = await Promise.all(
    ends.map(
      (end) =>
        new Promise<number | null>((resolve) => {
          const child = spawn(process.execPath, ['--input-type=module', '--eval', code, path, record, end], {
            stdio: ['ignore', 'inherit', 'inherit'],
          });
          child.on('exit', resolve);
        }),
    ),
  );
  assert.deepEqual(codes, [null, 0, null, 0, 0]);
  const lines = readFileSync(record, 'utf8').trim().split('\n');
  assert.equal(lines.length, 2 * (3 * 10 + 2 * 5));
  for (let i = 0; i < lines.length; i += 2) assert.equal(`${lines[i]}>`, `<${lines[i + 1]}`, `line ${i}`);
  // A killed one may have been the last: its lock is there for whoever comes next, and nothing else is.
  lockFile(path, purpose)[Symbol.dispose]();
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('many')),
    [],
  );
});
