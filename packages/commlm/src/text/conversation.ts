/**
 * Conversations as token ids: the Vicuna v1.1 template that Shikra and LLaVA-1.5 share, with pictures in place and a
 * label for every token.
 *
 *   <s>{system} USER: {question} ASSISTANT: {answer}</s>USER: {question} ASSISTANT: {answer}</s>
 *   masked ------------------------------->|learned ----->|masked ------------------->|learned -->|
 *
 * What is learned follows from where a token comes from: the text is laid out in parts, a part is learned or not, and
 * every token knows its part. Nothing is tokenised twice and subtracted. The space behind `ASSISTANT:` is learned with
 * the answer, since the model has to write it: the prompt of generation ends at the colon.
 */
import { type RolesConversation, vicunaConversation } from '../config/conversation.js';
import { CommError } from '../config/errors.js';
import type { Tokenizer, TokenPart } from './tokenizer.js';

/** The label of a token that is not learned; cross-entropy ignores it. */
export const IGNORE_LABEL = -100;

export { VICUNA_SYSTEM } from '../config/conversation.js';

/** A place for a picture within a question. */
export interface PicturePart {
  readonly picture: true;
}

/** A question: plain text, whatever it spells, or texts and pictures in a row. */
export type Question = string | readonly (string | PicturePart)[];

/** One question and its answer; only the last turn may lack the answer, which makes a prompt. */
export interface Turn {
  readonly question: Question;
  readonly answer?: string | undefined;
  /** Absent where the answer is learned. */
  readonly learned?: false;
}

/** `shikra`: `<im_start>`, patches, `<im_end>`; `llava-1.5`: the bare patch tokens, spelled `<image>`. */
export type ImageStyle = 'shikra' | 'llava-1.5';

/** How a conversation is rendered. */
export interface RenderOptions {
  readonly tokenizer: Tokenizer;
  /** Visual tokens of each picture in order, or one number for all of them. */
  readonly imageTokens: number | readonly number[];
  /** `shikra` by default. */
  readonly imageStyle?: ImageStyle | undefined;
  /** System text; the form's own by default, none if empty. */
  readonly system?: string | undefined;
  /** The form; Vicuna's with the separator of `imageStyle` by default. */
  readonly form?: RolesConversation | undefined;
  /** Id that is repeated for a picture; by default that of `<im_patch>` or `<image>`, as `imageStyle` says. */
  readonly patchId?: number | undefined;
}

/** Where the visual tokens of one picture lie in the ids. */
export interface ImageSlot {
  readonly start: number;
  readonly length: number;
}

/** Places of all visual tokens of pictures, from `offset` on, where the ids stand behind others. */
export function placesOf(slots: readonly ImageSlot[], offset = 0): number[] {
  return slots.flatMap(({ start, length }) => Array.from({ length }, (_, i) => offset + start + i));
}

/** A stretch of ids of one kind, for previews. */
export interface Segment {
  readonly kind: 'system' | 'user' | 'image' | 'assistant';
  readonly start: number;
  readonly end: number;
}

/** A conversation as the model sees it. */
export interface RenderedConversation {
  readonly ids: number[];
  /** The id where it is learned, else -100; not shifted. */
  readonly labels: number[];
  readonly segments: Segment[];
  readonly imageSlots: ImageSlot[];
}

interface Part {
  readonly token: TokenPart;
  readonly kind: Segment['kind'];
  readonly learned: boolean;
  /** Times the token is repeated; 1 unless it is a patch token. */
  readonly repeat: number;
  /** The run of one picture's patches. */
  readonly patches?: true;
}

/**
 * Renders a conversation; without the last answer it ends at `ASSISTANT:`, ready for generation.
 * Throws `text/image-count` when pictures and places differ, `text/turns` when an answer is missing in the middle.
 */
export function renderConversation(turns: readonly Turn[], options: RenderOptions): RenderedConversation {
  const layout = new Layout(options);
  layout.begin();
  turns.forEach((turn, index) => {
    layout.question(turn.question);
    if (turn.answer !== undefined) layout.answer(turn.answer, turn.learned ?? true);
    else if (index < turns.length - 1) {
      throw new CommError(`Turn ${index + 1} of ${turns.length} has no answer.`, {
        code: 'text/turns',
        fix: 'Only the last turn may be left open.',
      });
    }
  });
  layout.requireAllPictures();
  return encodeLayout(layout.parts, options);
}

/** Cuts a trusted sentence, such as a line of a data set, at its `<image>` placeholders. */
export function splitPictures(text: string): Exclude<Question, string> {
  return text
    .split(/(<image>)/)
    .filter((piece) => piece !== '')
    .map((piece) => (piece === '<image>' ? PICTURE : piece));
}

/** A plain question with `count` pictures in front, separated as the style does it (space, or LLaVA's new line). */
export function questionWithPictures(question: string, count = 1, style: ImageStyle = 'shikra'): Question {
  return picturesBefore(question, count, separatorOf(style));
}

/** A plain question with `count` pictures in front, `separator` behind each. */
export function picturesBefore(question: string, count: number, separator: string): Question {
  return [...Array.from({ length: count }, () => [PICTURE, separator]).flat(), question];
}

const PICTURE: PicturePart = { picture: true };

function separatorOf(style: ImageStyle): string {
  return style === 'shikra' ? ' ' : '\n';
}

/** One question and answer about the picture of a packed sample. */
export interface PackedTurn {
  readonly question: string;
  readonly answer: string;
}

/** Many questions about the same pictures in one sequence; the pictures are paid for once. */
export interface PackedConversation {
  readonly ids: number[];
  readonly labels: number[];
  /** 0 for the shared prefix, k for question k from 1. A token sees the prefix and its own segment, causally. */
  readonly segmentIds: number[];
  /** Positions; every segment goes on right behind the prefix. */
  readonly positions: number[];
  readonly imageSlots: ImageSlot[];
  /** Number of tokens of segment 0. */
  readonly prefixLength: number;
}

/**
 * Packs independent questions behind one prefix (`<s>{system} USER: <pictures>`). The prefix and segment k are, token
 * for token, `renderConversation([{question: questionWithPictures(question), answer}])`.
 */
export function renderPacked(turns: readonly PackedTurn[], options: RenderOptions): PackedConversation {
  const style = options.imageStyle ?? 'shikra';
  const count = typeof options.imageTokens === 'number' ? 1 : options.imageTokens.length;
  if (count === 0) {
    throw new CommError('A packed sample needs a picture, as the picture ends the shared prefix.', {
      code: 'text/image-count',
    });
  }
  // The prefix ends with a picture token: it splits the text, so what follows is tokenised on its own in any case.
  const prefix = new Layout(options);
  prefix.begin();
  prefix.openQuestion();
  for (let index = 0; index < count; index++) {
    if (index > 0) prefix.text(separatorOf(style));
    prefix.picture();
  }
  const shared = encodeLayout(prefix.parts, options);
  const prefixLength = shared.ids.length;
  const packed = {
    ids: [...shared.ids],
    labels: [...shared.labels],
    segmentIds: new Array<number>(prefixLength).fill(0),
    positions: Array.from({ length: prefixLength }, (_, position) => position),
  };
  turns.forEach((turn, index) => {
    const layout = new Layout(options);
    layout.text(separatorOf(style));
    layout.text(turn.question);
    layout.closeQuestion();
    layout.answer(turn.answer);
    const segment = encodeLayout(layout.parts, options, prefix.parts.at(-1));
    segment.ids.forEach((id, offset) => {
      packed.ids.push(id);
      packed.labels.push(segment.labels[offset] ?? IGNORE_LABEL);
      packed.segmentIds.push(index + 1);
      packed.positions.push(prefixLength + offset);
    });
  });
  return { ...packed, imageSlots: shared.imageSlots, prefixLength };
}

/** Lays a conversation out in parts. */
class Layout {
  readonly parts: Part[] = [];
  readonly #tokenizer: Tokenizer;
  readonly #imageTokens: number | readonly number[];
  readonly #style: ImageStyle;
  readonly #form: RolesConversation;
  readonly #system: string;
  readonly #patchId: number | undefined;
  #pictures = 0;

  constructor(options: RenderOptions) {
    this.#tokenizer = options.tokenizer;
    this.#imageTokens = options.imageTokens;
    this.#style = options.imageStyle ?? 'shikra';
    this.#form = options.form ?? vicunaConversation(separatorOf(this.#style));
    this.#system = options.system ?? this.#form.system;
    this.#patchId = options.patchId;
  }

  begin(): void {
    const { begin, pictures, systemEnd } = this.#form;
    if (begin && this.#tokenizer.addsBos) this.#add(this.#tokenizer.bosId as number, 'system');
    const numFront = pictures === 'front' && typeof this.#imageTokens !== 'number' ? this.#imageTokens.length : 0;
    for (let i = 0; i < numFront; i++) this.picture();
    if (this.#system !== '') this.#add(this.#system + systemEnd, 'system');
  }

  question(question: Question): void {
    this.openQuestion();
    for (const piece of typeof question === 'string' ? [question] : question) {
      if (typeof piece === 'string') this.text(piece);
      else this.picture();
    }
    this.closeQuestion();
  }

  openQuestion(): void {
    this.#add(this.#form.user, 'user');
  }

  closeQuestion(): void {
    this.#add(this.#form.assistant, 'user');
  }

  text(text: string): void {
    this.#add(text, 'user');
  }

  picture(): void {
    const numTokens =
      typeof this.#imageTokens === 'number' ? this.#imageTokens : (this.#imageTokens[this.#pictures] ?? 0);
    this.#pictures++;
    if (typeof this.#imageTokens !== 'number' && this.#pictures > this.#imageTokens.length) this.requireAllPictures();
    const bare = this.#style === 'llava-1.5';
    if (!bare) this.#add(this.#special('<im_start>'), 'image');
    const patchId = this.#patchId ?? this.#special(bare ? '<image>' : '<im_patch>');
    this.parts.push({ token: patchId, kind: 'image', learned: false, repeat: numTokens, patches: true });
    if (!bare) this.#add(this.#special('<im_end>'), 'image');
  }

  answer(answer: string, learned = true): void {
    this.#add(this.#form.answerStart + answer, 'assistant', learned);
    if (this.#tokenizer.eosId === undefined) {
      throw new CommError('The tokenizer names no end token, so answers cannot be ended.', { code: 'text/no-eos' });
    }
    this.#add(this.#tokenizer.eosId, 'assistant', learned);
  }

  requireAllPictures(): void {
    if (typeof this.#imageTokens === 'number' || this.#pictures === this.#imageTokens.length) return;
    throw new CommError(
      `The conversation has ${this.#pictures} places for pictures but ${this.#imageTokens.length} pictures.`,
      { code: 'text/image-count', fix: 'Give one <image> for each picture.' },
    );
  }

  #add(token: TokenPart, kind: Segment['kind'], learned = false, repeat = 1): void {
    if (token !== '') this.parts.push({ token, kind, learned, repeat });
  }

  #special(spelling: string): number {
    const id = this.#tokenizer.addedTokens.get(spelling);
    if (id === undefined) {
      throw new CommError(`The tokenizer has no token ${spelling}, which pictures need.`, {
        code: 'text/no-image-token',
        fix: 'Use a tokenizer with image tokens, or another image style.',
      });
    }
    return id;
  }
}

/** Encodes parts; `after` is the part in front of them that is encoded elsewhere, as it shapes the first tokens. */
function encodeLayout(parts: readonly Part[], options: RenderOptions, after?: Part): RenderedConversation {
  const { tokenizer } = options;
  // The begin token is not part of the text (a post-processor puts it in front), so it opens no section of its own; nor
  // do pictures right behind it, which some models put there when the text is tokenised already.
  const firstText = parts.findIndex(({ token }) => typeof token === 'string');
  const begins = parts[0]?.token === tokenizer.bosId && tokenizer.bosId !== undefined;
  const front = options.form?.pictures === 'front' ? (firstText < 0 ? parts.length : firstText) : begins ? 1 : 0;
  const context = after === undefined ? [] : [after];
  const restartAfter = options.form?.restart ? parts.find(({ patches }) => patches)?.token : undefined;
  const encoded = tokenizer.encodeParts(
    [...context, ...parts.slice(front)].map((part) => part.token),
    typeof restartAfter === 'number' ? restartAfter : undefined,
  );
  const shift = front - context.length;
  const tokens = encoded.ids.map((id, index) => ({ id, part: parts[(encoded.parts[index] ?? 0) + shift] }));
  tokens.unshift(...parts.slice(0, front).map((part) => ({ id: part.token as number, part })));
  const rendered: RenderedConversation = { ids: [], labels: [], segments: [], imageSlots: [] };
  for (const { id, part } of tokens.slice(context.length)) {
    if (part === undefined) continue;
    const start = rendered.ids.length;
    for (let copy = 0; copy < part.repeat; copy++) {
      rendered.ids.push(id);
      rendered.labels.push(part.learned ? id : IGNORE_LABEL);
    }
    if (part.patches) rendered.imageSlots.push({ start, length: part.repeat });
    extendSegment(rendered.segments, part.kind, start, rendered.ids.length);
  }
  return rendered;
}

function extendSegment(segments: Segment[], kind: Segment['kind'], start: number, end: number): void {
  const last = segments.at(-1);
  if (last?.kind === kind) segments[segments.length - 1] = { kind, start: last.start, end };
  else segments.push({ kind, start, end });
}
