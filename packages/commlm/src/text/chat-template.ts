/**
 * Prompts by the Jinja chat template of a model folder. The special tokens that the template writes are meant; the same
 * spellings within a message are a user's text and stay plain.
 */
import { Template } from '@huggingface/jinja';
import { CommError } from '../config/errors.js';
import type { ImageSlot } from './conversation.js';
import type { Tokenizer } from './tokenizer.js';

/** A piece of a message in the form that templates expect. */
export type ChatPart = { readonly type: 'text'; readonly text: string } | { readonly type: 'image' };

/** A message of a chat. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string | readonly ChatPart[];
}

/** How a template is rendered. */
export interface ChatTemplateOptions {
  /** End with the opening of the assistant's turn; true by default. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** The template; the tokenizer's own by default. */
  readonly template?: string;
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
      ...namedTokens(tokenizer),
      ...options.variables,
    });
  } catch (error) {
    throw new CommError(`The chat template failed: ${(error as Error).message}`, {
      code: 'text/chat-template',
      cause: error,
    });
  }
}

/** The tokens that the tokenizer names, e.g. `bos_token`; one without a name stays undefined in a template, as in the reference. */
function namedTokens(tokenizer: Tokenizer): Record<string, string> {
  const named: Record<string, string> = {};
  for (const key of ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const) {
    const token = tokenizer.config[key];
    if (token !== undefined && token !== null) named[key] = typeof token === 'string' ? token : token.content;
  }
  return named;
}

/** Ids of a chat with its pictures. */
export interface RenderedChat {
  readonly ids: number[];
  readonly imageSlots: ImageSlot[];
}

/** Where a template puts pictures. */
export interface ChatImages {
  /** Spelling of the token that the template writes for a picture, `<image>` by default. */
  readonly imageToken?: string;
  /** Visual tokens of each picture, in order. */
  readonly imageTokens: readonly number[];
}

/** Renders and encodes a chat; throws `text/image-count` when the template's picture tokens are not one a picture. */
export function encodeChat(
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
  images: ChatImages = { imageTokens: [] },
  options: ChatTemplateOptions = {},
): RenderedChat {
  const guard = new SpellingGuard(messages, tokenizer);
  const text = renderChatTemplate(guard.messages, tokenizer, options);
  const parts = tokenizer.splitSpecial(text).map((part) => (typeof part === 'string' ? guard.restore(part) : part));
  const imageId = tokenizer.addedTokens.get(images.imageToken ?? '<image>');
  const rendered: RenderedChat = { ids: [], imageSlots: [] };
  for (const id of tokenizer.encodeParts(parts).ids) {
    if (id !== imageId) {
      rendered.ids.push(id);
      continue;
    }
    const length = images.imageTokens[rendered.imageSlots.length] ?? 0;
    rendered.imageSlots.push({ start: rendered.ids.length, length });
    for (let i = 0; i < length; i++) rendered.ids.push(id);
  }
  if (rendered.imageSlots.length !== images.imageTokens.length) {
    throw new CommError(
      `The chat has ${rendered.imageSlots.length} places for pictures but ${images.imageTokens.length} pictures.`,
      { code: 'text/image-count' },
    );
  }
  return rendered;
}

/**
 * Takes the spellings of special tokens out of messages while a template is rendered, and puts them back as plain text.
 * In the model's own turns those that only look like markup stay: templates search answers for `</think>`.
 */
class SpellingGuard {
  readonly messages: ChatMessage[];
  readonly #stand: readonly { readonly spelling: string; readonly mark: string; readonly declared: boolean }[];

  constructor(messages: readonly ChatMessage[], tokenizer: Tokenizer) {
    const all = JSON.stringify(messages);
    // A private-use letter that no message has marks what is taken out.
    let fence = '\u{f0000}';
    while (all.includes(fence)) fence = String.fromCodePoint((fence.codePointAt(0) ?? 0) + 1);
    this.#stand = [...tokenizer.addedTokens.keys()]
      .filter((spelling) => tokenizer.isSpecial(tokenizer.addedTokens.get(spelling) ?? -1))
      .toSorted((a, b) => b.length - a.length)
      .map((spelling, index) => ({
        spelling,
        mark: `${fence}${index}${fence}`,
        declared: tokenizer.isDeclaredSpecial(tokenizer.addedTokens.get(spelling) ?? -1),
      }));
    this.messages = messages.map(({ role, content }) => ({
      role,
      content:
        typeof content === 'string'
          ? this.#hide(content, role)
          : content.map((part) => (part.type === 'text' ? { ...part, text: this.#hide(part.text, role) } : part)),
    }));
  }

  restore(text: string): string {
    return this.#stand.reduce((out, { spelling, mark }) => out.replaceAll(mark, () => spelling), text);
  }

  #hide(text: string, role: string): string {
    return this.#stand.reduce(
      (out, { spelling, mark, declared }) =>
        declared || role !== 'assistant' ? out.replaceAll(spelling, () => mark) : out,
      text,
    );
  }
}
