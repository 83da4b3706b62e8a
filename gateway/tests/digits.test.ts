/** Digits: pixels and pictures are those of the package. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { crc32, inflateSync } from 'node:zlib';
import { DigitGenerator } from 'pilotlight';
import { type ModelHost, modelHost } from './support/models.ts';

let host: ModelHost;
let generator: DigitGenerator;
before(async () => {
  host = await modelHost({ models: { draw: { task: 'digits', run: 'local' } } });
  generator = await DigitGenerator.load();
});
after(async () => {
  generator.dispose();
  await host[Symbol.asyncDispose]();
});

/** Width, height and grey values of a PNG file as this gateway writes them. */
function read(png: Buffer): { width: number; height: number; pixels: Uint8Array } {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; ) {
    const end = at + 8 + png.readUInt32BE(at);
    assert.equal(png.readUInt32BE(end), crc32(png.subarray(at + 4, end)));
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, end));
    at = end + 4;
  }
  assert.deepEqual([...chunks.keys()], ['IHDR', 'IDAT', 'IEND']);
  const header = chunks.get('IHDR') as Buffer;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  assert.deepEqual([...header.subarray(8)], [8, 0, 0, 0, 0]);
  const lines = inflateSync(chunks.get('IDAT') as Buffer);
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => {
    return lines[Math.floor(i / width) * (width + 1) + 1 + (i % width)] as number;
  });
  return { width, height, pixels };
}

test('JSON has the pixels of the package for the seed', async () => {
  const expected = await generator.generate({ text: '2026', seed: 42 });
  const { status, headers, json } = await host.post('/v1/digits', { text: '2026', seed: 42 });
  assert.equal(status, 200);
  assert.deepEqual([json.seed, json.digits, json.dims, json.model], [42, [2, 0, 2, 6], [4, 28, 28], 'draw']);
  assert.deepEqual(new Uint8Array(Buffer.from(json.data, 'base64')), expected.data);
  assert.equal(headers.get('x-seed'), '42');
  assert.equal(host.events.list.at(-1)?.items, 4);
});

const picture = async (body: object): Promise<{ seed: string | null; file: Buffer }> => {
  const response = await host.call('POST', '/v1/digits', { json: body, headers: { accept: 'image/png' } });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'image/png');
  return { seed: response.headers.get('x-seed'), file: Buffer.from(await response.arrayBuffer()) };
};

test('a picture has the same pixels as the package’s own, in a row, or in a square', async () => {
  for (const [body, request] of [
    [
      { text: '314', seed: 7 },
      { text: '314', seed: 7 },
    ],
    [
      { digit: 8, count: 7, seed: 7 },
      { digit: 8, count: 7, seed: 7 },
    ],
    [
      { digits: [1, 2], count: 3, seed: 9, steps: 3, guidance: 3 },
      { digits: [1, 2], count: 3, seed: 9, steps: 3, guidance: 3 },
    ],
  ] as const) {
    const { file, seed } = await picture(body);
    const drawn = await generator.generate(request);
    const columns = 'digits' in body ? 2 : undefined;
    const grid = drawn.toGrid(columns);
    const { width, height, pixels } = read(file);
    assert.deepEqual([height, width], grid.dims);
    assert.deepEqual(pixels, grid.data);
    assert.equal(seed, String(body.seed));
  }
});

test('without a seed each answer has its own, with which it can be drawn again', async () => {
  const one = await host.post('/v1/digits', { digit: 5 });
  const two = await host.post('/v1/digits', { digit: 5 });
  assert.notEqual(one.json.seed, two.json.seed);
  assert.equal(one.headers.get('x-cache'), null);
  const again = await host.post('/v1/digits', { digit: 5, seed: one.json.seed });
  assert.equal(again.json.data, one.json.data);
});

test('what is wrong is named', async () => {
  const cases: [object, string | null][] = [
    [{}, null],
    [{ digit: 1, text: '2' }, null],
    [{ digit: 10 }, 'digit'],
    [{ digits: [] }, 'digits'],
    [{ digits: [1, 'x'] }, 'digits[1]'],
    [{ text: 'seven' }, 'text'],
    [{ text: '12345678', count: 9 }, 'count'],
    [{ digit: 1, count: 65 }, 'count'],
    [{ digit: 1, steps: 0 }, 'steps'],
    [{ digit: 1, count: 64, steps: 17 }, 'steps'],
    [{ digit: 1, guidance: 21 }, 'guidance'],
    [{ digit: 1, seed: -1 }, 'seed'],
  ];
  for (const [body, param] of cases) {
    const { status, json } = await host.post('/v1/digits', body);
    assert.deepEqual(
      [status, json.error.code, json.error.param],
      [400, 'invalid_request', param],
      JSON.stringify(body),
    );
  }
});
