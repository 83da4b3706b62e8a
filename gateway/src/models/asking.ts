/** The parts that routes to models share: the schemas of their inputs, the call of the model within its limits, and its event. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import { TRACEPARENT } from '../http/headers.ts';
import { type Key, mayUse } from '../keys.ts';
import type { Call } from '../operation.ts';
import { stored, text, whole } from '../schemas.ts';
import { guessTokens } from './local/compute.ts';
import { type CallContext, ITEM_TOKENS, type Model, type Task } from './model.ts';

/** The most items that any model may take; `models.jsonc` says the number for each. */
export const MAX_ITEMS = 2048;

/** The most characters of a text. No model reads as much, and a text without spaces is looked at whole before it is cut. */
const MAX_LENGTH = 200_000;

const item = v.pipe(text, v.maxLength(MAX_LENGTH, `at most ${MAX_LENGTH} characters`));

/** The message for a wrong input, which OpenAI's lists of token numbers and texts without end are too. */
const expectedInput = ({ input }: v.UnionIssue<v.BaseIssue<unknown>>): string => {
  const list = Array.isArray(input) ? input.flat() : [input];
  if (typeof list[0] === 'number')
    return 'a string, or a list of strings; lists of token numbers are not taken, as each model has its own: send the text';
  const isLong = list.some((one) => typeof one === 'string' && one.length > MAX_LENGTH);
  return `a string, or 1 to ${MAX_ITEMS} strings${isLong ? `, each of at most ${MAX_LENGTH} characters` : ''}`;
};

/** One text, or several. */
export const input = v.union([item, strings()], expectedInput);

/** One text. */
export const single = item;

export function strings() {
  const expected = `1 to ${MAX_ITEMS} strings`;
  return v.pipe(v.array(item, expected), v.minLength(1, expected), v.maxLength(MAX_ITEMS, expected));
}

/** The most bytes of a body with texts. */
export const maxBytes = 8 << 20;

/** The declaration of an operation on texts, as far as all of them agree: the answers depend on the body and the model alone. */
export const onTexts = { maxBytes, cached: true, predicts: true, batched: true } as const;

export const dimensions = v.optional(whole(1, 65_536));

/** A name that clients send for their own logs; it changes nothing. */
export const user = v.optional(v.pipe(stored, v.maxLength(256, 'at most 256 characters')));

export const encoding = v.optional(v.picklist(['float', 'base64'], '"float" or "base64"'), 'float');

export const usage = v.object({ prompt_tokens: v.number(), total_tokens: v.number() });

export const usageOf = (tokens: number): v.InferOutput<typeof usage> => ({
  prompt_tokens: tokens,
  total_tokens: tokens,
});

export const listOf = (given: string | string[]): string[] => (typeof given === 'string' ? [given] : given);

/** The parts of a request that its model is told. */
export function contextOf({ signal, requestId, headers, request }: Call<unknown, unknown>): CallContext {
  const traceparent = headers.get('traceparent');
  const job = request === undefined;
  return { signal, requestId, job, ...(traceparent !== null && TRACEPARENT.test(traceparent) && { traceparent }) };
}

/**
 * Refuses a model that the key may not use.
 * @throws {GatewayError} `model_not_allowed`
 */
export function checkAllowed(key: Key, model: string | undefined, param?: string): void {
  if (model === undefined || mayUse(key, model)) return;
  throw new GatewayError('model_not_allowed', 'This key may not use this model.', param === undefined ? {} : { param });
}

/**
 * The model of a name, ready for a task; where a request may leave the name out, the first model for the task that the key may use.
 * @throws {GatewayError} `model_not_found`, and what the load throws
 */
async function modelFor(call: Call<unknown, unknown>, given: string | undefined, task: Task): Promise<Model> {
  const { host, key, event } = call;
  let id = given;
  if (id === undefined) {
    id = (await host.models.list()).find((info) => info.task === task && mayUse(key, info.id))?.id;
    if (id === undefined)
      throw new GatewayError('model_not_found', `There is no model for ${task}.`, { param: 'model' });
  }
  const model = await host.models.get(id, task, contextOf(call));
  // Only names that exist go into usage and metrics, however many a client makes up.
  event.model = id;
  return model;
}

/** One question to a model. */
interface Question {
  task: Task;
  /** The name of the model; the first model for the task where the request leaves it out. */
  model: string | undefined;
  /** The field of the request that has what is asked. */
  field: string;
  texts?: readonly string[];
  /** The number of images or digits, where they are no texts. */
  items?: number;
  /** A text that the model reads together with each of the texts. */
  beside?: string;
  dimensions?: number | undefined;
}

/**
 * Asks a model: loads it, refuses more than it takes, and puts into the event what it answered. `answer` calls the method of its task.
 * @throws {GatewayError} `model_not_found`, `invalid_request`, and what the load and the call throw
 */
export async function ask<A extends object>(
  call: Call<unknown, unknown>,
  { task, model: id, field, texts = [], items = texts.length, beside = '', dimensions }: Question,
  answer: (model: Model, context: CallContext) => Promise<A>,
): Promise<A & { model: Model }> {
  const { event } = call;
  const model = await modelFor(call, id, task);
  checkSize(model, texts, field, { items, beside });
  checkDimensions(model, dimensions);
  const answered = await answer(model, contextOf(call));
  // The model tells only after the call whether its fallback has answered.
  const { info, upstream } = model;
  event.model = info.id;
  event.run = info.run;
  if (upstream !== undefined) event.upstream = upstream;
  event.items = items;
  const { tokens = 0 } = answered as { tokens?: number | number[] };
  // Images and digits count the same wherever they are computed.
  event.tokens = texts.length === 0 ? items * ITEM_TOKENS : [tokens].flat().reduce((sum, count) => sum + count, 0);
  return { ...answered, model };
}

/**
 * Refuses more than one request may ask of the model.
 * @throws {GatewayError} `invalid_request`
 */
function checkSize(
  { info }: Model,
  texts: readonly string[],
  field: string,
  { items, beside }: { items: number; beside: string },
): void {
  const { maxItems, maxTokensRequest, maxTokens } = info;
  if (items > maxItems)
    throw new GatewayError(
      'invalid_request',
      `${field}: expected at most ${maxItems} items, got ${items}; a batch (/v1/batches) takes more`,
      { param: field },
    );
  // The query of a reranker is read together with each document.
  let tokens = beside === '' ? 0 : texts.length * guessTokens(beside, maxTokens);
  for (const one of texts) tokens += guessTokens(one, maxTokens);
  if (tokens > maxTokensRequest)
    throw new GatewayError(
      'invalid_request',
      `${field}: expected about ${maxTokensRequest} tokens at most, got about ${tokens}; a batch (/v1/batches) takes more`,
      { param: field },
    );
}

/**
 * Refuses dimensions that the model does not have.
 * @throws {GatewayError} `invalid_request`
 */
function checkDimensions({ info }: Model, dimensions: number | undefined): void {
  if (dimensions === undefined || info.dimensions === undefined || dimensions <= info.dimensions) return;
  throw new GatewayError(
    'invalid_request',
    `dimensions: expected at most the ${info.dimensions} of the model, got ${dimensions}`,
    { param: 'dimensions' },
  );
}

/** The method of a model for its task, which `Models.get` has checked. */
export function need<K extends keyof Model>(model: Model, method: K): NonNullable<Model[K]> {
  const call = model[method];
  if (!call) throw new Error(`the model ${model.info.id} has no ${method}`);
  return call;
}
