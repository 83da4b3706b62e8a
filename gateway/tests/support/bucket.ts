/** A simulator of S3, `moto_server` of PyPI. It is found in PATH, or by `PILOTLIGHT_MOTO`. */
import { createServer } from 'node:net';
import { AwsClient } from 'aws4fetch';
import type { S3Options } from '../../src/parts/s3.ts';
import { find, type Server, serve } from './server.ts';

const REGION = 'eu-central-1';
const KEYS = { accessKeyId: 'test', secretAccessKey: 'test' };

export interface BucketServer extends Server {
  address: string;
  newBucket(): Promise<S3Options>;
  /** How many uploads in parts are neither done nor given up. */
  uploads(options: S3Options): Promise<number>;
}

export async function startBucket(): Promise<BucketServer | undefined> {
  const program = process.env.PILOTLIGHT_MOTO ?? find('moto_server');
  if (!program) return undefined;
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const answers = () =>
    fetch(address).then(
      (response) => response.body?.cancel().then(() => true) ?? true,
      () => false,
    );
  const server = await serve([program, '-H', '127.0.0.1', '-p', String(port)], answers);
  const client = new AwsClient({ ...KEYS, region: REGION, service: 's3' });
  let buckets = 0;
  return {
    ...server,
    address,
    newBucket: async () => {
      const bucket = `${address}/bucket-${++buckets}`;
      const body = `<CreateBucketConfiguration><LocationConstraint>${REGION}</LocationConstraint></CreateBucketConfiguration>`;
      const made = await client.fetch(bucket, { method: 'PUT', body });
      if (!made.ok) throw new Error(`no bucket: ${made.status} ${await made.text()}`);
      return { bucket, region: REGION, ...KEYS };
    },
    uploads: async ({ bucket }) => {
      const text = await (await client.fetch(`${bucket}?uploads=`)).text();
      return text.split('<Upload>').length - 1;
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
