/** The same requests to every host: what they answer is brought to a form in which all must agree. */
import { request } from 'node:http';

const MODEL = 'all-MiniLM-L6-v2';

export interface Answer {
  name: string;
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

export interface ScenarioKeys {
  /** With all scopes. */
  all: string;
  /** That may embed and nothing else, three times a minute. */
  few: string;
}

/** The headers that have to be the same everywhere. */
const HEADERS = [
  'access-control-allow-methods',
  'access-control-allow-origin',
  'allow',
  'cache-control',
  'content-type',
  'retry-after',
  'vary',
  'www-authenticate',
  'x-cache',
  'x-content-type-options',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-truncated',
];

interface Options {
  key?: string | null;
  headers?: Record<string, string>;
  json?: unknown;
  body?: BodyInit;
}

/** Asks everything, in order. `proxied`: something in front of the host reads bodies before it passes requests on. */
export async function scenario(url: string | URL, keys: ScenarioKeys, { proxied = false } = {}): Promise<Answer[]> {
  const answers: Answer[] = [];
  const names = new Map<string, string>();

  async function ask(
    method: string,
    path: string,
    { key = keys.all, headers, json, body }: Options = {},
  ): Promise<Response> {
    const payload = json === undefined ? body : JSON.stringify(json);
    return fetch(new URL(path, url), {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        // A refused body that nobody reads ends its connection; a new one for each request keeps that from the next.
        connection: 'close',
        ...headers,
      },
      redirect: 'manual',
      ...(payload === undefined ? {} : { body: payload, duplex: 'half' }),
    } as RequestInit);
  }

  async function say(name: string, method: string, path: string, options: Options = {}): Promise<unknown> {
    const response = await ask(method, path, options);
    const text = await response.text();
    const type = response.headers.get('content-type') ?? '';
    const body: unknown = type.startsWith('application/json') ? JSON.parse(text) : text;
    const kept = HEADERS.flatMap((header) => {
      const value = response.headers.get(header);
      // Bun writes the charset that JSON has in any case.
      return value === null ? [] : [[header, value.replace(/; ?charset=utf-8$/i, '').toLowerCase()]];
    });
    answers.push({ name, status: response.status, headers: Object.fromEntries(kept), body: plain(body, names) });
    return body;
  }

  const embed = (input: unknown, more: object = {}, options: Options = {}) =>
    [{ ...options, json: { model: MODEL, input, ...more } }] as const;
  const E = '/v1/embeddings';

  await say('health', 'GET', '/healthz', { key: null });
  await say('health, the other name', 'GET', '/health', { key: null });
  await say('ready, to anyone', 'GET', '/readyz', { key: null });
  await say('nothing at a path, to anyone', 'GET', '/v2/embeddings', { key: null });
  await say('nothing at a path', 'GET', '/v2/embeddings');
  await say('another method', 'GET', E);
  await say('another method, to anyone', 'DELETE', E, { key: null });
  await say('no key', 'POST', E, { key: null, json: {} });
  await say('a key with a wrong checksum', 'POST', E, { key: `${keys.all.slice(0, -1)}!`, json: {} });
  await say('a key in the query', 'GET', `/v1/models?key=${keys.all}`, { key: null });
  await say('a key in both headers', 'GET', '/v1/models', { headers: { 'x-api-key': keys.all } });
  await say('a key in its own header', 'GET', '/v1/models', { key: null, headers: { 'x-api-key': keys.all } });
  await say('a scheme in small letters', 'GET', '/v1/models', {
    key: null,
    headers: { authorization: `bearer ${keys.all}` },
  });
  await say('one model', 'GET', `/v1/models/${MODEL}`);
  await say('an unknown model', 'GET', '/v1/models/nothing');
  await say('an unknown field of the query', 'GET', '/v1/models?fields=all');

  await say('one text', 'POST', E, ...embed('A cat sits on the mat.'));
  await say('one text again', 'POST', E, ...embed('A cat sits on the mat.'));
  await say(
    'one text, not from the cache',
    'POST',
    E,
    ...embed('A cat sits on the mat.', {}, { headers: { 'cache-control': 'no-store' } }),
  );
  await say('base64', 'POST', E, ...embed('A cat sits on the mat.', { encoding_format: 'base64' }));
  await say('fewer dimensions', 'POST', E, ...embed('A cat.', { dimensions: 64 }));
  await say('too many dimensions', 'POST', E, ...embed('A cat.', { dimensions: 1000 }));
  await say('three texts', 'POST', E, ...embed(['Ein Hund.', 'Un chat.', '猫 🐈']));
  await say('a long text', 'POST', E, ...embed('long '.repeat(400)));
  await say('a long text that may not be cut', 'POST', E, ...embed('long '.repeat(400), { truncate: false }));
  await say('no text', 'POST', E, ...embed([]));
  await say('an empty text', 'POST', E, ...embed(''));
  await say('too many texts', 'POST', E, ...embed(Array(257).fill('a')));
  await say('token ids', 'POST', E, ...embed([1, 2, 3]));
  await say('lists of token ids', 'POST', E, ...embed([[1, 2, 3]]));
  await say('a number', 'POST', E, ...embed(7));
  await say('an unknown field', 'POST', E, ...embed('a', { colour: 'red' }));
  await say('an unknown encoding', 'POST', E, ...embed('a', { encoding_format: 'hex' }));
  await say('an unknown model of embeddings', 'POST', E, { json: { model: 'nothing', input: 'a' } });
  await say('no model', 'POST', E, { json: { input: 'a' } });
  await say('a list for a body', 'POST', E, { json: [] });
  await say('null for a body', 'POST', E, { body: 'null', headers: { 'content-type': 'application/json' } });
  await say('half a body', 'POST', E, { body: '{"model":', headers: { 'content-type': 'application/json' } });
  await say('no body', 'POST', E, { headers: { 'content-type': 'application/json' } });
  await say('another type', 'POST', E, {
    body: 'model=a',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  await say('a compressed body', 'POST', E, {
    body: new Uint8Array([31, 139, 8, 0, 0]),
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  });
  await say('bytes that are no UTF-8', 'POST', E, {
    body: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]),
    headers: { 'content-type': 'application/json' },
  });
  await say('a lone surrogate', 'POST', E, {
    body: `{"model":"${MODEL}","input":"a\\ud800b"}`,
    headers: { 'content-type': 'application/json' },
  });
  await say('deep brackets', 'POST', E, { body: '['.repeat(200_000), headers: { 'content-type': 'application/json' } });
  if (!proxied) {
    const refused = await announce(new URL(E, url), keys.all, 100 << 20);
    answers.push({ name: 'a body that is too large', headers: {}, ...refused });
  }
  await say('a body in chunks', 'POST', E, { body: chunks(MODEL), headers: { 'content-type': 'application/json' } });

  await say('Ollama', 'POST', '/api/embed', { json: { model: MODEL, input: ['A cat.'] } });
  await say('similarity', 'POST', '/v1/similarity', {
    json: { model: MODEL, source: 'A cat.', sentences: ['A kitten.', 'Stocks fell.'] },
  });
  await say('no such classifier', 'POST', '/v1/classify', { json: { model: 'nothing', input: 'a' } });
  await say('no such detector', 'POST', '/analyze', {
    json: { text: 'a', model_name: 'nothing', layer: 1, classifier_type: 'logreg' },
  });

  const few = { key: keys.few };
  await say('a scope that is missing', 'GET', '/admin/keys', few);
  await say('the first of three', 'POST', E, ...embed('one', {}, few));
  await say('the second of three', 'POST', E, ...embed('two', {}, few));
  await say('no more', 'POST', E, ...embed('three', {}, few));

  await say('a preflight', 'OPTIONS', E, {
    key: null,
    headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
  });
  await say('a preflight from elsewhere', 'OPTIONS', E, {
    key: null,
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
  });

  const line = (id: string, input: unknown) =>
    JSON.stringify({ custom_id: id, method: 'POST', url: E, body: { model: MODEL, input } });
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new Blob([`${line('a', 'A cat.')}\n${line('b', 7)}\n`]), 'lines.jsonl');
  const file = (await say('a file', 'POST', '/v1/files', { body: form })) as { id: string };
  await say('the file', 'GET', `/v1/files/${file.id}`);
  await say('its content', 'GET', `/v1/files/${file.id}/content`);
  await say('a file as a stream', 'PUT', '/v1/files/more.jsonl', {
    body: `${line('c', 'x')}\n`,
    headers: { 'content-type': 'application/jsonl' },
  });
  await say('an unknown file', 'GET', '/v1/files/file-nothing');
  await say('a batch of an unknown file', 'POST', '/v1/batches', {
    json: { input_file_id: 'file-nothing', endpoint: E, completion_window: '24h' },
  });
  const order = { input_file_id: file.id, endpoint: E, completion_window: '24h' };
  const batch = (await say('a batch', 'POST', '/v1/batches', { json: order })) as { id: string };
  const done = await finished(() => ask('GET', `/v1/batches/${batch.id}`));
  answers.push({
    name: 'the batch in the end',
    status: 200,
    headers: {},
    body: plain({ status: done.status, counts: done.request_counts }, names),
  });
  await say('its lines', 'GET', `/v1/files/${done.output_file_id}/content`);
  await say('its errors', 'GET', `/v1/files/${done.error_file_id}/content`);
  await say('the file is gone', 'DELETE', `/v1/files/${file.id}`);
  await say('an index that is not there', 'POST', '/v1/indexes/nothing/query', { json: { input: 'a' } });

  const made = (await say('a key', 'POST', '/admin/keys', { json: { name: 'b', owner: 'b', scopes: ['embed'] } })) as {
    id: string;
  };
  await say('the key is revoked', 'DELETE', `/admin/keys/${made.id}`);
  await say('the history, which is off', 'GET', '/v1/history');
  await say('the document', 'GET', '/openapi.json');
  return answers;
}

interface Batch {
  status: string;
  request_counts: object;
  output_file_id: string;
  error_file_id: string;
}

async function finished(ask: () => Promise<Response>): Promise<Batch> {
  for (let tries = 0; tries < 600; tries += 1) {
    const batch = (await (await ask()).json()) as Batch;
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('the batch did not end within a minute');
}

/** Sends the head of a request whose body would have so many bytes, and gives what is answered before any of them comes. */
function announce(url: URL, key: string, bytes: number): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const head = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': bytes };
    const sent = request(url, { method: 'POST', headers: head, timeout: 10_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (data: string) => {
        text += data;
      });
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
        sent.destroy();
      });
    });
    sent.once('error', reject).once('timeout', () => sent.destroy(new Error('no answer within 10 s')));
    sent.flushHeaders();
  });
}

function chunks(model: string): ReadableStream<Uint8Array> {
  const pieces = ['{"model":"', model, '","inp', 'ut":"A cat', '."}'].map((text) => new TextEncoder().encode(text));
  return new ReadableStream({
    pull(controller) {
      const piece = pieces.shift();
      if (piece) controller.enqueue(piece);
      else controller.close();
    },
  });
}

/** Fields whose values differ from host to host, or from time to time. */
const VARIABLE =
  /^(created|created_at|expires_at|in_progress_at|finalizing_at|completed_at|last_used_at|revoked_at|total_duration|load_duration|digest|key|x-request-id|request_id|at|ms)$/;

/** A body without ids and times; vectors are rounded, as processors round in the last bits. */
function plain(value: unknown, names: Map<string, string>, field = ''): unknown {
  if (typeof value === 'string') {
    if (VARIABLE.test(field)) return field;
    if (field === 'embedding')
      return [...new Float32Array(Uint8Array.from(atob(value), (c) => c.charCodeAt(0)).buffer)];
    if (value.includes('\n') && value.startsWith('{')) return lines(value).map((line) => plain(line, names));
    return value.replace(
      /\b(?:file-|batch_|batch_req_)[\w-]+|(?<=^)[0-9A-Za-z]{12}$|[\da-f]{8}-[\da-f-]{27}/g,
      (id) => {
        if (!names.has(id)) names.set(id, `id ${names.size}`);
        return names.get(id) ?? '';
      },
    );
  }
  if (Array.isArray(value)) return value.map((item) => plain(item, names, field));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item, names, name)]));
  }
  if (typeof value === 'number' && VARIABLE.test(field)) return 0;
  return value;
}

function lines(text: string): unknown[] {
  const parsed = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { custom_id?: string });
  return parsed.sort((a, b) => ((a.custom_id ?? '') < (b.custom_id ?? '') ? -1 : 1));
}

/** The difference of one value from another, in words; undefined where they agree. Numbers may differ by a ten-thousandth, and lists of numbers by their cosine. */
export function difference(a: unknown, b: unknown, path = ''): string | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    return Math.abs(a - b) <= (Number.isInteger(a) && Number.isInteger(b) ? 0 : 0.01)
      ? undefined
      : `${path}: ${a}, ${b}`;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return `${path}: ${a.length} items, ${b.length}`;
    if (a.length >= 64 && a.every((item) => typeof item === 'number')) {
      const cosine = dot(a, b as number[]) / Math.sqrt(dot(a, a) * dot(b as number[], b as number[]));
      return cosine > 0.999 ? undefined : `${path}: cosine ${cosine}`;
    }
    return a.map((item, at) => difference(item, b[at], `${path}[${at}]`)).find(Boolean);
  }
  if (isObject(a) && isObject(b)) {
    const names = new Set([...Object.keys(a), ...Object.keys(b)]);
    for (const name of names) {
      const found = difference(a[name], b[name], `${path}.${name}`);
      if (found) return found;
    }
    return undefined;
  }
  return Object.is(a, b) ? undefined : `${path}: ${JSON.stringify(a)}, ${JSON.stringify(b)}`;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const dot = (a: number[], b: number[]): number => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
