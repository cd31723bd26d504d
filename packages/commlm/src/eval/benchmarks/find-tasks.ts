/** What `eval` is asked for by name: published benchmarks, and files of tasks of one's own. */
import { CommError } from '../../config/errors.js';
import { nearestName } from '../../config/json.js';
import type { Benchmark } from './benchmark.js';
import { BENCHMARKS, findBenchmark } from './index.js';
import { isTaskFile, readTask } from './own-task.js';

function unknownBenchmark(name: string, known: readonly string[]): CommError {
  const guess = nearestName(name, known);
  return new CommError(`There is no benchmark "${name}"${guess === undefined ? '.' : `; did you mean "${guess}"?`}`, {
    code: 'eval/benchmark',
    exitCode: 2,
    fix: `Choose from ${known.join(', ')}, or name the JSON file of a task of your own.`,
  });
}

/** The benchmarks of names, and the tasks of files; each name once. @throws CommError for a name that is neither */
export function findTasks(names: readonly (Benchmark | string)[]): readonly Benchmark[] {
  const known = [...BENCHMARKS.map(({ name }) => name), 'world'];
  const tasks = [...new Set(names)].map((name): Benchmark => {
    if (typeof name !== 'string') return name;
    const benchmark = findBenchmark(name);
    if (benchmark !== undefined) return benchmark;
    if (isTaskFile(name)) return readTask(name, known);
    throw unknownBenchmark(name, known);
  });
  const twice = tasks.find(({ name }, i) => tasks.findIndex((other) => other.name === name) < i);
  if (twice === undefined) return tasks;
  throw new CommError(`Two tasks have the name "${twice.name}".`, {
    code: 'eval/task',
    exitCode: 2,
    fix: 'Give each task a "name" of its own.',
  });
}
