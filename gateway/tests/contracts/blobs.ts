/** The contract of `Blobs`. There are no objects at the start. */
import assert from 'node:assert/strict';
import type { Blobs, StoredBlob } from '../../src/host.ts';
import { streamOf } from '../../src/parts/blob-key.ts';
import { type Contract, many } from './contract.ts';

const text = (value: string) => new TextEncoder().encode(value);

async function read(blob: StoredBlob | undefined): Promise<Uint8Array> {
  assert.ok(blob, 'there is an object');
  return new Uint8Array(await new Response(blob.body).arrayBuffer());
}

async function readText(blob: StoredBlob | undefined): Promise<string> {
  return new TextDecoder().decode(await read(blob));
}

/** Bytes that differ everywhere, so that a piece at the wrong place is noticed. */
function bytesOf(size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let index = 0; index < words.length; index++) words[index] = Math.imul(index + 1, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

/** A stream of the bytes in pieces, which fails after `failAt` bytes. */
function pieces(bytes: Uint8Array, piece: number, failAt = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= failAt) return controller.error(new Error('the client has left'));
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + piece));
      at += piece;
    },
  });
}

async function names(blobs: Blobs, prefix = ''): Promise<string[]> {
  const keys: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await blobs.list(prefix, cursor);
    keys.push(...page.objects.map(({ key }) => key));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return keys;
}

const TRICKS = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/..',
  'a/../../b',
  'a/./b',
  'a\\b',
  'a b',
  'a%2e',
  'ä',
  'a\0b',
];

export const BEHIND_1000 = 'a list goes on behind 1,000 objects';

export const blobsContract: Contract<Blobs> = {
  'an object comes back whole, from bytes and from a stream': async (make) => {
    const blobs = await make();
    for (const size of [0, 1, 5000, 3 * 1024 * 1024 + 7]) {
      const bytes = bytesOf(size);
      for (const body of [bytes, pieces(bytes, 60_000)]) {
        const put = await blobs.put('some/object-1.bin', body, { size });
        assert.ok(put);
        const blob = await blobs.get('some/object-1.bin');
        assert.equal(blob?.size, size);
        assert.equal(blob?.etag, put.etag);
        assert.ok(!put.etag.includes('"') && put.etag !== '');
        assert.ok(Buffer.from(await read(blob)).equals(bytes), `${size} bytes are equal`);
      }
    }
  },

  'a large stream comes in pieces of 16 KiB or more': async (make) => {
    const blobs = await make();
    await blobs.put('large', bytesOf(5 * 1024 * 1024));
    const blob = await blobs.get('large');
    let count = 0;
    let total = 0;
    for await (const piece of blob?.body ?? []) {
      count++;
      total += piece.length;
    }
    assert.equal(total, 5 * 1024 * 1024);
    assert.ok(count <= 320, `${count} pieces`);
  },

  'a range has its bytes, fewer at the end and none behind it': async (make) => {
    const blobs = await make();
    const bytes = bytesOf(100_000);
    await blobs.put('ranged', bytes);
    const cases: [number, number][] = [
      [0, 1],
      [10, 20],
      [99_990, 10],
      [99_990, 500],
      [0, 200_000],
      [50, 0],
      [100_000, 10],
      [200_000, 10],
    ];
    for (const [offset, length] of cases) {
      const blob = await blobs.get('ranged', { offset, length });
      assert.equal(blob?.size, 100_000, 'size is that of the whole');
      assert.ok(Buffer.from(await read(blob)).equals(bytes.subarray(offset, offset + length)), `${offset}+${length}`);
    }
    await blobs.put('empty', new Uint8Array());
    assert.equal((await read(await blobs.get('empty', { offset: 0, length: 5 }))).length, 0);
  },

  'what is not there is undefined, and its deletion no error': async (make) => {
    const blobs = await make();
    assert.equal(await blobs.get('none'), undefined);
    assert.equal(await blobs.get('none/at/all', { offset: 0, length: 5 }), undefined);
    assert.equal(await blobs.get('none', { offset: 0, length: 0 }), undefined);
    await blobs.put('folder/object', text('x'));
    assert.equal(await blobs.get('folder'), undefined);
    await blobs.delete(['none', 'folder', 'also/none']);
    assert.deepEqual(await names(blobs), ['folder/object']);
    await blobs.delete([]);
  },

  'a put replaces the object, and its etag changes with the content': async (make) => {
    const blobs = await make();
    const etags = new Set<string>();
    for (const content of ['one', 'two', 'three', 'eno']) {
      const put = await blobs.put('same', text(content));
      const blob = await blobs.get('same');
      assert.equal(blob?.etag, put?.etag);
      assert.equal(await readText(blob), content);
      etags.add(put?.etag ?? '');
    }
    assert.equal(etags.size, 4);
    const etag = (await blobs.get('same', { offset: 1, length: 1 }))?.etag;
    assert.ok(etag && etags.has(etag), 'a range has the etag of the whole');
  },

  'with ifNoneMatch an object is written once': async (make) => {
    const blobs = await make();
    assert.ok(await blobs.put('once', text('first'), { ifNoneMatch: true }));
    assert.equal(await blobs.put('once', text('second'), { ifNoneMatch: true }), undefined);
    assert.equal(await blobs.put('once', streamOf(text('third')), { size: 5, ifNoneMatch: true }), undefined);
    assert.equal(await readText(await blobs.get('once')), 'first');
    const results = await many(12, 12, (index) => blobs.put('raced', text(`by ${index}`), { ifNoneMatch: true }));
    const winners = [...results.keys()].filter((index) => results[index]);
    assert.equal(winners.length, 1);
    assert.equal(await readText(await blobs.get('raced')), `by ${winners[0]}`);
    await blobs.delete(['once']);
    assert.ok(await blobs.put('once', streamOf(text('anew')), { size: 4, ifNoneMatch: true }));
  },

  'a stream that fails half way leaves nothing, and what was there before': async (make) => {
    const blobs = await make();
    const bytes = bytesOf(400_000);
    await assert.rejects(blobs.put('failed', pieces(bytes, 10_000, 200_000), { size: 400_000 }), /client has left/);
    await blobs.put('kept', text('before'));
    await assert.rejects(blobs.put('kept', pieces(bytes, 10_000, 200_000), { size: 400_000 }), /client has left/);
    await assert.rejects(blobs.put('short', pieces(bytes, 10_000), { size: 400_001 }));
    await assert.rejects(blobs.put('long', pieces(bytes, 10_000), { size: 399_999 }));
    await assert.rejects(blobs.put('unsized', pieces(bytes, 10_000)), /size/);
    for (const key of ['failed', 'short', 'long', 'unsized']) assert.equal(await blobs.get(key), undefined, key);
    assert.equal(await readText(await blobs.get('kept')), 'before');
    assert.deepEqual(await names(blobs), ['kept']);
  },

  'a list is in order, and by prefix': async (make) => {
    const blobs = await make();
    const keys = ['a', 'a-b', 'a.b', 'b/c', 'b/c.d', 'b/c/..d', 'b/d', 'b0', 'B'].filter((key) => key !== 'b/c');
    for (const key of keys) await blobs.put(key, text(key));
    assert.deepEqual(await names(blobs), [...keys].sort());
    assert.deepEqual(await names(blobs, 'b/c'), ['b/c.d', 'b/c/..d']);
    assert.deepEqual(await names(blobs, 'b/'), ['b/c.d', 'b/c/..d', 'b/d']);
    assert.deepEqual(await names(blobs, 'none'), []);
    assert.deepEqual(await names(blobs, '../'), []);
    const page = await blobs.list('a.');
    assert.deepEqual(page, { objects: [{ key: 'a.b', size: 3 }] });
  },

  [BEHIND_1000]: async (make) => {
    const blobs = await make();
    await blobs.put('other', text('x'));
    const parts = Array.from({ length: 1010 }, (_, index) => `many/${index % 7}/${String(index).padStart(5, '0')}`);
    await many(parts.length, 16, (index) => blobs.put(parts[index] as string, text('x')));
    const first = await blobs.list('many/');
    assert.equal(first.objects.length, 1000);
    assert.ok(first.cursor);
    const second = await blobs.list('many/', first.cursor);
    assert.equal(second.objects.length, 10);
    assert.equal(second.cursor, undefined);
    const listed = [...first.objects, ...second.objects].map(({ key }) => key);
    assert.deepEqual(listed, [...parts].sort());
    assert.ok(first.objects.every(({ size }) => size === 1));
    await blobs.delete(parts);
    assert.deepEqual(await names(blobs), ['other']);
  },

  'names with path tricks are refused by every method': async (make) => {
    const blobs = await make();
    for (const key of [...TRICKS, 'a'.repeat(513)]) {
      const refusal = { name: 'GatewayError', code: 'invalid_request' };
      await assert.rejects(blobs.get(key), refusal, JSON.stringify(key));
      await assert.rejects(blobs.put(key, text('x')), refusal, JSON.stringify(key));
      await assert.rejects(blobs.delete(['fine', key]), refusal, JSON.stringify(key));
    }
    assert.deepEqual(await names(blobs), []);
  },

  'a body may be left half read while the object is replaced': async (make) => {
    const blobs = await make();
    await blobs.put('left', bytesOf(4 * 1024 * 1024));
    const blob = await blobs.get('left');
    const reader = blob?.body.getReader();
    assert.ok(((await reader?.read())?.value?.length ?? 0) > 0);
    await reader?.cancel();
    await blobs.put('left', text('new'));
    assert.equal(await readText(await blobs.get('left')), 'new');
  },
};
