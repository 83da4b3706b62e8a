/** The crate's version; the build replaces this name by it. */
declare const __PILOTLIGHT_VERSION__: string;

/** The version of the package. */
export const version = __PILOTLIGHT_VERSION__;
