// The script of each contestant's page: it loads the contestant, times a case, and returns its memory.
let contestant;
const cases = {};

window.bench = {
  /** Milliseconds that the last load took. */
  loaded: undefined,
  /** Milliseconds from opening the page to the first embedding. */
  async start(name, options, text) {
    await this.load(name, options);
    await contestant.embed({ texts: [text] });
    return performance.now();
  },
  /** Milliseconds until the contestant is ready. */
  async load(name, options) {
    const start = performance.now();
    contestant = await (await import(`/contestants/${name}.js`)).load(options);
    this.loaded = performance.now() - start;
    return this.loaded;
  },
  /** The result of one call. */
  call(method, input) {
    return contestant[method](input);
  },
  keep(name, inputs) {
    cases[name] = inputs;
  },
  /** Milliseconds of one run of a case, over `repeats` runs. A case is a list of inputs that are taken one after the other. */
  async time(method, name, repeats) {
    const start = performance.now();
    for (let i = 0; i < repeats; i += 1) for (const input of cases[name]) await contestant[method](input);
    return (performance.now() - start) / repeats;
  },
  /** Describes in words what the contestant computes with. */
  backend: () => contestant.backend(),
  /** The bytes of the linear memory, if the contestant exposes it, and of the whole page. */
  async memory() {
    const page = await performance.measureUserAgentSpecificMemory();
    return { linear: await contestant.linearMemory?.(), page: page.bytes };
  },
};

// Asked for in the address, so that nothing but the page itself is waited for.
const asked = location.hash && JSON.parse(decodeURIComponent(location.hash.slice(1)));
if (asked) window.started = window.bench.start(asked.module, asked.options, asked.text);
