/** How a conversation is spelled: the roles of a fixed form, or the chat template that a model folder brings. */
import { z } from 'zod';

/**
 * A form with fixed texts around question and answer, the begin token in front and the end token behind each answer:
 *
 *     <s>{system}{user}{question}{assistant}{answerStart}{answer}</s>{user}{question}{assistant} ...
 *
 * `pictures: inline` puts a picture where the question says so, by default in front with `pictureEnd` behind it;
 * `front` puts all of them behind the begin token, before any text (Prismatic).
 */
const Roles = z.strictObject({
  kind: z.literal('roles').describe('Fixed texts around question and answer.'),
  begin: z.boolean().describe('Whether the begin token stands in front.'),
  system: z.string().describe('Default system text; none when empty.'),
  systemEnd: z.string().describe('What parts the system text from what follows.'),
  user: z.string().describe('In front of a question.'),
  assistant: z.string().describe('Behind a question.'),
  answerStart: z.string().describe('Written by the model in front of its answer.'),
  pictureEnd: z.string().describe('Behind a picture.'),
  pictures: z
    .enum(['inline', 'front'])
    .describe(
      '`inline`: where the question says so, by default in front of it; `front`: all behind the begin token (Prismatic).',
    ),
  restart: z
    .boolean()
    .optional()
    .describe(
      'Whether a text behind a picture is tokenised as the start of one (the original LLaVA); false when absent.',
    ),
});
export type RolesConversation = z.infer<typeof Roles>;

/**
 * A Jinja template, the folder's own unless `template` is one. A message's content is a list of `parts` (pictures and
 * texts), or one `text` in which pictures stand as the image token.
 */
const Template = z.strictObject({
  kind: z.literal('template').describe('A Jinja template.'),
  contents: z
    .enum(['parts', 'text'])
    .describe('Content of a message: a list of pictures and texts, or one text with image tokens in it.'),
  template: z.string().min(1).optional().describe("The template; the folder's own when absent."),
});
export type TemplateConversation = z.infer<typeof Template>;

export const ConversationConfig = z.discriminatedUnion('kind', [Roles, Template]);
export type ConversationConfig = z.infer<typeof ConversationConfig>;

/** The system text of Vicuna v1.1. */
export const VICUNA_SYSTEM =
  'A chat between a curious user and an artificial intelligence assistant. ' +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

/** Vicuna v1.1, which Shikra and LLaVA-1.5 share; LLaVA has a new line behind a picture. */
export const vicunaConversation = (pictureEnd: string, system = VICUNA_SYSTEM): RolesConversation => ({
  kind: 'roles',
  begin: true,
  system,
  systemEnd: ' ',
  user: 'USER: ',
  assistant: ' ASSISTANT:',
  answerStart: ' ',
  pictureEnd,
  pictures: 'inline',
});
