// A server that renders components with the hooks of `pilotlight/react`. It prints the result, and the globals that were used, and runs in a folder
// that has React.
import { createElement as h, StrictMode, Suspense, version } from 'react';
import { renderToString } from 'react-dom/server';

const touched = [];
const watch = (owner, name) => {
  const own = owner[name];
  owner[name] = (...given) => {
    touched.push(name);
    return own(...given);
  };
};
watch(globalThis, 'fetch');
for (const name of ['compile', 'instantiate', 'validate']) watch(WebAssembly, name);
watch(globalThis, 'setTimeout');
const names = Reflect.ownKeys(globalThis);

const hooks = await import('pilotlight/react');
const imported = [...touched];

function All() {
  const { status, embedder, progress, error } = hooks.useTextEmbedder('test/model');
  const others = [
    hooks.useTextEmbedder(null),
    hooks.useImageTextEmbedder('test/clip'),
    hooks.useDigitGenerator(),
    hooks.useVectorIndex('notes', null),
    hooks.useSearch(embedder, undefined, 'a cat'),
    hooks.useSearch(embedder, undefined, ''),
  ];
  const nothing = embedder === undefined && progress === undefined && error === undefined;
  return h('p', null, [status, nothing, ...others.map(({ status }) => status)].join(' '));
}
const html = renderToString(h(StrictMode, null, h(All)));

function Suspended() {
  return h('p', null, hooks.useTextEmbedder('test/model', { suspense: true }).embedder.dimensions);
}
const suspended = renderToString(h(Suspense, { fallback: h('p', null, 'wait') }, h(Suspended)));

const rendered = touched.filter((name) => name !== 'setTimeout');
const added = Reflect.ownKeys(globalThis).filter((name) => !names.includes(name));
console.log(JSON.stringify({ version, html, suspended, imported, rendered, added: added.map(String) }));
