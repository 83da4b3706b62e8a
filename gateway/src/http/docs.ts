/** The page of docs: one file without scripts, fonts or pictures of elsewhere, made from the OpenAPI document. */
import type { Document, DocumentOperation, DocumentSchema } from '../routes/openapi.ts';

export const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d9dce3, #333842); --soft: light-dark(#f4f5f8, #1d2027);
  --ink: light-dark(#1b1e25, #e6e8ee); --quiet: light-dark(#5a6170, #9aa2b1); --accent: light-dark(#0b57d0, #8ab4f8); }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: light-dark(#fff, #14161b); }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--soft); }
.page { display: grid; grid-template-columns: 16rem minmax(0, 1fr); max-width: 76rem; margin: 0 auto; }
nav { padding: 2rem 1rem; border-right: 1px solid var(--line); position: sticky; top: 0; max-height: 100vh; overflow: auto; }
nav h2 { font-size: .8rem; margin: 1.2rem 0 .3rem; color: var(--quiet); font-weight: 600; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .15rem 0; font: .82rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
main { padding: 2rem; min-width: 0; }
a { color: var(--accent); text-underline-offset: .15em; }
nav a { text-decoration: none; color: inherit; }
nav a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
h1 { margin: 0 0 .3rem; font-size: 1.7rem; line-height: 1.2; }
main > h2 { margin: 2.5rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); font-size: 1.2rem; }
article { margin: 0 0 1rem; border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1.1rem; }
article h3 { margin: 0; font: 600 1rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
article h3 b { display: inline-block; min-width: 4.2rem; color: var(--accent); }
article p { margin: .35rem 0; }
.quiet { color: var(--quiet); font-size: .88rem; }
summary { cursor: pointer; padding: .2rem 0; font-size: .92rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: left; font-weight: 600; color: var(--quiet); }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td:first-child, td:last-child { white-space: nowrap; overflow-wrap: normal; }
code, pre { font: .86rem/1.5 ui-monospace, monospace; }
pre { background: var(--soft); border-radius: 6px; padding: .7rem .9rem; overflow: auto; margin: .4rem 0; }
@media (max-width: 46rem) { .page { display: block; } nav { position: static; max-height: none; border-right: 0;
  border-bottom: 1px solid var(--line); padding: 1rem; } main { padding: 1rem; } }
`;

const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter] as string);

/** The type and the bounds of a value, in few words. */
function words(schema: DocumentSchema): string {
  if (schema.$ref) return schema.$ref.replace(/^.*\//, '');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' or ');
  if (schema.anyOf) return [...new Set(schema.anyOf.map(words))].join(' or ');
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : (schema.type ?? 'any value');
  if (type === 'array') {
    const items = words(schema.items ?? {}).replace(/^(string|number|integer|object|boolean|list)\b/, '$1s');
    return `list of ${items}${range(schema.minItems, schema.maxItems, ' ')}`;
  }
  if (type === 'string') return `string${range(schema.minLength, schema.maxLength, ' ', ' characters')}`;
  return `${type}${range(schema.minimum, schema.maximum, ' ')}`;
}

function range(least: number | undefined, most: number | undefined, before: string, after = ''): string {
  if (least === undefined && most === undefined) return '';
  const [from, to] = [least, most].map((one) => one?.toLocaleString('en'));
  if (least === undefined) return `${before}up to ${to}${after}`;
  return `${before}(${most === undefined ? `at least ${from}` : `${from} to ${to}`}${after})`;
}

/** An example of a value. */
function example(schema: DocumentSchema, name = ''): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf.find(({ type }) => type !== 'null') ?? {}, name);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === 'object') {
    return Object.fromEntries(
      (schema.required ?? []).map((field) => [field, example(schema.properties?.[field] ?? {}, field)]),
    );
  }
  if (type === 'array') return [example(schema.items ?? {}, name)];
  if (type === 'string') return name === 'model' ? 'model' : 'text';
  if (type === 'boolean') return true;
  return type === 'number' || type === 'integer' ? (schema.minimum ?? 1) : null;
}

function table(
  rows: [name: string, schema: DocumentSchema, required: boolean, where: string][],
  [always, sometimes]: readonly [string, string],
): string {
  const body = rows
    .map(
      ([name, schema, required, where]) =>
        `<tr><td><code>${escaped(name)}</code></td><td>${escaped(words(schema))}</td><td>${where}${required ? always : sometimes}</td></tr>`,
    )
    .join('');
  return `<table><thead><tr><th scope="col">Field</th><th scope="col">Value</th><th scope="col"></th></tr></thead><tbody>${body}</tbody></table>`;
}

const anchorOf = (method: string, path: string) => `${method}${path.replace(/[^\w]+/g, '-')}`;

function article(
  path: string,
  method: string,
  operation: DocumentOperation,
  shared: Record<string, DocumentSchema>,
): string {
  const { parameters = [], requestBody, responses } = operation;
  const key = operation.security
    ? 'Needs no key.'
    : operation['x-scope']
      ? `Needs a key with the scope <code>${escaped(operation['x-scope'])}</code>.`
      : 'Needs any key.';
  const json = requestBody?.content['application/json']?.schema;
  const raw = Object.keys(requestBody?.content ?? {}).filter((type) => type !== 'application/json');
  const rows = [
    ...parameters.map(
      (one) => [one.name, one.schema, one.required, `${one.in}, `] as [string, DocumentSchema, boolean, string],
    ),
    ...Object.entries(json?.properties ?? {}).map(
      ([name, schema]) =>
        [name, schema, json?.required?.includes(name) ?? false, ''] as [string, DocumentSchema, boolean, string],
    ),
  ];
  const command = [
    `curl${method === 'get' ? '' : ` -X ${method.toUpperCase()}`} "$GATEWAY${path}"`,
    ...(operation.security ? [] : [`-H "authorization: Bearer $KEY"`]),
    ...(json ? [`--json '${JSON.stringify(example(json))}'`] : []),
    ...(!json && raw.length > 0 ? [raw[0] === 'multipart/form-data' ? '-F file=@file' : '--data-binary @file'] : []),
  ].join(' \\\n  ');
  const [status, answer] = Object.entries(responses)[0] ?? [];
  const type = Object.keys(answer?.content ?? {})[0];
  const given = answer?.content?.['application/json']?.schema;
  const schema = given?.$ref ? shared[words(given)] : given;
  return `<article id="${anchorOf(method, path)}"><h3><b>${method.toUpperCase()}</b> ${escaped(path)}</h3>
<p>${escaped(operation.summary)}</p><p class="quiet">${key}${raw.length > 0 ? ` Also takes ${raw.map((one) => `<code>${escaped(one)}</code>`).join(', ')}.` : ''} Answers ${status}${type ? `, <code>${escaped(type)}</code>` : ''}.</p>
<details><summary>Request${rows.length > 0 ? ' and its fields' : ''}</summary><pre tabindex="0">${escaped(command)}</pre>${rows.length > 0 ? table(rows, ['required', 'optional']) : ''}</details>
${
  schema?.properties
    ? `<details><summary>Fields of the answer</summary>${table(
        Object.entries(schema.properties).map(([name, one]) => [
          name,
          one,
          schema.required?.includes(name) ?? false,
          '',
        ]),
        ['', 'not always'],
      )}</details>`
    : ''
}</article>`;
}

/** The page of a document. */
export function renderDocs(document: Document): string {
  const groups = new Map<string, [path: string, method: string, operation: DocumentOperation][]>();
  for (const { name } of document.tags) groups.set(name, []);
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods))
      groups.get(operation.tags[0] ?? '')?.push([path, method, operation]);
  }
  const sorted = [...groups].filter(([, list]) => list.length > 0);
  const nav = sorted
    .map(
      ([tag, list]) =>
        `<h2>${escaped(tag)}</h2><ul>${list.map(([path, method]) => `<li><a href="#${anchorOf(method, path)}">${method.toUpperCase()} ${escaped(path)}</a></li>`).join('')}</ul>`,
    )
    .join('');
  const main = sorted
    .map(
      ([tag, list]) =>
        `<h2>${escaped(tag)}</h2>${list.map(([...one]) => article(...one, document.components.schemas)).join('\n')}`,
    )
    .join('\n');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(document.info.title)}</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><a class="skip" href="#main">Skip to the operations</a><div class="page"><nav aria-label="Operations">${nav}</nav>
<main id="main"><h1>${escaped(document.info.title)}</h1><p>${escaped(document.info.description)}</p>
<p>Send a key as <code>authorization: Bearer pl_…</code> or <code>x-api-key: pl_…</code>. Errors have the form
<code>{"error": {"message", "type", "param", "code"}}</code>, and each answer has an <code>x-request-id</code>.
Programs read <a href="/openapi.json">openapi.json</a>.</p>
${main}</main></div></body></html>
`;
}
