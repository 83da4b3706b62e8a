// Bundled into the page of the tests of `pilotlight/react`, which write their components there.
import * as pilotlight from 'pilotlight';
import * as hooks from 'pilotlight/react';
import React from 'react';
import { createRoot, hydrateRoot } from 'react-dom/client';

const { load } = pilotlight.TextEmbedder;

globalThis.lib = {
  ...pilotlight,
  ...hooks,
  React,
  h: React.createElement,
  hydrateRoot,
  /** The loads of sentence encoders, with the outcome of each. */
  loads: [],
  /** A root in an element of its own. */
  root() {
    const element = document.body.appendChild(document.createElement('div'));
    return { element, ...bound(createRoot(element)) };
  },
  async until(what, condition) {
    for (let i = 0; i < 1000; i += 1) {
      const value = await condition();
      if (value) return value;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`it never was so that ${what}`);
  },
  wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

function bound(root) {
  return { render: (element) => root.render(element), unmount: () => root.unmount() };
}

pilotlight.TextEmbedder.load = (model, options) => {
  const one = { model, came: 'nothing yet' };
  globalThis.lib.loads.push(one);
  const loading = load(model, options);
  loading.then(
    (embedder) => Object.assign(one, { came: 'embedder', embedder }),
    ({ code }) => Object.assign(one, { came: code }),
  );
  return loading;
};
