/** Thinking that a model writes before its answer, between tags: it is no part of the answer and is cut before reading. */

/** Names of such tags; a tag may have a namespace (`<seed:think>`), blanks and attributes. */
const NAMES = String.raw`(?:\w+:)?(?:(?:ant)?think(?:ing)?|thoughts?|thought_process|reasoning|internal_monologue|scratchpad)`;

/** Tags of the models that think aloud; each pattern matches one tag. */
const DIALECTS: ReadonlyArray<readonly [open: RegExp, close: RegExp]> = [
  [new RegExp(String.raw`<\s*${NAMES}(?:\s[^<>]*)?>`, 'gi'), new RegExp(String.raw`<\s*/\s*${NAMES}\s*>`, 'gi')],
  [/\u25c1think\u25b7/g, /\u25c1\/think\u25b7/g],
  [/\[think\]/gi, /\[\/think\]/gi],
  [/<\|(?:start_)?think(?:ing)?\|>/gi, /<\|(?:end_|\/)think(?:ing)?\|>/gi],
  [/<\|begin_of_(?:thought|think)\|>/g, /<\|end_of_(?:thought|think)\|>/g],
  // Channels: everything up to the final one is thinking.
  [/<\|channel\|>(?:analysis|commentary)/g, /<\|channel\|>final(?:<\|message\|>)?/g],
  [/<unused94>/g, /<unused95>/g],
];

/** What some models set their answer in behind their thinking. */
const ANSWER_FRAME = /^<answer>([\s\S]*?)(?:<\/answer>)?$/i;

/** An answer without its thinking. */
export interface CutAnswer {
  readonly text: string;
  /** Whether there was any thinking. */
  readonly found: boolean;
  /** Whether the thinking does not end, so that no answer follows. */
  readonly unfinished: boolean;
}

/** A tag in a text. */
interface Tag {
  readonly start: number;
  readonly end: number;
  readonly opens: boolean;
}

function tagsOf(text: string, [open, close]: (typeof DIALECTS)[number]): Tag[] {
  const find = (pattern: RegExp, opens: boolean): Tag[] =>
    [...text.matchAll(pattern)].map(({ index, 0: tag }) => ({ start: index, end: index + tag.length, opens }));
  return [...find(open, true), ...find(close, false)].sort((a, b) => a.start - b.start);
}

/**
 * Cuts what stands between an opening and a closing tag, blocks in blocks too, and what stands before a closing tag that
 * nothing opened (some servers write the opening one into the prompt). Where the last block does not end, there is no answer.
 */
function cut(text: string, dialect: (typeof DIALECTS)[number]): CutAnswer {
  const tags = tagsOf(text, dialect);
  if (tags.length === 0) return { text, found: false, unfinished: false };
  let kept = '';
  let from = 0;
  let depth = 0;
  for (const { start, end, opens } of tags) {
    if (opens) {
      if (depth === 0) kept += text.slice(from, start);
      depth++;
    } else if (depth > 0) {
      depth--;
    } else {
      kept = '';
    }
    from = end;
  }
  // An inner block that does not end leaves the outer one open: what follows the last closing tag is the answer then.
  const last = tags.at(-1)!;
  if (last.opens) return { text: '', found: true, unfinished: true };
  return { text: kept + text.slice(from), found: true, unfinished: false };
}

/** The answer of a text that may hold thinking; white space at its ends is removed where something was cut. */
export function cutThinking(text: string): CutAnswer {
  let answer: CutAnswer = { text, found: false, unfinished: false };
  for (const dialect of DIALECTS) {
    const { text: rest, found, unfinished } = cut(answer.text, dialect);
    if (found) answer = { text: rest.trim(), found, unfinished: answer.unfinished || unfinished };
  }
  if (!answer.found) return answer;
  return { ...answer, text: (ANSWER_FRAME.exec(answer.text)?.[1] ?? answer.text).trim() };
}
