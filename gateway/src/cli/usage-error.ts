/** A command that was typed wrong. */
export class UsageError extends Error {}
