// Writes tests/golden/text/trained.json: the tokenizer that trainTokenizer makes of a fixed corpus.
// Run from the repository root after `npm run build`, then run tools/golden/conversation.py for its ids.
import { writeFileSync } from 'node:fs';
import { goldenCorpus } from '../../packages/commlm/dist/text/golden.fixture.js';
import { trainTokenizer } from '../../packages/commlm/dist/train/tasks/tokenizer-trainer.js';

const trained = trainTokenizer(goldenCorpus(), { vocabSize: 600 });
writeFileSync('tests/golden/text/trained.json', `${JSON.stringify(trained)}\n`);
