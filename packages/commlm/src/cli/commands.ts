/**
 * The table of commands: names and one-line summaries for the help, and where each lives. Nothing is loaded until asked.
 */
import type { Command } from 'commander';

/** A module that adds its command to the program; it must not load libtorch before the command's action runs. */
export interface CommandModule {
  register(program: Command): void;
}

/** One row of the table. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

/** Every command of `commlm`, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'ask', summary: 'answer a question about one or more pictures', load: () => import('./ask.js') },
  { name: 'chat', summary: 'talk about pictures in the terminal', load: () => import('./chat.js') },
  { name: 'batch', summary: 'answer a JSON-lines file of questions, resumable', load: () => import('./batch.js') },
  { name: 'features', summary: 'write the hidden states of an encoder', load: () => import('./features.js') },
  {
    name: 'inspect',
    summary: 'show what a model folder holds, without loading it',
    load: () => import('./inspect.js'),
  },
  { name: 'convert', summary: 'write a model of another layout as ours', load: () => import('./convert.js') },
  { name: 'pull', summary: 'download a model into the shared Hugging Face cache', load: () => import('./pull.js') },
  { name: 'train', summary: 'train by a recipe', load: () => import('./train.js') },
  { name: 'data', summary: "look at, check and time a recipe's data", load: () => import('./data.js') },
  { name: 'world', summary: 'write synthetic scenes in real file formats', load: () => import('./world.js') },
  { name: 'score', summary: 'score predictions made by anything', load: () => import('./score.js') },
  { name: 'eval', summary: 'generate and score on a benchmark', load: () => import('./eval.js') },
  { name: 'setup', summary: 'find or fetch libtorch and make the addon', load: () => import('./setup.js') },
  { name: 'bench', summary: 'measure speed and memory on this machine', load: () => import('./bench.js') },
  { name: 'doctor', summary: 'check this installation and name what fixes it', load: () => import('./doctor.js') },
];
