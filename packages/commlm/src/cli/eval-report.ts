/** `commlm eval report DIR`: writes the page of a folder of results again. */
import type { Command } from 'commander';
import { writeDurably } from '../files/durable.js';
import { wholeNumber } from './options.js';
import { print } from './output.js';
import { printable } from './terminal-text.js';

interface ReportOptions {
  readonly data?: string;
  readonly cards: number;
}

/** Adds `report` below `eval`. */
export function addReport(command: Command): void {
  command
    .command('report')
    .description('write report.html for a folder of results')
    .argument('<folder>', 'folder that eval wrote')
    .option('--cards <n>', 'samples of each benchmark that are shown', wholeNumber(1, 100_000), 60)
    .option('--data <folder>', 'where the pictures lie; default the data folder of the run')
    .addHelpText('after', '\nExample:\n  commlm eval report out/eval')
    .action(async (folder: string, options: ReportOptions) => {
      const { writeReport } = await import('../eval/report/write-report.js');
      const { cards, data } = options;
      const path = await writeReport(folder, {
        cards,
        writeFile: writeDurably,
        data,
      });
      print(printable(path));
    });
}
