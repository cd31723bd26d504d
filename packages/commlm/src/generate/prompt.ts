/**
 * A conversation as the engine takes it: ids, the embeddings with the visual tokens in place, and keys to find a prefix again.
 * Shapes: T tokens, P pictures, N visual tokens of a picture, E width of the language model.
 */
import { noGrad, scope, stack, type Tensor, tensor } from '@commlm/torch';
import { vicunaConversation } from '../config/conversation.js';
import { CommError } from '../config/errors.js';
import type { Comm } from '../models/comm.js';
import { type ChatMessage, encodeChat } from '../text/chat-template.js';
import {
  type ImageSlot,
  picturesBefore,
  placesOf,
  type Question,
  renderConversation,
  splitPictures,
} from '../text/conversation.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { EncodedImage } from './image-cache.js';

/** A turn of a conversation with its pictures. */
export interface PictureTurn {
  readonly question: string;
  readonly images: readonly EncodedImage[];
  /** Absent in the turn to be answered. */
  readonly answer?: string | undefined;
}

/** A rendered prompt. */
export interface RenderedPrompt {
  readonly ids: readonly number[];
  readonly images: readonly EncodedImage[];
  readonly slots: readonly ImageSlot[];
}

/** The place of a picture in a question: where it says `<image>` once for each picture, else all of them in front. */
function placePictures(question: string, numImages: number, pictureEnd: string): Exclude<Question, string> {
  if (numImages > 0) {
    const parts = splitPictures(question);
    if (parts.filter((part) => typeof part !== 'string').length === numImages) return parts;
  }
  return picturesBefore(question, numImages, pictureEnd) as Exclude<Question, string>;
}

/** Renders turns as the model's conversation says; throws CommError when the prompt alone is longer than the model reads. */
export function renderPrompt(
  comm: Comm,
  tokenizer: Tokenizer,
  turns: readonly PictureTurn[],
  system: string | undefined,
): RenderedPrompt {
  const { conversation, imageTokens, textConfig } = comm.config;
  const images = turns.flatMap((turn) => turn.images);
  const form = conversation ?? vicunaConversation(imageTokens.kind === 'wrapped' ? ' ' : '\n');
  const lengths = images.map(() => comm.tokensPerImage);
  const { ids, imageSlots } =
    form.kind === 'template'
      ? encodeChat(
          toMessages(turns, system),
          tokenizer,
          { imageId: imageTokens.patchId, imageTokens: lengths },
          { begin: true, contents: form.contents, template: form.template },
        )
      : renderConversation(
          turns.map(({ question, images: own, answer }) => ({
            question:
              form.pictures === 'front'
                ? question.replaceAll('<image>', '').trim()
                : placePictures(question, own.length, form.pictureEnd),
            answer,
          })),
          {
            tokenizer,
            form,
            imageTokens: lengths,
            imageStyle: imageTokens.kind === 'wrapped' ? 'shikra' : 'llava-1.5',
            patchId: imageTokens.patchId,
            system,
          },
        );
  if (ids.length > textConfig.maxPositions) {
    throw new CommError(
      `The question is ${ids.length} tokens long, but the model reads at most ${textConfig.maxPositions}.`,
      {
        code: 'generate/too-long',
        fix: 'Use fewer pictures, a shorter question, or start a new conversation.',
      },
    );
  }
  return { ids, images, slots: imageSlots };
}

/** Turns as messages of a chat template, pictures where the question says. */
function toMessages(turns: readonly PictureTurn[], system: string | undefined): ChatMessage[] {
  const text = (part: string): ChatMessage['content'] => [{ type: 'text', text: part }];
  return [
    ...(system === undefined ? [] : [{ role: 'system', content: text(system) }]),
    ...turns.flatMap(({ question, images, answer }) => [
      {
        role: 'user',
        content: placePictures(question, images.length, '')
          .filter((part) => part !== '')
          .map((part) =>
            typeof part === 'string' ? ({ type: 'text', text: part } as const) : ({ type: 'image' } as const),
          ),
      },
      ...(answer === undefined ? [] : [{ role: 'assistant', content: text(answer) }]),
    ]),
  ];
}

/** Embeddings of the prompt: float[T, E]; the caller's to dispose of. */
export function embedPrompt(comm: Comm, { ids, images, slots }: RenderedPrompt): Tensor {
  return scope(() =>
    noGrad(() => {
      const { device } = comm;
      const ids_1T = tensor(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length], device });
      const visual_PNE = images.length === 0 ? null : stack(images.map(({ visual }) => visual));
      const places = tensor(BigInt64Array.from(placesOf(slots), BigInt), { device });
      return comm.embed(ids_1T, visual_PNE, places).select(0, 0);
    }),
  );
}

/** One number a position: the token id, or for a visual token a negative number of its picture. Equal keys, equal inputs. */
export function prefixKeys({ ids, images, slots }: RenderedPrompt): number[] {
  const keys = [...ids];
  for (const [i, { start, length }] of slots.entries()) keys.fill(-1 - images[i]!.key, start, start + length);
  return keys;
}
