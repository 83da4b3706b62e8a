/**
 * Additions to OpenAPI that the schemas of valibot do not contain: forms, checks across fields, and numbers in addresses, which are text until they are
 * converted. Each entry repeats a check of the route that it names.
 */
import { operations } from '../src/operations.ts';
import { PURPOSES } from '../src/tables/files.ts';

type Schema = Record<string, unknown>;

const oneOf = (...names: string[]): Schema => ({ oneOf: names.map((name) => ({ required: [name] })) });
const text = (pattern: string): Schema => ({ type: 'string', pattern });

/** Added to the schema of a JSON body, by method and path. */
export const BODIES: Record<string, (schema: { properties: Record<string, Schema> }) => Schema> = {
  'POST /v1/digits': (schema) => ({ ...schema, ...oneOf('text', 'digit', 'digits') }),
  'PUT /v1/indexes/{name}': (schema) => ({
    ...schema,
    oneOf: [
      // The answers of a batch name its model.
      { required: ['batch_id'], not: { anyOf: [{ required: ['model'] }, { required: ['file_id'] }] } },
      { required: ['file_id'], not: { required: ['batch_id'] } },
    ],
    not: {
      required: ['metric'],
      properties: { metric: { const: 'dot' } },
      anyOf: [
        { required: ['precision'], properties: { precision: { const: 'binary' } } },
        { required: ['prefilter'], properties: { prefilter: { const: true } } },
      ],
    },
  }),
  'POST /v1/indexes/{name}/query': (schema) => ({ ...schema, ...oneOf('input', 'vector', 'image') }),
  'POST /v1/batches': (schema) => ({
    ...schema,
    properties: {
      ...schema.properties,
      endpoint: { type: 'string', enum: operations.filter(({ batched }) => batched).map(({ path }) => path) },
    },
  }),
};

/** The fields of forms. */
export const FORMS: Record<string, Schema> = {
  'POST /v1/files': {
    type: 'object',
    required: ['file', 'purpose'],
    additionalProperties: false,
    properties: {
      file: { type: 'string', contentMediaType: 'application/octet-stream', minLength: 1 },
      purpose: { type: 'string', enum: PURPOSES },
    },
  },
  'POST /v1/images/embeddings': {
    type: 'object',
    required: ['model', 'input'],
    additionalProperties: false,
    properties: {
      model: { type: 'string' },
      input: { type: 'array', items: { type: 'string', contentMediaType: 'image/*' }, minItems: 1, maxItems: 256 },
      encoding_format: { type: 'string', enum: ['float', 'base64'] },
      dimensions: text('^[1-9][0-9]{0,3}$'),
    },
  },
};

const upTo100 = text('^([1-9]|[1-9][0-9]|100)$');
const name = (most: number) => text(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,${most - 1}}$`);

/** Parameters of addresses, by method and path, or by path for all its methods. */
export const PARAMETERS: Record<string, Record<string, Schema>> = {
  'GET /v1/batches': { limit: upTo100 },
  'GET /v1/indexes': { limit: upTo100 },
  'GET /v1/files': { limit: text('^([1-9][0-9]{0,3}|10000)$') },
  '/admin/heads/{name}': { name: name(64) },
  '/v1/indexes/{name}': { name: name(128) },
  '/v1/indexes/{name}/query': { name: name(128) },
  '/v1/indexes/{name}/remove': { name: name(128) },
};
