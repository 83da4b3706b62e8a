/** Files of OpenAI's kind, which batches and indexes read and batches write. */
import * as v from 'valibot';
import type { Host } from '../host.ts';
import { readForm } from '../http/body.ts';
import { GatewayError, gatewayErrorIn } from '../http/errors.ts';
import { pageWithIds, pageWithIdsOf } from '../http/page.ts';
import { newId } from '../jobs/ids.ts';
import { MAX_FILE } from '../jobs/limits.ts';
import { operation } from '../operation.ts';
import { fields, stored } from '../schemas.ts';
import {
  blobOf,
  deleteFile,
  type FileRow,
  fileAnswer,
  fileOf,
  insertFile,
  listFiles,
  PURPOSES,
} from '../tables/files.ts';
import { DAY_MS, HOUR_MS } from '../time.ts';

/** A form is in memory as a whole while it is read. */
const MAX_FORM = 20 * 1_048_576;
/** The most bytes of a form beside its file. */
const FORM_PARTS = 65_536;

/** The media types of files that are sent as they are. */
const TYPES = [
  'application/octet-stream',
  'application/jsonl',
  'application/x-ndjson',
  'application/x-jsonlines',
  'application/json',
  'text/plain',
  'image/jpeg',
  'image/png',
  'image/webp',
  'image/gif',
] as const;

const file = v.object({
  id: v.string(),
  object: v.literal('file'),
  /** The number of bytes. */
  bytes: v.number(),
  /** Seconds since 1970. */
  created_at: v.number(),
  expires_at: v.nullable(v.number()),
  filename: v.string(),
  purpose: v.string(),
  status: v.literal('processed'),
});

const purposeMessage = `one of ${PURPOSES.join(', ')}`;
const purpose = v.picklist(PURPOSES, purposeMessage);

/** The most items of a page, of which OpenAI allows more for files than for other lists. */
const limit = v.optional(
  v.pipe(v.string(), v.regex(/^([1-9]\d{0,3}|10000)$/, 'a number from 1 to 10000'), v.transform(Number)),
  '1000',
);

export const createFile = operation({
  method: 'POST',
  path: '/v1/files',
  scope: 'files',
  summary: 'Uploads a file of up to 20 MiB in a form with "file" and "purpose".',
  raw: ['multipart/form-data'],
  maxBytes: MAX_FORM + FORM_PARTS,
  answer: file,
  async handle({ host, key, headers, stream }) {
    const form = await readForm(headers, stream);
    const names = ['file', 'purpose', 'expires_after[anchor]', 'expires_after[seconds]'];
    for (const name of new Set(form.keys())) {
      const param = name.slice(0, 100);
      if (!names.includes(name)) throw new GatewayError('invalid_request', `${param}: unknown field`, { param });
      if (form.getAll(name).length > 1) {
        throw new GatewayError('invalid_request', `${param}: expected once`, { param });
      }
    }
    const given = form.get('file');
    if (given === null || typeof given === 'string') {
      throw new GatewayError('invalid_request', 'file: expected a file with its name', { param: 'file' });
    }
    if (given.size > MAX_FORM) {
      throw new GatewayError(
        'body_too_large',
        `file: expected at most ${MAX_FORM} bytes; larger ones by PUT /v1/files/{name}`,
        {
          param: 'file',
        },
      );
    }
    const wanted = v.safeParse(purpose, form.get('purpose'));
    if (!wanted.success)
      throw new GatewayError('invalid_request', `purpose: expected ${purposeMessage}`, { param: 'purpose' });
    const row = newFile(host, key.owner, given.name, wanted.output, given.size, expiryOf(form));
    return keep(host, row, given.stream() as ReadableStream<Uint8Array>);
  },
});

export const putFile = operation({
  method: 'PUT',
  path: '/v1/files/{name}',
  scope: 'files',
  summary:
    'Uploads a file of up to 100 MB as it is; each request makes a file of its own, also under a name that there is already.',
  raw: TYPES,
  maxBytes: MAX_FILE,
  query: fields({ purpose: v.optional(purpose, 'batch') }),
  answer: file,
  async handle({ host, key, params, query, headers, stream }) {
    const length = headers.get('content-length');
    if (length === null || !stream) {
      throw new GatewayError('invalid_request', 'content-length: is missing; a file is stored by its length', {
        param: 'content-length',
      });
    }
    const row = newFile(host, key.owner, params.name ?? '', query.purpose, Number(length));
    return keep(host, row, stream);
  },
});

export const listOfFiles = operation({
  method: 'GET',
  path: '/v1/files',
  scope: 'files',
  summary: 'Lists the files of this owner, the newest first.',
  query: fields({
    limit,
    after: v.optional(stored),
    order: v.optional(v.picklist(['asc', 'desc'], 'asc or desc'), 'desc'),
    purpose: v.optional(v.picklist([...PURPOSES, 'batch_output'], `${purposeMessage}, batch_output`)),
  }),
  answer: pageWithIds(file),
  async handle({ host, key, query }) {
    const rows = await listFiles(host.sql, key.owner, query, query.purpose);
    return Response.json(pageWithIdsOf(rows, query.limit, fileAnswer));
  },
});

export const getFile = operation({
  method: 'GET',
  path: '/v1/files/{id}',
  scope: 'files',
  summary: 'Tells of a file.',
  answer: file,
  async handle({ host, key, params }) {
    return Response.json(fileAnswer(await fileOf(host.sql, key.owner, params.id ?? '')));
  },
});

export const getContent = operation({
  method: 'GET',
  path: '/v1/files/{id}/content',
  scope: 'files',
  summary: 'Sends the bytes of a file.',
  answer: 'application/octet-stream',
  async handle({ host, key, params, request }) {
    const row = await fileOf(host.sql, key.owner, params.id ?? '');
    // HEAD asks for its size and its etag alone.
    const range = request?.method === 'HEAD' ? { offset: 0, length: 1 } : undefined;
    const blob = await host.blobs.get(blobOf(row.id), range);
    if (!blob) throw new GatewayError('not_found', `no such file: ${row.id}`);
    return new Response(blob.body, {
      headers: {
        // Never what the uploader said it is: a browser must not take it for a page of this host.
        'content-type': 'application/octet-stream',
        'content-length': String(blob.size),
        'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(row.filename)}`,
        etag: `"${blob.etag}"`,
      },
    });
  },
});

export const deleteFileOperation = operation({
  method: 'DELETE',
  path: '/v1/files/{id}',
  scope: 'files',
  summary: 'Deletes a file, unless a batch is reading it.',
  answer: v.object({ id: v.string(), object: v.literal('file'), deleted: v.literal(true) }),
  async handle({ host, key, params }) {
    const { id = '' } = params;
    if (!(await deleteFile(host.sql, key.owner, id))) {
      await fileOf(host.sql, key.owner, id);
      throw new GatewayError('conflict', 'A batch that has not ended reads this file: cancel it first.', {
        param: 'id',
        headers: { 'x-should-retry': 'false' },
      });
    }
    await host.blobs.delete([blobOf(id)]);
    return Response.json({ id, object: 'file', deleted: true });
  },
});

/** The milliseconds for which a file is kept, where the form gives a time of its own. */
function expiryOf(form: FormData): number | undefined {
  const anchor = form.get('expires_after[anchor]');
  const seconds = form.get('expires_after[seconds]');
  if (anchor === null && seconds === null) return undefined;
  if (anchor !== 'created_at') {
    throw new GatewayError('invalid_request', 'expires_after.anchor: expected created_at', {
      param: 'expires_after.anchor',
    });
  }
  const least = HOUR_MS / 1000;
  const most = (30 * DAY_MS) / 1000;
  const count = typeof seconds === 'string' && /^\d{1,9}$/.test(seconds) ? Number(seconds) : 0;
  if (count >= least && count <= most) return count * 1000;
  throw new GatewayError('invalid_request', `expires_after.seconds: expected a number from ${least} to ${most}`, {
    param: 'expires_after.seconds',
  });
}

function newFile(
  host: Host,
  owner: string,
  filename: string,
  purpose: string,
  bytes: number,
  milliseconds = host.settings.FILES_DAYS * DAY_MS,
): FileRow {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (!/^[^\u0000-\u001f\u007f/\\]{1,255}$/.test(filename) || !filename.isWellFormed()) {
    throw new GatewayError(
      'invalid_request',
      'filename: expected 1 to 255 characters without slashes and control characters',
      {
        param: 'filename',
      },
    );
  }
  if (bytes === 0)
    throw new GatewayError('invalid_request', 'file: expected a file that is not empty', { param: 'file' });
  const now = Date.now();
  return { id: newId('file-', now), owner, filename, purpose, bytes, created_at: now, expires_at: now + milliseconds };
}

/** Stores the bytes before the row: a row without bytes would be a file that nobody can read. */
async function keep(host: Host, row: FileRow, body: ReadableStream<Uint8Array>): Promise<Response> {
  try {
    await host.blobs.put(blobOf(row.id), body, { size: row.bytes });
  } catch (error) {
    const own = gatewayErrorIn(error);
    if (own) throw own;
    if (error instanceof RangeError) {
      throw new GatewayError('invalid_request', 'The body: expected as many bytes as content-length says.', {
        cause: error,
      });
    }
    throw error;
  }
  await host.sql.batch([insertFile(row)]);
  return Response.json(fileAnswer(row));
}
