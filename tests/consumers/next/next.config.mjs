// Next looks for the folder of the lock file, which is not that of this page. package.json has no `type: module`, with which Next 16.4 builds no edge
// route by webpack.
export default { turbopack: { root: import.meta.dirname }, outputFileTracingRoot: import.meta.dirname };
