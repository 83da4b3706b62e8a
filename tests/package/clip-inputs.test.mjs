// Images in every form in which people have them, and in every way in which they can be wrong. tests/goldens/decode says what
// Pillow sees in each file.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ImageTextEmbedder, PilotlightError } from 'pilotlight';
import { imageFile } from './support/clip.mjs';
import { gif, jpegOfSize, png, webpOfSize, zeros } from './support/images.mjs';
import { filesOf, ROOT, tinyFolder } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';
import { cosine } from './support/vectors.mjs';

const FOLDER = path.join(ROOT, 'tests/goldens/decode');
const FILES = readdirSync(FOLDER).filter((file) => /\.(png|jpg|webp|gif)$/.test(file));
const bytesOf = (file) => new Uint8Array(readFileSync(path.join(FOLDER, file)));
const { header, data } = parse(bytesOf('expected.safetensors'));

/** Returns the pixels that Pillow decodes from a file, as a canvas would return them. */
function pixelsOf(file) {
  const {
    shape: [height, width],
    data_offsets: [from, to],
  } = header[file];
  return pixels(width, height, data.subarray(from, to));
}

function pixels(width, height, rgb) {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(rgb.subarray(i * 3, i * 3 + 3), i * 4);
  return { width, height, data: rgba };
}

let embedder;
let server;
before(async () => {
  embedder = await ImageTextEmbedder.load('test/clip-tiny', { files: filesOf(tinyFolder('clip-tiny')), dtype: 'f32' });
  server = await serve();
});
after(() => {
  embedder.dispose();
  server.close();
});

const vectorOf = async (image, options) => (await embedder.embedImages(image, options)).data;
const refusal = (code, message) => ({ name: 'PilotlightError', code, message });

/** Images by their names, and servers that answer otherwise. */
async function serve() {
  const one = createServer((request, response) => {
    const name = request.url.slice(1);
    if (name === 'page')
      return void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Sign in</title>');
    if (name === 'broken') return void response.writeHead(500).end();
    if (name === 'moved') return void response.writeHead(302, { Location: '/plain.png' }).end();
    if (name === 'cut') {
      response.writeHead(200, { 'Content-Length': 999 }).write('x');
      setTimeout(() => response.destroy(), 20);
      return;
    }
    // The type that a server names is not looked at.
    if (FILES.includes(name)) return void response.writeHead(200, { 'Content-Type': 'text/plain' }).end(bytesOf(name));
    response.writeHead(404).end('not found');
  });
  await new Promise((resolve) => one.listen(0, '127.0.0.1', resolve));
  const close = () => {
    one.close();
    one.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${one.address().port}`, close };
}

describe('the same image', () => {
  const file = bytesOf('alpha.png');
  const kinds = {
    'a Uint8Array': () => file,
    'a Buffer': () => Buffer.from(file),
    'a part of a larger buffer': () => Uint8Array.from([1, 2, 3, ...file, 4, 5]).subarray(3, 3 + file.length),
    'shared memory': () => {
      const shared = new Uint8Array(new SharedArrayBuffer(file.length));
      shared.set(file);
      return shared;
    },
    'an ArrayBuffer': () => file.slice().buffer,
    'a Blob': () => new Blob([file]),
    'a Blob of another type': () => new Blob([file], { type: 'image/jpeg' }),
    'a URL': () => new URL(`${server.url}/alpha.png`),
    'a URL as text': () => `${server.url}/alpha.png`,
    'a data: URL': () => `data:image/png;base64,${Buffer.from(file).toString('base64')}`,
    'a blob: URL': () => URL.createObjectURL(new Blob([file])),
    pixels: () => pixelsOf('alpha.png'),
  };

  for (const [what, make] of Object.entries(kinds)) {
    test(`as ${what} gives the same vector`, async () =>
      assert.deepEqual(await vectorOf(make()), await vectorOf(file)));
  }

  test('may be of all kinds in one list, in their order', async () => {
    const images = Object.values(kinds).map((make) => make());
    const { data: rows, dims } = await embedder.embedImages([bytesOf('plain.jpg'), ...images]);
    assert.deepEqual(dims, [images.length + 1, 24]);
    const expected = await vectorOf(file);
    assert.deepEqual(rows.subarray(0, 24), await vectorOf(bytesOf('plain.jpg')));
    for (let i = 0; i < images.length; i++)
      assert.deepEqual(rows.subarray((i + 1) * 24, (i + 2) * 24), expected, Object.keys(kinds)[i]);
  });

  test("stays the caller's, whole and unchanged", async () => {
    const bytes = file.slice();
    const image = pixelsOf('alpha.png');
    await embedder.embedImages([bytes, image, bytes.buffer]);
    assert.deepEqual(bytes, file);
    assert.deepEqual(image, pixelsOf('alpha.png'));
  });

  test('after a redirect is the image where it leads', async () =>
    assert.deepEqual(await vectorOf(`${server.url}/moved`), await vectorOf(bytesOf('plain.png'))));

  test('with transparent pixels is laid on white, whatever colour is under them', async () => {
    const seen = (colour) => {
      const { width, height, data: rgba } = pixelsOf('plain.png');
      for (let i = 0; i < rgba.length / 2; i += 4) rgba.set([...colour, 0], i);
      return vectorOf({ width, height, data: rgba });
    };
    const white = pixelsOf('plain.png');
    white.data.fill(255, 0, white.data.length / 2);
    assert.deepEqual(await seen([9, 99, 199]), await vectorOf(white));
    assert.deepEqual(await seen([0, 0, 0]), await vectorOf(white));
  });
});

describe('a file', () => {
  // JPEG leaves the last bits of the transformation, and how colours of fewer pixels are spread, to the decoder.
  const least = (file) => {
    if (file === 'subsampled.jpg') return 0.997;
    if (file.endsWith('.jpg')) return 0.9998;
    // Pillow takes the upper 8 of 16 bits, and the package the nearest value: they differ by one grey level.
    return file.startsWith('16-bit') ? 0.9999 : 1;
  };

  for (const file of FILES) {
    const like = least(file);
    test(`${file} shows ${like === 1 ? 'just' : 'nearly'} the pixels that Pillow sees`, async (t) => {
      const [seen, expected] = [await vectorOf(bytesOf(file)), await vectorOf(pixelsOf(file))];
      if (like === 1) return assert.deepEqual(seen, expected);
      t.diagnostic(`cosine ${cosine(seen, expected).toFixed(6)}`);
      assert.ok(cosine(seen, expected) >= like, `cosine ${cosine(seen, expected)}`);
    });
  }

  test('that lay wrong, or had other colours, would be told by these cosines', async () => {
    const { width, height, data: rgba } = pixelsOf('exif-6.jpg');
    const at = (x, y) => rgba.subarray((y * width + x) * 4, (y * width + x) * 4 + 4);
    const made = (w, h, from) => ({
      width: w,
      height: h,
      data: Uint8ClampedArray.from(Array.from({ length: w * h }, (_, i) => [...from(i % w, Math.floor(i / w))]).flat()),
    });
    const right = await vectorOf(bytesOf('exif-6.jpg'));
    for (const [what, wrong] of Object.entries({
      mirrored: made(width, height, (x, y) => at(width - 1 - x, y)),
      'upside down': made(width, height, (x, y) => at(x, height - 1 - y)),
      'turned left': made(height, width, (x, y) => at(width - 1 - y, x)),
      'turned right': made(height, width, (x, y) => at(y, height - 1 - x)),
      'turned around': made(width, height, (x, y) => at(width - 1 - x, height - 1 - y)),
      'in the order of blue, green, red': made(width, height, (x, y) => [at(x, y)[2], at(x, y)[1], at(x, y)[0], 255]),
      inverted: made(width, height, (x, y) => [
        ...at(x, y)
          .subarray(0, 3)
          .map((value) => 255 - value),
        255,
      ]),
      brighter: made(width, height, (x, y) => [
        ...at(x, y)
          .subarray(0, 3)
          .map((value) => Math.min(255, value + 12)),
        255,
      ]),
    })) {
      assert.ok(
        cosine(await vectorOf(wrong), right) < 0.997,
        `${what}: cosine ${cosine(await vectorOf(wrong), right)}`,
      );
    }
  });

  test('with bytes behind its end, as phones append films, is the image all the same', async () => {
    const film = Uint8Array.from({ length: 400 }, (_, i) => (i * 97 + 200) % 256);
    for (const file of [
      'plain.png',
      'plain.jpg',
      'progressive.jpg',
      'plain.gif',
      'animated.gif',
      'lossy.webp',
      'lossless.webp',
      'exif-6.webp',
      'animated.webp',
    ]) {
      const seen = await embedder
        .embedImages(Buffer.concat([bytesOf(file), film]))
        .catch(({ message }) => assert.fail(`${file}: ${message}`));
      assert.deepEqual(seen.data, await vectorOf(bytesOf(file)), file);
    }
  });

  for (const [width, height] of [
    [1, 1],
    [1, 10_000],
    [10_000, 1],
    [3, 10_001],
    [2, 1],
  ]) {
    test(`of ${width} x ${height} pixels is embedded in no time, as its pixels are`, async () => {
      const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 251);
      const rows = new Uint8Array((width * 3 + 1) * height);
      for (let y = 0; y < height; y++)
        rows.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), y * (width * 3 + 1) + 1);
      const begun = performance.now();
      const seen = await vectorOf(png({ width, height, rows }));
      assert.ok(performance.now() - begun < 2000, `${performance.now() - begun} ms`);
      assert.deepEqual(seen, await vectorOf(pixels(width, height, rgb)));
    });
  }
});

describe('what is no image', () => {
  const text = (string) => new TextEncoder().encode(string);
  const good = () => imageFile('24x24.png');

  test('pixels of a size that overflows are too many: RESOURCE_LIMIT', async () => {
    const pixels = { data: new Uint8ClampedArray(16), width: 2 ** 31, height: 2 ** 31 };
    await assert.rejects(embedder.embedImages([good(), pixels]), {
      name: 'PilotlightError',
      code: 'RESOURCE_LIMIT',
      message: /^images\[1\]: the image has 2147483648 x 2147483648 pixels/,
    });
  });

  for (const [what, bytes, message] of [
    ['nothing', new Uint8Array(), /^images\[1\]: the image has no bytes/],
    ['an empty Blob', new Blob([]), /^images\[1\]: the image has no bytes/],
    ['text', text('a photo of a cat'), /^images\[1\]: .*no known format, expected PNG, JPEG, WebP or GIF/],
    ['a web page', text('<!doctype html><title>Sign in</title>'), /^images\[1\]: .*no known format/],
    ['one byte', Uint8Array.of(0xff), /^images\[1\]: .*no known format/],
    ['zeros', new Uint8Array(5000), /^images\[1\]: .*no known format/],
    [
      'SVG',
      text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      /^images\[1\]: .*no known format/,
    ],
    ['PDF', text('%PDF-1.7\n1 0 obj <<>> endobj'), /^images\[1\]: .*no known format/],
    ['BMP', bytesOf('other.bmp'), /^images\[1\]: .*Bmp/i],
    ['AVIF', bytesOf('other.avif'), /^images\[1\]: .*Avif/i],
    ['TIFF', bytesOf('other.tiff'), /^images\[1\]: .*Tiff/i],
    ['the head of a PNG', bytesOf('plain.png').subarray(0, 8), /^images\[1\]: the image cannot be decoded/],
    ['the head of a JPEG', Uint8Array.of(0xff, 0xd8, 0xff), /^images\[1\]: the image cannot be decoded/],
    ['the head of a WebP', text('RIFF\x10\0\0\0WEBP'), /^images\[1\]: the image cannot be decoded/],
    ['the head of a GIF', text('GIF89a'), /^images\[1\]: the image cannot be decoded/],
    ['null', null, /^images\[1\]: expected a Blob, bytes, a URL, .* got null/],
    ['nothing at all', undefined, /^images\[1\]: .* got undefined/],
    ['a number', 7, /^images\[1\]: .* got number/],
    ['an object', {}, /^images\[1\]: .* got object/],
    ['an array', [1, 2], /^images\[1\]: .* got object/],
    ['floats', new Float32Array(12), /^images\[1\]: .* got object/],
    ['a function', () => good(), /^images\[1\]: .* got function/],
    ['pixels without a size', { data: new Uint8ClampedArray(16) }, /^images\[1\]: /],
    [
      'too few pixels',
      { data: new Uint8ClampedArray(16), width: 3, height: 2 },
      /^images\[1\]: .*3 x 2 pixels has 16 bytes/,
    ],
    [
      'too many pixels',
      { data: new Uint8ClampedArray(32), width: 2, height: 2 },
      /^images\[1\]: .*2 x 2 pixels has 32 bytes/,
    ],
    ['half a pixel', { data: new Uint8ClampedArray(6), width: 1.5, height: 1 }, /^images\[1\]: /],
    ['no pixels', { data: new Uint8ClampedArray(0), width: 0, height: 0 }, /^images\[1\]: /],
    ['a size that is no number', { data: new Uint8ClampedArray(16), width: '2', height: NaN }, /^images\[1\]: /],
  ]) {
    test(`${what}: INVALID_INPUT that names it, and the next call works`, async () => {
      const error = await embedder.embedImages([good(), bytes, good()]).then(
        () => assert.fail('it was embedded'),
        (thrown) => thrown,
      );
      assert.ok(error instanceof PilotlightError, String(error));
      assert.equal(error.code, 'INVALID_INPUT', error.message);
      assert.match(error.message, message);
      assert.equal(error.message, error.message.trim());
      await assert.rejects(embedder.classify(bytes, ['a']), { code: 'INVALID_INPUT', message: /^image: / });
      assert.deepEqual((await embedder.embedImages(good())).dims, [1, 24]);
    });
  }

  for (const [what, source, message, cause] of [
    ['a file that is not there', () => `${server.url}/nothing.png`, /^images\[0\]: the server answered 404/, false],
    ['a server in trouble', () => `${server.url}/broken`, /^images\[0\]: the server answered 500/, false],
    ['nobody at home', () => 'http://127.0.0.1:9/x.png', /^images\[0\]: /, true],
    ['a connection that breaks', () => `${server.url}/cut`, /^images\[0\]: /, true],
    ['a caption in place of an image', () => 'a photo of a dog', /^images\[0\]: /, true],
    ['a broken URL', () => 'http://', /^images\[0\]: /, true],
    ['a scheme that nobody knows', () => new URL('pilotlight://x'), /^images\[0\]: /, true],
    ['an empty text', () => '', /^images\[0\]: /, true],
  ]) {
    test(`by URL ${what}: FETCH_FAILED`, async () => {
      const error = await embedder.embedImages(source()).then(
        () => assert.fail('it was embedded'),
        (thrown) => thrown,
      );
      assert.ok(error instanceof PilotlightError, String(error));
      assert.equal(error.code, 'FETCH_FAILED', error.message);
      assert.match(error.message, message);
      assert.equal(error.cause !== undefined, cause);
    });
  }

  test('by URL a web page: INVALID_INPUT', () =>
    assert.rejects(
      embedder.embedImages(`${server.url}/page`),
      refusal('INVALID_INPUT', /^images\[0\]: .*no known format/),
    ));

  test('a Blob whose file has gone: INVALID_INPUT', async () => {
    const blob = new Blob([good()]);
    blob.arrayBuffer = () => Promise.reject(new DOMException('gone', 'NotReadableError'));
    await assert.rejects(embedder.embedImages(blob), refusal('INVALID_INPUT', /^images\[0\]: the file cannot be read/));
  });

  test('the decoder of a browser, where there is none: BACKEND_UNAVAILABLE', () =>
    assert.rejects(
      embedder.embedImages([good()], { decoder: 'browser' }),
      refusal('BACKEND_UNAVAILABLE', /^images\[0\]: /),
    ));
});

describe("one bad image of many, with onError: 'report'", () => {
  const good = () => bytesOf('plain.png');
  const short = { width: 3, height: 2, data: new Uint8ClampedArray(16) };

  test('leaves the others their vectors, and each error names its image', async () => {
    const images = [good(), new Uint8Array(9), bytesOf('grey.png'), 7, `${server.url}/broken`, good(), short];
    const seen = [];
    const onProgress = ({ loaded, total }) => seen.push(`${loaded}/${total}`);
    const { data, dims, indices, errors } = await embedder.embedImages(images, { onError: 'report', onProgress });
    assert.deepEqual(indices, [0, 2, 5]);
    const expected = await embedder.embedImages([images[0], images[2], images[5]]);
    assert.deepEqual({ data, dims }, expected);
    assert.deepEqual(
      errors.map(({ index, error }) => [index, error instanceof PilotlightError, error.code]),
      [
        [1, true, 'INVALID_INPUT'],
        [3, true, 'INVALID_INPUT'],
        [4, true, 'FETCH_FAILED'],
        [6, true, 'INVALID_INPUT'],
      ],
    );
    for (const { index, error } of errors) assert.ok(error.message.startsWith(`images[${index}]: `), error.message);
    assert.equal(errors[2].error.status, 500);
    assert.deepEqual(seen, ['1/7', '2/7', '3/7', '4/7', '5/7', '6/7', '7/7']);
  });

  test('gives rows of fewer values and of bits, no rows where all are bad, and no errors where none is', async () => {
    const bits = await embedder.embedImages([7, good()], { onError: 'report', precision: 'binary', dimensions: 8 });
    assert.deepEqual([bits.dims, bits.data.length], [[1, 1], 1]);
    const none = await embedder.embedImages([7, null], { onError: 'report' });
    assert.deepEqual([none.dims, none.data.length, none.indices], [[0, embedder.dimensions], 0, []]);
    assert.deepEqual((await embedder.embedImages(good(), { onError: 'report' })).errors, []);
  });

  test('throws what is not about one image', async () => {
    const call = (options) => embedder.embedImages([good(), 7], { onError: 'report', ...options });
    await assert.rejects(call({ onError: 'skip' }), refusal('INVALID_INPUT', /^onError: .*'skip'/));
    await assert.rejects(call({ dimensions: 9999 }), refusal('INVALID_INPUT', /^dimensions/));
    await assert.rejects(call({ signal: AbortSignal.abort() }), { code: 'ABORTED' });
    const aborter = new AbortController();
    const onProgress = () => aborter.abort();
    await assert.rejects(call({ signal: aborter.signal, onProgress }), { code: 'ABORTED' });
  });

  test('without it the first bad image ends the call', () =>
    assert.rejects(
      embedder.embedImages([good(), 7, good()]),
      refusal('INVALID_INPUT', /^images\[1\]: expected a Blob/),
    ));
});

describe('a file that is damaged', () => {
  // GIF and WebP may end after the first frame, and an end that says nothing may lack.
  for (const [file, whole] of [
    ['plain.png', 0.95],
    ['interlaced.png', 0.95],
    ['plain.gif', 0.95],
    ['animated.gif', 0.45],
    ['lossy.webp', 0.95],
    ['lossless.webp', 0.95],
    ['animated.webp', 0.45],
    ['plain.jpg', 0.95],
    ['progressive.jpg', 0.95],
    ['cmyk.jpg', 0.95],
    ['exif-6.jpg', 0.95],
  ]) {
    test(`${file} cut off anywhere is INVALID_INPUT, not an image that is half grey`, async () => {
      const bytes = bytesOf(file);
      const taken = [];
      for (let length = 1; length < bytes.length * whole; length += 7) {
        const error = await embedder.embedImages(bytes.subarray(0, length)).then(
          () => undefined,
          (thrown) => thrown,
        );
        if (error) assert.equal(error.code, 'INVALID_INPUT', error.message);
        else taken.push(length);
      }
      assert.deepEqual(taken, [], `of ${bytes.length} bytes`);
    });
  }

  test('in any one byte gives an image or a typed error, and traps never', { timeout: 240_000 }, async (t) => {
    const counts = {};
    for (const file of [
      'alpha.png',
      'exif-6.png',
      'palette-transparent.png',
      'plain.gif',
      'lossy.webp',
      'lossless-alpha.webp',
      'exif-6.webp',
      'animated.webp',
      'cmyk.jpg',
      'exif-6.jpg',
    ]) {
      const bytes = bytesOf(file);
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0, 0x7f, 0xff]) {
          const damaged = bytes.slice();
          damaged[at] = value;
          const code = await embedder.embedImages(damaged).then(
            () => 'an image',
            (error) => error.code,
          );
          counts[code] = (counts[code] ?? 0) + 1;
          assert.ok(
            ['an image', 'INVALID_INPUT', 'RESOURCE_LIMIT'].includes(code),
            `${file}, byte ${at} is ${value}: ${code}`,
          );
        }
      }
    }
    t.diagnostic(JSON.stringify(counts));
  });
});

// Linear memory never shrinks, so each has a process of its own.
describe('an image that says it is huge', () => {
  async function memoryOf(bytes) {
    const script = `
      import { readFileSync } from 'node:fs';
      import { ImageTextEmbedder, diagnose } from 'pilotlight';
      import { filesOf, tinyFolder } from './tests/package/support/models.mjs';
      const embedder = await ImageTextEmbedder.load('test/clip-tiny', { files: filesOf(tinyFolder('clip-tiny')), dtype: 'f32', towers: ['image'] });
      await embedder.embedImages(readFileSync('tests/goldens/resize/24x24.png'));
      const before = (await diagnose()).cpuCore.memoryBytes;
      const bytes = Buffer.from(readFileSync(0, 'utf8'), 'base64');
      const error = await embedder.embedImages([bytes]).then(() => ({ code: 'an image', message: '' }), ({ code, message }) => ({ code, message }));
      console.log(JSON.stringify({ ...error, grown: (await diagnose()).cpuCore.memoryBytes - before }));`;
    const running = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { cwd: ROOT });
    running.child.stdin.end(Buffer.from(bytes).toString('base64'));
    return JSON.parse((await running).stdout);
  }

  const MB = 1e6;
  const profile = (size) => ({ iCCP: Buffer.concat([Buffer.from('x\0\0'), zeros(size)]) });
  const claim = (size) => {
    const bytes = bytesOf('exif-6.webp');
    new DataView(bytes.buffer).setUint32(Buffer.from(bytes).indexOf('EXIF') + 4, size, true);
    return bytes;
  };

  for (const [what, bytes, code, most] of [
    ['a PNG of 50,000 x 50,000 pixels', png({ width: 50_000, height: 50_000 }), 'RESOURCE_LIMIT', 2],
    ['a PNG of 2^31 x 2^31 pixels', png({ width: 2 ** 31 - 1, height: 2 ** 31 - 1 }), 'RESOURCE_LIMIT', 2],
    [
      'a PNG of 8,000 x 8,000 pixels, all of which are there',
      png({ width: 8000, height: 8000, idat: zeros(8000 * 24_001) }),
      'RESOURCE_LIMIT',
      2,
    ],
    ['a GIF of 65,535 x 65,535 pixels', gif(65_535, 65_535), 'RESOURCE_LIMIT', 2],
    ['a JPEG of 65,535 x 65,535 pixels', jpegOfSize(bytesOf('plain.jpg'), 65_535, 65_535), 'RESOURCE_LIMIT', 2],
    ['a WebP of 16,383 x 16,383 pixels', webpOfSize(16_383, 16_383), 'RESOURCE_LIMIT', 2],
    ['a PNG whose rows go on for 200 MB', png({ width: 4, height: 4, idat: zeros(200 * MB) }), 'an image', 2],
    [
      'a PNG with a comment of 200 MB',
      png({
        width: 4,
        height: 4,
        idat: zeros(52),
        chunks: { zTXt: Buffer.concat([Buffer.from('x\0\0'), zeros(200 * MB)]) },
      }),
      'an image',
      2,
    ],
    [
      'a PNG with a colour profile of 200 MB',
      png({ width: 4, height: 4, idat: zeros(52), chunks: profile(200 * MB) }),
      'an image',
      80,
    ],
    ['a WebP whose EXIF data say they take 1 GB', claim(1 << 30), 'an image', 2],
    ['a WebP whose EXIF data say they take 4 GB', claim(0xffff_fff0), 'an image', 2],
  ]) {
    test(`${what}: ${code === 'an image' ? 'what it holds' : code}, before memory grows`, async (t) => {
      const found = await memoryOf(bytes);
      t.diagnostic(`${bytes.length} bytes; ${found.code}; memory grew by ${(found.grown / MB).toFixed(1)} MB`);
      // Damaged it is all the same.
      if (code === 'an image')
        assert.ok(['an image', 'INVALID_INPUT'].includes(found.code), `${found.code}: ${found.message}`);
      else assert.equal(found.code, code, found.message);
      if (code === 'RESOURCE_LIMIT') assert.match(found.message, /^images\[0\]: the image .*expected 50000000 /);
      assert.ok(found.grown <= most * MB, `memory grew by ${found.grown} bytes`);
    });
  }

  test('and one of 49 million pixels is embedded', { timeout: 60_000 }, async (t) => {
    const { code, message, grown } = await memoryOf(png({ width: 7000, height: 7000, idat: zeros(7000 * 21_001) }));
    assert.equal(code, 'an image', message);
    t.diagnostic(`memory grew by ${(grown / MB).toFixed(1)} MB`);
    // Three bytes for each pixel, twice while they are handed over, and what the allocator keeps between.
    assert.ok(grown <= 400 * MB, `${grown} bytes`);
  });
});

// A movie in a folder of images: it is refused before its bytes go anywhere.
test('files and pixels of absurd sizes are RESOURCE_LIMIT, and the next call works', async () => {
  const pixels = { data: new Uint8ClampedArray(4), width: 10_000, height: 10_000 };
  for (const [what, source] of [
    ['bytes', new Uint8Array(2 ** 28 + 1)],
    ['a Blob', new Blob([new Uint8Array(2 ** 28 + 1)])],
    ['pixels', pixels],
  ]) {
    await assert.rejects(
      embedder.embedImages([source]),
      refusal('RESOURCE_LIMIT', /^images\[0\]: .*expected \d+ /),
      what,
    );
  }
  assert.deepEqual((await embedder.embedImages(imageFile('5x7.png'))).dims, [1, 24]);
});
