/** A simulator of S3, `moto_server` of PyPI. */
import { AwsClient } from 'aws4fetch';
import type { S3Options } from '../../src/parts/s3.ts';
import { pathOf } from './needs.ts';
import { freePort } from './process.ts';
import { type Server, serve } from './server.ts';

const REGION = 'eu-central-1';
const KEYS = { accessKeyId: 'test', secretAccessKey: 'test' };

export interface BucketServer extends Server {
  address: string;
  newBucket(): Promise<S3Options>;
  /** Puts an object, which is private, or read by everybody with the list `public-read`. */
  put(bucket: string, name: string, bytes: Uint8Array, acl?: string): Promise<void>;
  /** An address with a signature, by which an object may be read for a minute. */
  presign(address: string): Promise<string>;
  /** The number of uploads in parts that are neither done nor given up. */
  uploads(options: S3Options): Promise<number>;
}

export async function startBucket(): Promise<BucketServer> {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}`;
  const answers = () =>
    fetch(address).then(
      (response) => response.body?.cancel().then(() => true) ?? true,
      () => false,
    );
  const server = await serve([pathOf('moto'), '-H', '127.0.0.1', '-p', String(port)], answers);
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
    put: async (bucket, name, bytes, acl = 'private') => {
      const body = bytes as Uint8Array<ArrayBuffer>;
      const put = await client.fetch(`${bucket}/${name}`, { method: 'PUT', body, headers: { 'x-amz-acl': acl } });
      if (!put.ok) throw new Error(`not put: ${put.status} ${await put.text()}`);
    },
    presign: async (address) => {
      const signed = await client.sign(`${address}?X-Amz-Expires=60`, { aws: { signQuery: true } });
      return signed.url;
    },
    uploads: async ({ bucket }) => {
      const text = await (await client.fetch(`${bucket}?uploads=`)).text();
      return text.split('<Upload>').length - 1;
    },
  };
}
