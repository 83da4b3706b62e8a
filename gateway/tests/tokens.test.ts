/** Tokens of an identity provider beside keys. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { createGateway } from '../src/app.ts';
import { call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { testHost } from './support/host.ts';

/** An identity provider: a server with the public key of its tokens. */
async function provider() {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  let asked = 0;
  let status = 200;
  const server = createServer((_, response) => {
    asked += 1;
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  const sign = (claims: JWTPayload, { kid = 'one', key = privateKey, ends = true } = {}) => {
    const token = new SignJWT({ sub: 'anna', scope: 'embed', aud: 'gateway', iss: 'https://idp.test/', ...claims });
    if (ends) token.setExpirationTime((claims.exp as number) ?? '5m');
    return token.setProtectedHeader({ alg: 'ES256', kid }).sign(key);
  };
  return {
    url,
    jwk,
    sign,
    asked: () => asked,
    fail(code: number) {
      status = code;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('tokens of the provider are taken for what they say, and the provider is asked for its keys once', async () => {
  await using idp = await provider();
  await using host = await testHost({
    settings: { AUTH_JWKS: idp.url, AUTH_AUDIENCE: 'gateway', AUTH_ISSUER: 'https://idp.test/' },
  });
  const app = createGateway(host, [echo]);
  const json = { model: 'stub', input: 'hello' };
  const status = async (key: string) => (await call(app, 'POST', '/v1/echo', { key, json })).status;
  const good = await idp.sign({});
  for (let at = 0; at < 20; at += 1) assert.equal(await status(good), 200);
  assert.equal(idp.asked(), 1);
  assert.equal(await status(await idp.sign({ scope: 'openid search' })), 403);
  assert.equal(await status(await idp.sign({ scope: 'embed', models: ['another'] })), 403);
  const limited = await idp.sign({ sub: 'ben', limits: { rpm: 2 } });
  // Another token of the same subject takes of the same limit.
  const statuses = [await status(limited), await status(await idp.sign({ sub: 'ben', limits: { rpm: 2 }, jti: 'b' }))];
  assert.deepEqual([...statuses, await status(limited)], [200, 200, 429]);
  // Keys are taken as before.
  assert.equal(await status(await keyFor(host)), 200);
  assert.equal(host.events.list[0]?.owner, 'jwt:anna');
});

test('tokens that are expired, altered, for others, by others or without a signature are refused like a wrong key', async () => {
  await using idp = await provider();
  await using host = await testHost({
    settings: { AUTH_JWKS: idp.url, AUTH_AUDIENCE: 'gateway', AUTH_ISSUER: 'https://idp.test/' },
  });
  const app = createGateway(host, [echo]);
  const good = await idp.sign({});
  const [head, body, signature] = good.split('.') as [string, string, string];
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
  const stranger = await generateKeyPair('ES256');
  // With the public key as a shared secret: a checker that lets the token choose the algorithm takes it.
  const shared = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', kid: 'one' })
    .sign(new TextEncoder().encode(JSON.stringify(idp.jwk)));
  const refused = {
    expired: await idp.sign({ exp: Math.floor(Date.now() / 1000) - 60 }),
    'another audience': await idp.sign({ aud: 'another' }),
    'another issuer': await idp.sign({ iss: 'https://evil.test/' }),
    'no subject': await idp.sign({ sub: '' }),
    altered: `${head}.${base64url({ ...claims, scope: 'admin' })}.${signature}`,
    'by a stranger': await idp.sign({}, { key: stranger.privateKey }),
    'with an unknown key': await idp.sign({}, { kid: 'two', key: stranger.privateKey }),
    'without an end': await idp.sign({}, { ends: false }),
    'without a signature': `${base64url({ alg: 'none' })}.${body}.`,
    'with an algorithm of shared secrets': shared,
    'no token': 'a.b.c',
  };
  const bodies = new Set<string>();
  let address = 0;
  for (const [name, key] of Object.entries(refused)) {
    address += 1;
    const response = await call(app, 'POST', '/v1/echo', {
      key,
      json: { model: 'stub', input: 'hello' },
      headers: { 'x-test-address': `t${address}` },
    });
    assert.equal(response.status, 401, name);
    bodies.add(await response.text());
  }
  assert.equal(bodies.size, 1);
});

test('a provider that does not answer is said to, and does not make a token wrong', async () => {
  await using idp = await provider();
  await using host = await testHost({ settings: { AUTH_JWKS: idp.url, AUTH_AUDIENCE: 'gateway' } });
  const app = createGateway(host, [echo]);
  const key = await idp.sign({});
  const json = { model: 'stub', input: 'hello' };
  idp.fail(500);
  const response = await call(app, 'POST', '/v1/echo', { key, json });
  assert.deepEqual([response.status, (await response.json()).error.code], [503, 'not_ready']);
  assert.equal(response.headers.get('retry-after'), '5');
  idp.fail(200);
  assert.equal((await call(app, 'POST', '/v1/echo', { key, json })).status, 200);
});
