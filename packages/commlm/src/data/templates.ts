/** Lists of template sentences: the built-in ones, those of a file, or a single one; each is checked for its placeholders. */
import type { TemplateConfig } from '../config/data-sets.js';
import { CommError } from '../config/errors.js';
import { readJsonAsync } from '../files/read.js';
import { TASK_PLACEHOLDERS, TEMPLATE_SENTENCES, type TemplateTask } from './template-sentences.js';
import type { Random } from './world/random.js';

/** Sentences of a task, one of which is drawn for a sample. */
export class Templates {
  readonly sentences: readonly string[];

  /** @throws CommError `data/template` unless every sentence holds each placeholder of the task exactly once. */
  constructor(sentences: readonly string[], task: TemplateTask, source: string) {
    this.sentences = sentences;
    sentences.forEach((sentence, i) => {
      for (const placeholder of TASK_PLACEHOLDERS[task]) {
        const found = sentence.split(placeholder).length - 1;
        if (found === 1) continue;
        throw new CommError(`${source}, template ${i + 1}: ${placeholder} is there ${found} times: "${sentence}".`, {
          code: 'data/template',
          fix: `Templates for ${task} hold ${TASK_PLACEHOLDERS[task].join(' and ')} exactly once each.`,
        });
      }
    });
  }

  /** A sentence with what stands for its placeholders; `<image>` stays. */
  draw(random: Random, values: Readonly<Record<string, string>> = {}): string {
    return random
      .pick(this.sentences)
      .replace(/<expr>|<objs>|<question>/g, (placeholder) => values[placeholder] ?? placeholder);
  }
}

/** The templates that a data set is configured with; the built-in ones if it says nothing. */
export async function loadTemplates(task: TemplateTask, config: TemplateConfig | undefined): Promise<Templates> {
  if (config === undefined) return new Templates(TEMPLATE_SENTENCES[task], task, 'built-in templates');
  switch (config.kind) {
    case 'text':
      return new Templates([config.text], task, 'the recipe');
    case 'built-in':
      return new Templates(TEMPLATE_SENTENCES[task].slice(0, config.max), task, 'built-in templates');
    case 'file':
      return new Templates((await readSentences(config.file)).slice(0, config.max), task, config.file);
  }
}

async function readSentences(file: string): Promise<readonly string[]> {
  const value = await readJsonAsync(file, { what: 'the templates' });
  if (!Array.isArray(value) || value.length === 0 || value.some((item) => typeof item !== 'string')) {
    throw new CommError(`${file}: a JSON array of texts is needed.`, {
      code: 'data/template',
      fix: 'Write one sentence an entry, at least one.',
    });
  }
  return value as string[];
}
