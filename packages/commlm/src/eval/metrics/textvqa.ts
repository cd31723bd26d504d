/** TextVQA accuracy: VQA accuracy with the clean-up of the EvalAI server on both sides. */
import { scoreVqa, type VqaAnnotation, type VqaScores } from './vqa.js';

/** Scores one answer per question against its ten human answers; percent, two decimals. */
export function scoreTextVqa<Id>(
  annotations: ReadonlyArray<VqaAnnotation<Id>>,
  answers: ReadonlyMap<Id, string>,
): Pick<VqaScores<Id>, 'accuracy' | 'perItem'> {
  const { accuracy, perItem } = scoreVqa(annotations, answers, { reader: 'evalai' });
  return { accuracy, perItem };
}
