/** Of the package; the build writes it from Cargo.toml. */
export const version = '__PILOTLIGHT_VERSION__';
