// Next looks for the folder of the lock file, which is not that of this page.
export default { turbopack: { root: import.meta.dirname }, outputFileTracingRoot: import.meta.dirname };
