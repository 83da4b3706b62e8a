/**
 * Draws 10,000 digits with the package, in the order of the test set's labels: `node training/digits/draw.mjs MNIST_DIR OUT_FILE`.
 * The file holds 784 grey values for each.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DigitGenerator } from 'pilotlight';

const [mnist, out] = process.argv.slice(2);
const SEED = 1;
const HEADER = 8;
/** Pictures at a time, so that progress is seen; each part has a seed of its own. */
const AT_ONCE = 250;

const plain = path.join(mnist, 't10k-labels-idx1-ubyte');
const bytes = existsSync(plain) ? readFileSync(plain) : gunzipSync(readFileSync(`${plain}.gz`));
const labels = [...bytes.subarray(HEADER)];

const generator = await DigitGenerator.load({ device: 'cpu' });
const drawn = new Uint8Array(labels.length * 28 * 28);
for (let first = 0; first < labels.length; first += AT_ONCE) {
  const { data } = await generator.generate({ digits: labels.slice(first, first + AT_ONCE), seed: SEED + first });
  drawn.set(data, first * 28 * 28);
  process.stdout.write(`\rdrawn: ${first + AT_ONCE} of ${labels.length}`);
}
process.stdout.write('\n');
writeFileSync(out, drawn);
