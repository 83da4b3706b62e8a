/** The build puts the crate's version here. */
declare const __PILOTLIGHT_VERSION__: string;

/** The version of the package. */
export const version = __PILOTLIGHT_VERSION__;
