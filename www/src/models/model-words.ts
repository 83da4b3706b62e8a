import type { StoredModel, Verified } from 'pilotlight';

/** A sentence for each level at which a model was verified when it was fetched. */
export const CHECKED: Record<Verified, string> = {
  sha256: 'Checked when it was fetched: the SHA-256 digests of its files are those that the host lists.',
  lock: 'Checked when it was fetched: the digests of its tensors are those of the repository’s lock file.',
  length: 'Only its length was checked when it was fetched: the host gives no digests.',
};

/** Names a stored part: one of the towers of CLIP, or the first layers of an encoder. */
export function partWords(part: NonNullable<StoredModel['part']>): string {
  if (part === 'text') return 'reads text';
  return part === 'image' ? 'sees images' : `has ${part.replace('layers', '')} of its layers`;
}

/** The revision that a model was fetched from: its branch, and the first characters of the commit that the branch stood for. */
export function versionWords({ revision, commit }: StoredModel): string {
  const short = commit.replace(/^content-/, '').slice(0, 7);
  return revision === commit || !short ? revision.slice(0, 12) : `${revision} at ${short}`;
}

/** Splits a model’s name into `owner/` and `name`. */
export function nameParts(model: string): [string, string] {
  const cut = model.lastIndexOf('/') + 1;
  return [model.slice(0, cut), model.slice(cut)];
}
