/** Handwritten digits, as a picture or as pixels. */
import * as v from 'valibot';
import { base64Of } from '../bytes.ts';
import { GatewayError } from '../http/errors.ts';
import { ask, need } from '../models/asking.ts';
import { ITEM_TOKENS } from '../models/model.ts';
import { pngOf } from '../models/png.ts';
import { operation } from '../operation.ts';
import { fields, name, text, whole } from '../schemas.ts';

const MAX_DIGITS = 64;

/** The most runs of the network for one request, which take some seconds. */
const MAX_RUNS = 1024;

const digit = whole(0, 9);
const list = `1 to ${MAX_DIGITS} digits, each from 0 to 9`;

interface Asked {
  text?: string | undefined;
  digit?: number | undefined;
  digits?: number[] | undefined;
  count: number;
}

/** The digits that a request asks for, and the number of them in a row of the picture. */
function digitsOf({ text: number, digit: one, digits: several, count }: Asked): { digits: number[]; columns: number } {
  const given = [number && [...number].map(Number), one === undefined ? undefined : [one], several].filter(
    (some) => some !== undefined,
  ) as number[][];
  const [digits] = given;
  if (!digits || given.length > 1)
    throw new GatewayError('invalid_request', 'the body: expected one of text, digit and digits');
  const all = Array.from({ length: count }, () => digits).flat();
  if (all.length > MAX_DIGITS)
    throw new GatewayError('invalid_request', `count: expected at most ${MAX_DIGITS} digits, got ${all.length}`, {
      param: 'count',
    });
  // A list is a row; the repetitions of one digit are a square.
  return { digits: all, columns: digits.length > 1 ? digits.length : Math.ceil(Math.sqrt(count)) };
}

/** Whether a client wants a picture rather than JSON. */
function wantsPicture(accept: string | null): boolean {
  const types = (accept ?? '').toLowerCase();
  const picture = types.search(/image\/(png|\*)/);
  const json = types.indexOf('application/json');
  return picture >= 0 && (json < 0 || picture < json);
}

export const digits = operation({
  method: 'POST',
  path: '/v1/digits',
  scope: 'digits',
  summary:
    'Draws handwritten digits: a PNG file with the header x-seed where the client accepts image/png, else pixels.',
  body: fields({
    model: v.optional(name),
    text: v.optional(v.pipe(text, v.regex(/^\d{1,64}$/, list))),
    digit: v.optional(digit),
    digits: v.optional(v.pipe(v.array(digit, list), v.minLength(1, list), v.maxLength(MAX_DIGITS, list))),
    count: v.optional(whole(1, MAX_DIGITS), 1),
    seed: v.optional(whole(0, Number.MAX_SAFE_INTEGER)),
    steps: v.optional(whole(1, 100)),
    guidance: v.optional(v.pipe(v.number('a number'), v.minValue(0, 'at least 0'), v.maxValue(20, 'at most 20'))),
  }),
  answer: v.object({
    object: v.literal('digits'),
    seed: v.number(),
    digits: v.array(v.number()),
    dims: v.array(v.number()),
    /** Base64 of the pixels, digit after digit: 0 is paper, 255 is ink. */
    data: v.string(),
    model: v.string(),
  }),
  cached: ({ seed }) => seed !== undefined,
  // A request that asks for too many is refused by its handler.
  tokens: (body) => {
    const { text, digits, count } = body as Asked;
    return ITEM_TOKENS * Math.min(MAX_DIGITS, (text?.length ?? digits?.length ?? 1) * count);
  },
  predicts: true,
  async handle(call) {
    const { body, headers } = call;
    const { digits: wanted, columns } = digitsOf(body);
    if (wanted.length * (body.steps ?? 1) > MAX_RUNS)
      throw new GatewayError(
        'invalid_request',
        `steps: expected at most ${Math.floor(MAX_RUNS / wanted.length)} for ${wanted.length} digits, got ${body.steps}`,
        { param: 'steps' },
      );
    const { seed = crypto.getRandomValues(new Uint32Array(1))[0] as number, steps, guidance } = body;
    const request = {
      digits: wanted,
      seed,
      ...(steps !== undefined && { steps }),
      ...(guidance !== undefined && { guidance }),
    };
    const question = { task: 'digits', model: body.model, field: 'count', items: wanted.length } as const;
    const drawn = await ask(call, question, (model, context) => need(model, 'digits')(request, context));
    const own = { 'x-seed': String(drawn.seed) };
    if (wantsPicture(headers.get('accept'))) {
      const png = await pngOf(drawn.data, drawn.dims[1], columns);
      return new Response(png, { headers: { ...own, 'content-type': 'image/png' } });
    }
    return Response.json(
      {
        object: 'digits',
        seed: drawn.seed,
        digits: drawn.digits,
        dims: drawn.dims,
        data: base64Of(drawn.data),
        model: drawn.model.info.id,
      },
      { headers: own },
    );
  },
});
