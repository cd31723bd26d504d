/**
 * Runs the steps of a set-up: each is skipped when it is up to date (judged by stamps, a few milliseconds in all), two
 * set-ups of one home wait for each other, and an interrupt ends the running step. Plain Node without dependencies, as the
 * clone's set-up needs it before anything is installed or compiled.
 */

import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeJson } from './build.mjs';
import { interrupted } from './programs.mjs';

/** The value of a JSON file, or undefined where there is none to read. */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

const digest = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** True while a process of that id lives. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Text of a file, or undefined where there is none. */
function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the lock with its owner in it, in one step; false where there is one. */
function createLock(lock) {
  const draft = `${lock}.${process.pid}`;
  try {
    writeFileSync(draft, String(process.pid));
    linkSync(draft, lock);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    if (error.syscall !== 'link') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  // A file system without hard links.
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    rmSync(lock, { force: true });
    throw error;
  }
}

/** Waits until no other set-up holds the lock, then takes it; resolves to the function that gives it back. */
async function takeLock(lock, log, signal) {
  mkdirSync(dirname(lock), { recursive: true });
  for (let told = false; !signal?.aborted; ) {
    if (createLock(lock)) return () => rmSync(lock, { force: true });
    const found = readIfThere(lock);
    if (found === undefined) continue;
    const owner = Number(found);
    // Empty where a full disk or a crash came between making and writing it.
    if (!(owner > 0 && isAlive(owner))) {
      const aside = `${lock}.${process.pid}.stale`;
      try {
        renameSync(lock, aside);
      } catch (error) {
        if (error.code !== 'ENOENT') throw error;
        continue;
      }
      // Another one may have taken it over in the meantime: it gets its lock back.
      if (readIfThere(aside) === found) rmSync(aside, { force: true });
      else renameSync(aside, lock);
      continue;
    }
    if (!told) log(`waiting for another set-up (process ${owner})`);
    told = true;
    await new Promise((fulfil) => setTimeout(fulfil, 500));
  }
  throw interrupted();
}

/** Whether a step `{name, stamp(), run({report, signal})}` has nothing to do; `run` resolves to one line for people. */
async function isUpToDate(step, stamps) {
  return stamps[step.name] === digest(await step.stamp());
}

/** Whether no step has anything to do. A later step may need what an earlier one makes, so none is asked past the first that has. */
async function areUpToDate(steps, stamps) {
  for (const step of steps) if (!(await isUpToDate(step, stamps))) return false;
  return true;
}

/**
 * Runs the steps that are not up to date, in order, and records their stamps in `stampsFile`. `log(line)` hears of each,
 * with `quiet` only of those that do something. Resolves to `[{name, done, detail, seconds}]`, `done` being false for a
 * step that was up to date; a failure carries the step's name as `step`.
 */
export async function runSteps({ steps, stampsFile, lockFile, log, quiet = false, signal }) {
  const skipped = (step) => ({ name: step.name, done: false, detail: 'up to date', seconds: 0 });
  if (await areUpToDate(steps, readJson(stampsFile) ?? {})) return steps.map(skipped);
  const width = Math.max(...steps.map((step) => step.name.length));
  const release = await takeLock(lockFile, log, signal);
  const outcomes = [];
  try {
    // Read again: another set-up may have done the work while this one waited.
    const stamps = readJson(stampsFile) ?? {};
    for (const [index, step] of steps.entries()) {
      const label = `[${index + 1}/${steps.length}] ${step.name.padEnd(width)}`;
      if (await isUpToDate(step, stamps)) {
        if (!quiet) log(`${label}  up to date`);
        outcomes.push(skipped(step));
        continue;
      }
      const since = performance.now();
      try {
        const detail = await step.run({ report: (text) => log(`${label}  ${text} ...`), signal });
        if (signal?.aborted) throw interrupted();
        const seconds = (performance.now() - since) / 1000;
        log(`${label}  ${detail} (${seconds.toFixed(1)} s)`);
        outcomes.push({ name: step.name, done: true, detail, seconds });
      } catch (error) {
        throw signal?.aborted ? interrupted() : Object.assign(error, { step: step.name });
      }
      stamps[step.name] = digest(await step.stamp());
      writeJson(stampsFile, stamps);
    }
    return outcomes;
  } finally {
    release();
  }
}
