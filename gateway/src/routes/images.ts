/** Embeddings of images, which are sent as data URLs or as a form. Addresses are not fetched. */
import * as v from 'valibot';
import { fromBase64 } from '../bytes.ts';
import { readForm } from '../http/body.ts';
import { GatewayError } from '../http/errors.ts';
import { ask, checkAllowed, dimensions, encoding, need, usage, usageOf, user } from '../models/asking.ts';
import { ITEM_TOKENS } from '../models/model.ts';
import { embedding, embeddingsOf } from '../models/vectors.ts';
import { type Call, operation } from '../operation.ts';
import { fields, name } from '../schemas.ts';

const MAX_IMAGES = 256;

const expected = 'a data URL such as "data:image/png;base64,…", or a list of them; addresses are not fetched';
const dataUrl = v.pipe(v.string(expected), v.regex(/^data:image\/[\w.+-]+;base64,/, expected));

const body = fields({
  model: name,
  input: v.union(
    [dataUrl, v.pipe(v.array(dataUrl, expected), v.minLength(1, expected), v.maxLength(MAX_IMAGES, expected))],
    expected,
  ),
  encoding_format: encoding,
  dimensions,
  user,
});

/** The fields of a form beside its files. */
const form = fields({
  model: name,
  encoding_format: encoding,
  dimensions: v.optional(
    v.pipe(v.string(), v.regex(/^[1-9]\d{0,4}$/, 'a whole number from 1 to 65536'), v.transform(Number)),
  ),
});

interface Asked {
  model: string;
  images: Uint8Array[];
  encoding_format: 'float' | 'base64';
  dimensions?: number | undefined;
}

const invalid = (param: string, what: string): GatewayError =>
  new GatewayError('invalid_request', `${param}: expected ${what}`, { param });

function bytesOf(url: string, index: number): Uint8Array {
  const bytes = fromBase64(url.slice(url.indexOf(',') + 1));
  if (bytes) return bytes;
  throw invalid(`input[${index}]`, 'base64 behind the comma of the data URL');
}

/** The images of a form: each of its files, in their order. */
async function readImages({ headers, stream }: Pick<Call, 'headers' | 'stream'>): Promise<Asked> {
  const data = await readForm(headers, stream);
  const values: Record<string, string> = {};
  const files: File[] = [];
  for (const [key, value] of data as unknown as Iterable<[string, string | File]>) {
    if (typeof value !== 'string') files.push(value);
    else if (Object.hasOwn(values, key)) throw invalid(key.slice(0, 200), 'to be there once');
    else values[key] = value;
  }
  if (files.length === 0) throw invalid('input', 'one file or several');
  if (files.length > MAX_IMAGES) throw invalid('input', `at most ${MAX_IMAGES} files`);
  const checked = v.safeParse(form, values);
  if (!checked.success) {
    const [issue] = checked.issues;
    const path = v.getDotPath(issue)?.slice(0, 200) ?? 'the form';
    throw new GatewayError('invalid_request', `${path}: ${issue.message}`, { param: path });
  }
  const images = await Promise.all(files.map(async (file) => new Uint8Array(await file.arrayBuffer())));
  return { ...checked.output, images };
}

function readBody(given: v.InferOutput<typeof body>): Asked {
  const { input, ...rest } = given;
  return { ...rest, images: (typeof input === 'string' ? [input] : input).map(bytesOf) };
}

export const embedImages = operation({
  method: 'POST',
  path: '/v1/images/embeddings',
  scope: 'embed',
  summary: 'Encodes images as vectors in the space of a model for texts and images.',
  body,
  raw: ['multipart/form-data'],
  answer: v.object({ object: v.literal('list'), data: v.array(embedding), model: v.string(), usage }),
  maxBytes: 20 << 20,
  cached: (given) => given !== undefined,
  tokens: (given) => ITEM_TOKENS * [given?.input ?? ''].flat().length,
  predicts: true,
  async handle(call) {
    const asked = call.body ? readBody(call.body) : await readImages(call);
    const { images, dimensions: wanted } = asked;
    // A form's model is not known before it is read.
    checkAllowed(call.key, asked.model, 'model');
    const options = wanted === undefined ? {} : { dimensions: wanted };
    const question = { task: 'embed-image', model: asked.model, field: 'input', items: images.length } as const;
    const vectors = await ask(call, { ...question, dimensions: wanted }, (model, context) =>
      need(model, 'embedImages')(images, options, context),
    );
    return Response.json({
      object: 'list',
      data: embeddingsOf(vectors, asked.encoding_format),
      model: asked.model,
      usage: usageOf(call.event.tokens),
    });
  },
});
