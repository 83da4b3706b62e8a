// What runs in each contestant's page: load it, and time a case.
let contestant;
const cases = {};

window.bench = {
  async load(name, options) {
    contestant = await (await import(`/contestants/${name}.js`)).load(options);
  },
  keep(name, input) {
    cases[name] = input;
  },
  /** Milliseconds of one call, over `repeats` calls. A case is a list of inputs that are run one after the other. */
  async time(method, name, repeats) {
    const start = performance.now();
    for (let i = 0; i < repeats; i += 1) for (const input of cases[name]) await contestant[method](input);
    return (performance.now() - start) / repeats;
  },
  memory: () => contestant.memory(),
};
