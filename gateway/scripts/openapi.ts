/** Writes `src/http/openapi.json` from the operations. `--check` says whether the file is current, and writes nothing. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema';
import { type GenericSchema, safeParse } from 'valibot';
import { STATUS } from '../src/http/errors.ts';
import type { Operation } from '../src/operation.ts';
import { operations } from '../src/operations.ts';
import { BODIES, FORMS, PARAMETERS } from './openapi-extras.ts';

const FILE = join(import.meta.dirname, '../src/http/openapi.json');

/** JSON Schema of what is sent; what it is turned into afterwards is nobody's business. */
function schemaOf(schema: GenericSchema): JsonSchema {
  const { $schema: _, ...rest } = toJsonSchema(schema, {
    target: 'draft-2020-12',
    typeMode: 'input',
    errorMode: 'ignore',
  });
  return rest as JsonSchema;
}

const error = {
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      additionalProperties: false,
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'], description: 'The field of the request that is wrong.' },
        code: { type: 'string', enum: Object.keys(STATUS) },
      },
    },
  },
};

/** A body that is not JSON: anything but nothing. */
const BYTES = { type: 'string', minLength: 1 };

const FAMILIES: [RegExp, string][] = [
  [/^\/(v1\/(embeddings|images|similarity)|api\/)/, 'Vectors'],
  [/^\/(v1\/(classify|route|rerank|detect)|analyze|admin\/heads)/, 'Classifiers and detectors'],
  [/^\/v1\/digits/, 'Digits'],
  [/^\/v1\/models/, 'Models'],
  [/^\/v1\/indexes/, 'Indexes'],
  [/^\/v1\/(files|batches)/, 'Files and batches'],
  [/^\/v1\/(history|usage)/, 'History and usage'],
  [/^\/admin\/keys/, 'Keys'],
];

/** Paths that differ in the names of their parts alone are one path; it is told by the names that come first. */
function pathsOf(list: readonly Operation[]): Map<string, string> {
  const told = new Map<string, string>();
  for (const { path } of list) {
    const shape = shapeOf(path);
    if (!told.has(shape)) told.set(shape, path.replaceAll('+}', '}'));
  }
  return told;
}

const shapeOf = (path: string) => path.replace(/\{\w+\+?\}/g, '{}');

function parameters({ method, path, query }: Operation, told: string): unknown[] {
  const known = { ...PARAMETERS[path], ...PARAMETERS[`${method} ${path}`] };
  const own = [...path.matchAll(/\{(\w+)/g)].map(([, name]) => name as string);
  const inPath = [...told.matchAll(/\{(\w+)/g)].map(([, name], index) => ({
    name,
    in: 'path',
    required: true,
    schema: known[own[index] as string] ?? { type: 'string', minLength: 1 },
  }));
  const schema = query ? (schemaOf(query) as { properties?: object; required?: string[] }) : {};
  return [
    ...inPath,
    ...Object.entries(schema.properties ?? {}).map(([name, given]) => ({
      name,
      in: 'query',
      required: schema.required?.includes(name) ?? false,
      schema: known[name] ? { ...known[name], default: given.default } : given,
    })),
  ];
}

function requestBody({ method, path, body, raw }: Operation): unknown {
  const content: Record<string, unknown> = {};
  if (body) {
    const schema = schemaOf(body);
    content['application/json'] = { schema: BODIES[`${method} ${path}`]?.(schema as never) ?? schema };
  }
  for (const type of raw ?? []) {
    content[type] = { schema: FORMS[`${method} ${path}`] ?? (type === 'application/json' ? {} : BYTES) };
  }
  // A body without fields may be left out.
  const required = `${method} ${path}` in BODIES || !(body && safeParse(body, {}).success);
  return Object.keys(content).length === 0 ? undefined : { required, content };
}

function success(operation: Operation): unknown {
  const { answer } = operation;
  const description = 'The answer.';
  if (answer === undefined) return { description };
  if (typeof answer === 'string') return { description, content: { [answer]: { schema: {} } } };
  return { description, content: { 'application/json': { schema: schemaOf(answer) } } };
}

function describe(operation: Operation, told: string): unknown {
  const body = requestBody(operation);
  const list = parameters(operation, told);
  const open = operation.scope === 'public';
  return {
    operationId: `${operation.method.toLowerCase()}${operation.path.replace(/[^\w]+(\w?)/g, (_, letter) => letter.toUpperCase())}`,
    tags: [FAMILIES.find(([pattern]) => pattern.test(operation.path))?.[1] ?? 'Service'],
    summary: operation.summary,
    ...(open || operation.scope === 'any' ? {} : { 'x-scope': operation.scope }),
    ...(operation.batched ? { 'x-batched': true } : {}),
    ...(list.length > 0 ? { parameters: list } : {}),
    ...(body ? { requestBody: body } : {}),
    responses: {
      [operation.status ?? 200]: success(operation),
      default: { $ref: '#/components/responses/Error' },
    },
    ...(open ? { security: [] } : {}),
  };
}

/**
 * Moves each object that says what it is by a constant, such as `"object": "batch"`, to the shared schemas. Objects of one name that
 * differ, as the lists do, stay where they are.
 */
function share(paths: Record<string, unknown>): Record<string, unknown> {
  const found = new Map<string, Map<string, unknown>>();
  const kindOf = (value: unknown): string | undefined => {
    const kind = (value as { properties?: { object?: { const?: unknown } } } | null)?.properties?.object?.const;
    return typeof kind === 'string' && kind !== 'list'
      ? kind.replace(/(^|[_.])(\w)/g, (_all, _separator, letter) => letter.toUpperCase())
      : undefined;
  };
  const walk = (value: unknown, visit: (parent: Record<string, unknown>, name: string) => void): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const name of Object.keys(value)) {
      walk((value as Record<string, unknown>)[name], visit);
      visit(value as Record<string, unknown>, name);
    }
  };
  walk(paths, (parent, name) => {
    const kind = kindOf(parent[name]);
    if (kind) found.set(kind, (found.get(kind) ?? new Map()).set(JSON.stringify(parent[name]), parent[name]));
  });
  const schemas: Record<string, unknown> = {};
  for (const [kind, bodies] of found) if (bodies.size === 1) schemas[kind] = [...bodies.values()][0];
  walk(paths, (parent, name) => {
    const kind = kindOf(parent[name]);
    if (kind && schemas[kind]) parent[name] = { $ref: `#/components/schemas/${kind}` };
  });
  return schemas;
}

/** The document of a list of operations. */
export function documentOf(list: readonly Operation[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  const told = pathsOf(list);
  for (const operation of [...list].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const path = told.get(shapeOf(operation.path)) as string;
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: describe(operation, path) };
  }
  const shared = share(paths);
  return {
    openapi: '3.1.0',
    info: {
      title: 'pilotlight gateway',
      version: '1',
      description: 'Small models behind keys: embeddings, classifiers, detectors, digits, indexes, files and batches.',
    },
    servers: [{ url: '/' }],
    tags: [...FAMILIES.map(([, name]) => name), 'Service'].map((name) => ({ name })),
    security: [{ bearer: [] }, { header: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A key, or a token of the identity provider.' },
        header: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
      schemas: { Error: error, ...shared },
      responses: {
        Error: {
          description: 'What went wrong.',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
        },
      },
    },
  };
}

/** Whether the file says what the operations are; how it is formatted does not matter. */
export function isCurrent(): boolean {
  try {
    const kept = JSON.stringify(JSON.parse(readFileSync(FILE, 'utf8')));
    return kept === JSON.stringify(documentOf(operations));
  } catch {
    // The first run has no file.
    return false;
  }
}

if (import.meta.main && !isCurrent()) {
  if (process.argv.includes('--check')) {
    console.error('src/http/openapi.json is not current: run `node scripts/openapi.ts`.');
    process.exitCode = 1;
  } else writeFileSync(FILE, `${JSON.stringify(documentOf(operations), null, 2)}\n`);
}
