/** What routes that ask a model share: the schemas of their inputs, the limits of the model, and what the event tells. */
import * as v from 'valibot';
import { GatewayError } from '../http/errors.ts';
import type { Call } from '../operation.ts';
import { text } from '../schemas.ts';
import { guessTokens } from './local/compute.ts';
import type { CallContext, Model, ModelInfo, Task } from './model.ts';

/** The most items that any model may take; `models.jsonc` says the number for each. */
export const MAX_ITEMS = 2048;

/** No model reads as much; a text without spaces is looked at whole before it is cut. */
const MAX_LENGTH = 200_000;

const item = v.pipe(text, v.maxLength(MAX_LENGTH, `at most ${MAX_LENGTH} characters`));

/** Says what is wrong: OpenAI's lists of token numbers are not taken, and texts have an end. */
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

export const whole = (least: number, most: number) => {
  const expected = `a whole number from ${least} to ${most}`;
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(least, expected), v.maxValue(most, expected));
};

/** For logs of the client's own; it changes nothing. */
export const user = v.optional(v.pipe(text, v.maxLength(256, 'at most 256 characters')));

export const encoding = v.optional(v.picklist(['float', 'base64'], '"float" or "base64"'), 'float');

export const usage = v.object({ prompt_tokens: v.number(), total_tokens: v.number() });

export const usageOf = (tokens: number): v.InferOutput<typeof usage> => ({
  prompt_tokens: tokens,
  total_tokens: tokens,
});

export const listOf = (given: string | string[]): string[] => (typeof given === 'string' ? [given] : given);

const TRACE = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What a model is told of the request. */
export function contextOf({ signal, requestId, headers }: Call): CallContext {
  const traceparent = headers.get('traceparent');
  return { signal, requestId, ...(traceparent !== null && TRACE.test(traceparent) && { traceparent }) };
}

/**
 * The model of a name, ready for a task; where a request may leave the name out, the first model for the task that the key may use.
 * @throws {GatewayError} `model_not_found`, and what the load throws
 */
export async function modelFor(call: Call<unknown, unknown>, given: string | undefined, task: Task): Promise<Model> {
  const { host, key, event } = call;
  let id = given;
  if (id === undefined) {
    const allowed = (info: ModelInfo): boolean => key.models === null || key.models.includes(info.id);
    id = (await host.models.list()).find((info) => info.task === task && allowed(info))?.id;
    if (id === undefined)
      throw new GatewayError('model_not_found', `There is no model for ${task}.`, { param: 'model' });
  }
  const model = await host.models.get(id, task, contextOf(call as Call));
  // Only names that exist go into usage and metrics, however many a client makes up.
  event.model = id;
  return model;
}

/**
 * Refuses more than one request may ask of the model.
 * @throws {GatewayError} `invalid_request`
 */
export function checkSize(
  { info }: Model,
  texts: readonly string[],
  field: string,
  { items = texts.length, beside = '' }: { items?: number; beside?: string } = {},
): void {
  const { maxItems, maxTokensRequest, maxTokens } = info;
  if (items > maxItems)
    throw new GatewayError(
      'invalid_request',
      `${field}: expected at most ${maxItems} items, got ${items}; a batch (/v1/batches) takes more`,
      { param: field },
    );
  // What is read together with each of the texts.
  let tokens = beside === '' ? 0 : texts.length * guessTokens(beside, maxTokens);
  for (const one of texts) tokens += guessTokens(one, maxTokens);
  if (tokens > maxTokensRequest)
    throw new GatewayError(
      'invalid_request',
      `${field}: expected about ${maxTokensRequest} tokens at most, got about ${tokens}; a batch (/v1/batches) takes more`,
      { param: field },
    );
}

/** Refuses dimensions that the model does not have. */
export function checkDimensions({ info }: Model, dimensions: number | undefined): void {
  if (dimensions === undefined || info.dimensions === undefined || dimensions <= info.dimensions) return;
  throw new GatewayError(
    'invalid_request',
    `dimensions: expected at most the ${info.dimensions} of the model, got ${dimensions}`,
    { param: 'dimensions' },
  );
}

/** Puts into the event what was answered, and by whom. */
export function told(
  { event }: Call<unknown, unknown>,
  { info, upstream }: Model,
  items: number,
  tokens: number,
): void {
  event.model = info.id;
  event.run = info.run;
  if (upstream !== undefined) event.upstream = upstream;
  event.items = items;
  event.tokens = tokens;
}

/** The member of a model that `Models.get` promised for the task. */
export function need<K extends keyof Model>(model: Model, method: K): NonNullable<Model[K]> {
  const call = model[method];
  if (!call) throw new Error(`the model ${model.info.id} has no ${method}`);
  return call;
}
