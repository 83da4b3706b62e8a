/** The description of the API: current, complete, and the same for people. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCurrent } from '../scripts/openapi.ts';
import { createGateway } from '../src/app.ts';
import { operations } from '../src/operations.ts';
import type { Document } from '../src/routes/openapi.ts';
import { call, keyFor } from './support/app.ts';
import { testHost } from './support/host.ts';

test('the file is what the operations are', () => {
  assert.ok(isCurrent(), 'src/http/openapi.json is not current: run `node scripts/openapi.ts`');
});

test('every operation is described, with its fields, its scope and its errors', async () => {
  await using host = await testHost();
  const app = createGateway(host);
  const key = await keyFor(host);
  const response = await call(app, 'GET', '/openapi.json', { key });
  assert.equal(response.status, 200);
  const document: Document = await response.json();
  const ids = new Set<string>();
  const shape = (path: string) => path.replace(/\{\w+\+?\}/g, '{}');
  const paths = new Map(Object.entries(document.paths).map(([path, methods]) => [shape(path), { path, methods }]));
  for (const { method, path, body, scope, raw } of operations) {
    const what = `${method} ${path}`;
    const { methods, path: shown } = paths.get(shape(path)) ?? {};
    const described = methods?.[method.toLowerCase()];
    assert.ok(described, what);
    ids.add((described as unknown as { operationId: string }).operationId);
    assert.ok(described.summary.length > 10 && described.summary.endsWith('.'), what);
    assert.equal(described['x-scope'], scope === 'public' || scope === 'any' ? undefined : scope, what);
    assert.deepEqual(described.security, scope === 'public' ? [] : undefined, what);
    assert.ok(described.responses.default, what);
    const types = Object.keys(described.requestBody?.content ?? {});
    assert.deepEqual(types, [...(body ? ['application/json'] : []), ...(raw ?? [])], what);
    const names = [...(shown ?? '').matchAll(/\{(\w+)/g)].map(([, name]) => name);
    const told = described.parameters?.filter((one) => one.in === 'path').map(({ name }) => name) ?? [];
    assert.deepEqual(told, names, what);
  }
  assert.equal(ids.size, operations.length, 'each has an id of its own');
  const { schema } = document.paths['/v1/embeddings']?.post?.requestBody?.content['application/json'] ?? {};
  assert.deepEqual(schema?.properties?.model, { type: 'string', enum: ['stub'] }, 'the models that there are');
  // All references lead somewhere.
  for (const [, kind, name] of JSON.stringify(document).matchAll(/#\/components\/(\w+)\/(\w+)/g)) {
    const components = document.components as unknown as Record<string, Record<string, unknown>>;
    assert.ok(components[kind as string]?.[name as string], `${kind}/${name}`);
  }
});

test('the page of docs has each operation, runs nothing, loads nothing and has a heading for each part', async () => {
  await using host = await testHost({ settings: { PUBLIC: 'docs' } });
  const app = createGateway(host);
  const response = await call(app, 'GET', '/docs');
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8');
  const page = await response.text();
  for (const { path } of operations) assert.ok(page.includes(path.split('{')[0] as string), path);
  assert.ok(!/<script|<iframe|<object|\son\w+=|javascript:/i.test(page));
  const links = [...page.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, link]) => link as string);
  for (const link of links) {
    assert.ok(link.startsWith('#') || ['/openapi.json', 'data:,'].includes(link), link);
    if (link.startsWith('#')) assert.ok(page.includes(`id="${link.slice(1)}"`), link);
  }
  const [, style] = /<style>([\s\S]*?)<\/style>/.exec(page) ?? [];
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style));
  const policy = response.headers.get('content-security-policy') ?? '';
  assert.ok(policy.includes(`style-src 'sha256-${Buffer.from(digest).toString('base64')}'`), policy);
  assert.match(policy, /^default-src 'none';/);
  assert.match(page, /<html lang="en">/);
  assert.equal([...page.matchAll(/<h1>/g)].length, 1);
  assert.equal([...page.matchAll(/<article /g)].length, operations.length);
});
