/** Checks bodies and queries by their schemas, and says in OpenAI's form which field is wrong. */
import * as v from 'valibot';
import { isStorable } from '../schemas.ts';
import { GatewayError } from './errors.ts';

/** The path of the field that an issue is about, such as `input[3].text`. */
function pathOf(issue: v.BaseIssue<unknown>): string {
  let path = '';
  for (const { key } of issue.path ?? []) {
    path += typeof key === 'number' ? `[${key}]` : path ? `.${String(key)}` : String(key);
  }
  return path.slice(0, 200);
}

/**
 * Parses a value by a schema and returns the result.
 * @throws {GatewayError} `invalid_request` with the first field that is wrong, and what was expected
 */
export function validate<const S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  whole: 'the body' | 'the query',
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = pathOf(issue);
  const message = /^(unknown|is |Invalid )/.test(issue.message) ? issue.message : `expected ${issue.message}`;
  throw new GatewayError('invalid_request', `${path || whole}: ${message}`, path ? { param: path } : {});
}

/**
 * Checks a parameter of an address, which may come into a statement.
 * @throws {GatewayError} `invalid_request`
 */
export function checkStorable(param: string, value: string): void {
  if (isStorable(value)) return;
  throw new GatewayError('invalid_request', `${param.slice(0, 200)}: expected text without U+0000`, {
    param: param.slice(0, 200),
  });
}

/** The parameters of an address, each of which may be given once. */
export function queryOf(url: string): Record<string, string> {
  const query: Record<string, string> = {};
  const at = url.indexOf('?');
  if (at === -1) return query;
  for (const [name, value] of new URLSearchParams(url.slice(at))) {
    if (Object.hasOwn(query, name)) {
      throw new GatewayError('invalid_request', `${name.slice(0, 200)}: expected once in the query`, {
        param: name.slice(0, 200),
      });
    }
    checkStorable(name, value);
    Object.defineProperty(query, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return query;
}
