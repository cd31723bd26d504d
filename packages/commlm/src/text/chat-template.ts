/**
 * Prompts by the Jinja chat template of a model folder. The special tokens that the template writes are meant; the same
 * spellings within a message are a user's text and stay plain.
 */
import { CommError } from '../config/errors.js';
import { namedTokensOf, spellingOf } from './added-tokens.js';
import { IGNORE_LABEL, type ImageSlot } from './conversation.js';
import { Template, TemplateFault } from './jinja/template.js';
import type { Tokenizer, TokenPart } from './tokenizer.js';

/** A piece of a message in the form that templates expect. */
export type ChatPart = { readonly type: 'text'; readonly text: string } | { readonly type: 'image' };

/** A message of a chat. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string | readonly ChatPart[];
  /** Absent where an answer may be learned (`learnAnswers`). */
  readonly learned?: false;
}

/** How a template is rendered. */
export interface ChatTemplateOptions {
  /** End with the opening of the assistant's turn; true by default. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** The template; the tokenizer's own by default. */
  readonly template?: string | undefined;
  /** What a message's content is for the template: a list of `parts`, or one `text` with the pictures in it; as given by default. */
  readonly contents?: 'parts' | 'text' | undefined;
  /** Puts the begin token in front where the tokenizer does so by itself and the template does not; false by default. */
  readonly begin?: boolean | undefined;
  /** Labels the assistant's messages and the special token behind each, for training; nothing is labelled by default. */
  readonly learnAnswers?: boolean | undefined;
}

/** Text of a chat; throws `text/no-chat-template` or `text/chat-template`. */
export function renderChatTemplate(
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
  options: ChatTemplateOptions = {},
): string {
  const source = options.template ?? tokenizer.chatTemplate;
  if (source === undefined) {
    throw new CommError('The tokenizer has no chat template.', {
      code: 'text/no-chat-template',
      fix: 'Add a chat_template.jinja to the model folder.',
    });
  }
  try {
    return new Template(source).render({
      messages,
      // Null rather than absent, as the reference passes them.
      tools: null,
      documents: null,
      add_generation_prompt: options.addGenerationPrompt ?? true,
      ...variablesOfTokens(tokenizer),
      ...options.variables,
    });
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    throw new CommError(`The chat template cannot be used for this chat: ${error.message}.`, {
      code: 'text/chat-template',
      fix: 'Change the chat, or the chat template of the model folder.',
      cause: error,
    });
  }
}

/** The tokens that the tokenizer names, e.g. `bos_token`; one without a name stays undefined in a template, as in the reference. */
function variablesOfTokens(tokenizer: Tokenizer): Record<string, string> {
  const named: Record<string, string> = {};
  for (const [name, token] of namedTokensOf(tokenizer.config)) {
    const spelling = spellingOf(token);
    if (spelling !== undefined) named[name] = spelling;
  }
  return named;
}

/** Ids of a chat with its pictures. */
export interface RenderedChat {
  readonly ids: number[];
  /** The id where it is learned, else -100; not shifted. */
  readonly labels: number[];
  readonly imageSlots: ImageSlot[];
}

/** Where a template puts pictures. */
export interface ChatImages {
  /** Id that stands for a picture, one a patch; by default that of `<image>`. */
  readonly imageId?: number;
  /** Visual tokens of each picture, in order. */
  readonly imageTokens: readonly number[];
}

/**
 * Renders and encodes a chat; throws `text/image-count` when the template's picture tokens are not one a picture, and with
 * `learnAnswers` `text/answer-end` when no special token ends an answer.
 */
export function encodeChat(
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
  images: ChatImages = { imageTokens: [] },
  options: ChatTemplateOptions = {},
): RenderedChat {
  const imageId = images.imageId ?? tokenizer.addedTokens.get('<image>');
  const guard = new SpellingGuard(messages, tokenizer, options);
  const text = renderChatTemplate(guard.messages, tokenizer, options);
  const parts = guard.splitAnswers(text).flatMap(({ text: piece, learned }) =>
    tokenizer
      .splitSpecial(piece)
      .flatMap((part) => (typeof part === 'string' ? guard.restore(part, imageId) : [part]))
      .map((token): ChatToken => ({ token, learned })),
  );
  if (options.learnAnswers) learnEnds(parts);
  const rendered: RenderedChat = { ids: [], labels: [], imageSlots: [] };
  const push = (id: number, learned: boolean): void => {
    rendered.ids.push(id);
    rendered.labels.push(learned ? id : IGNORE_LABEL);
  };
  // A template may write the begin token itself; otherwise the tokenizer puts it in front, where that is its way.
  if (options.begin && tokenizer.addsBos && tokenizer.bosId !== undefined && parts[0]?.token !== tokenizer.bosId)
    push(tokenizer.bosId, false);
  const encoded = tokenizer.encodeParts(parts.map(({ token }) => token));
  for (const [index, id] of encoded.ids.entries()) {
    if (id !== imageId) {
      push(id, parts[encoded.parts[index]!]?.learned === true);
      continue;
    }
    const length = images.imageTokens[rendered.imageSlots.length] ?? 0;
    rendered.imageSlots.push({ start: rendered.ids.length, length });
    for (let i = 0; i < length; i++) push(id, false);
  }
  if (rendered.imageSlots.length !== images.imageTokens.length) {
    throw new CommError(
      `The chat has ${rendered.imageSlots.length} places for pictures but ${images.imageTokens.length} pictures.`,
      { code: 'text/image-count' },
    );
  }
  return rendered;
}

/** A part of a rendered chat, and whether it is the model's own. */
interface ChatToken {
  readonly token: TokenPart;
  learned: boolean;
}

/** The special token behind an answer, and a space before it, are the model's too: it has to learn where to end. */
function learnEnds(parts: readonly ChatToken[]): void {
  const ends = parts.flatMap(({ learned }, i) => (!learned && parts[i - 1]?.learned === true ? [i] : []));
  for (const first of ends) {
    const token = parts[first]!.token;
    const last = typeof token === 'string' && token.trim() === '' ? first + 1 : first;
    if (typeof parts[last]?.token !== 'number') {
      throw new CommError(`The chat template puts the text ${JSON.stringify(token)} behind an answer.`, {
        code: 'text/answer-end',
        fix: 'Training needs a template that ends each answer with a special token.',
      });
    }
    for (let i = first; i <= last; i++) parts[i]!.learned = true;
  }
}

/**
 * Takes the spellings of special tokens out of messages while a template is rendered, and puts them back as plain text.
 * In the model's own turns those that only look like markup stay: templates search answers for `</think>`.
 */
class SpellingGuard {
  readonly messages: ChatMessage[];
  readonly #stand: readonly { readonly spelling: string; readonly mark: string; readonly declared: boolean }[];
  /** Stands for a picture in a content that is one text. */
  readonly #picture: string;
  /** Stand around an answer that is learned. */
  readonly #answer: { readonly start: string; readonly end: string } | undefined;

  constructor(
    messages: readonly ChatMessage[],
    tokenizer: Tokenizer,
    { contents, learnAnswers = false }: Pick<ChatTemplateOptions, 'contents' | 'learnAnswers'>,
  ) {
    const all = JSON.stringify(messages);
    // A private-use letter that no message has marks what is taken out.
    let fence = '\u{f0000}';
    while (all.includes(fence)) fence = String.fromCodePoint((fence.codePointAt(0) ?? 0) + 1);
    this.#picture = `${fence}picture${fence}`;
    this.#answer = learnAnswers ? { start: `${fence}answer${fence}`, end: `${fence}end${fence}` } : undefined;
    this.#stand = [...tokenizer.addedTokens.keys()]
      .filter((spelling) => tokenizer.isSpecial(tokenizer.addedTokens.get(spelling) ?? -1))
      .toSorted((a, b) => b.length - a.length)
      .map((spelling, index) => ({
        spelling,
        mark: `${fence}${index}${fence}`,
        declared: tokenizer.isDeclaredSpecial(tokenizer.addedTokens.get(spelling) ?? -1),
      }));
    this.messages = messages.map(({ role, content, learned = true }) => {
      const hidden = this.#content(content, contents, role);
      return { role, content: role === 'assistant' && learned ? this.#markAnswer(hidden) : hidden };
    });
  }

  /** A rendered chat cut at the borders of its learned answers; one piece without them. */
  splitAnswers(text: string): { readonly text: string; readonly learned: boolean }[] {
    const answer = this.#answer;
    if (answer === undefined) return [{ text, learned: false }];
    return text
      .split(answer.start)
      .flatMap((piece, i) => {
        const [first = '', ...rest] = piece.split(answer.end);
        return i === 0
          ? [{ text: piece, learned: false }]
          : [
              { text: first, learned: true },
              { text: rest.join(''), learned: false },
            ];
      })
      .filter((piece) => piece.text !== '');
  }

  /** The text as its messages had it, pictures as their id. */
  restore(text: string, imageId: number | undefined): (string | number)[] {
    const plain = (piece: string): string =>
      this.#stand.reduce((out, { spelling, mark }) => out.replaceAll(mark, () => spelling), piece);
    return text
      .split(this.#picture)
      .flatMap((piece, i) => [...(i > 0 && imageId !== undefined ? [imageId] : []), plain(piece)])
      .filter((piece) => piece !== '');
  }

  #content(
    content: ChatMessage['content'],
    contents: 'parts' | 'text' | undefined,
    role: string,
  ): ChatMessage['content'] {
    const given: readonly ChatPart[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    if (contents === 'text' || (contents === undefined && typeof content === 'string')) {
      return given.map((part) => (part.type === 'text' ? this.#hide(part.text, role) : this.#picture)).join('');
    }
    return given.map((part) => (part.type === 'text' ? { ...part, text: this.#hide(part.text, role) } : part));
  }

  #markAnswer(content: ChatMessage['content']): ChatMessage['content'] {
    const answer = this.#answer;
    if (answer === undefined) return content;
    if (typeof content === 'string') return answer.start + content + answer.end;
    const mark = { type: 'text', text: '' } as const;
    const marked = [{ ...mark, text: answer.start }, ...content, { ...mark, text: answer.end }];
    // As one text where it is one, since some templates put something between two.
    return content.every((part) => part.type === 'text')
      ? [{ ...mark, text: answer.start + content.map((part) => part.text).join('') + answer.end }]
      : marked;
  }

  #hide(text: string, role: string): string {
    return this.#stand.reduce(
      (out, { spelling, mark, declared }) =>
        declared || role !== 'assistant' ? out.replaceAll(spelling, () => mark) : out,
      text,
    );
  }
}
