/** The description of this API for programs, and the same for people. */
import { renderDocs, STYLE } from '../http/docs.ts';
import openapi from '../http/openapi.json' with { type: 'json' };
import { mayUse } from '../keys.ts';
import type { Task } from '../models/model.ts';
import { type Call, operation } from '../operation.ts';

/** The task of the models that a path takes. */
const TASKS: [RegExp, Task][] = [
  [/^\/v1\/embeddings|^\/api\/embed|^\/v1\/similarity/, 'embed'],
  [/^\/v1\/images/, 'embed-image'],
  [/^\/v1\/classify/, 'classify'],
  [/^\/v1\/route/, 'route'],
  [/^\/v1\/rerank/, 'rerank'],
  [/^\/v1\/detect/, 'detect'],
  [/^\/v1\/digits/, 'digits'],
];

export interface Document {
  info: { title: string; description: string };
  tags: { name: string }[];
  paths: Record<string, Record<string, DocumentOperation>>;
  components: { schemas: Record<string, DocumentSchema> };
}

export interface DocumentOperation {
  tags: string[];
  summary: string;
  'x-scope'?: string;
  parameters?: { name: string; in: string; required: boolean; schema: DocumentSchema }[];
  requestBody?: { content: Record<string, { schema: DocumentSchema }> };
  responses: Record<string, { content?: Record<string, { schema: DocumentSchema }> }>;
  security?: unknown[];
}

export interface DocumentSchema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, DocumentSchema>;
  required?: string[];
  items?: DocumentSchema;
  anyOf?: DocumentSchema[];
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  default?: unknown;
  format?: string;
  pattern?: string;
}

/** The document, in which `model` has the names of this deployment's models in place of any name. */
async function documentOf(call: Call): Promise<Document> {
  const document = structuredClone(openapi) as unknown as Document;
  const infos = (await call.host.models.list()).filter(({ id }) => mayUse(call.key, id));
  for (const [path, methods] of Object.entries(document.paths)) {
    const task = TASKS.find(([pattern]) => pattern.test(path))?.[1];
    const fitting = infos.filter((info) => info.task === task);
    const names = fitting.map(({ id }) => id);
    if (names.length === 0) continue;
    // The dimensions that all of them have.
    const least = Math.min(...fitting.map(({ dimensions }) => dimensions ?? Number.POSITIVE_INFINITY));
    for (const { requestBody } of Object.values(methods)) {
      const properties = requestBody?.content['application/json']?.schema.properties;
      if (properties?.model) properties.model = { type: 'string', enum: names };
      if (properties?.dimensions && least < Number.POSITIVE_INFINITY) properties.dimensions.maximum = least;
    }
  }
  return document;
}

export const openapiJson = operation({
  method: 'GET',
  path: '/openapi.json',
  scope: 'any',
  summary: 'Describes this API as OpenAPI 3.1.',
  answer: 'application/json',
  async handle(call) {
    return Response.json(await documentOf(call));
  },
});

let styleHash: Promise<string> | undefined;

/** The hash by which the policy of the page allows its style, and no other. */
async function hashStyle(): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(STYLE));
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
}

export const docs = operation({
  method: 'GET',
  path: '/docs',
  scope: 'any',
  summary: 'Describes this API for people, on one page.',
  answer: 'text/html',
  async handle(call) {
    styleHash ??= hashStyle();
    return new Response(renderDocs(await documentOf(call)), {
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': `default-src 'none'; style-src '${await styleHash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      },
    });
  },
});
