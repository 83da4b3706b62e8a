/** Statements on the table of heads: classifiers and detectors that were fitted to a model. */
import type { Row, Sql, Statement } from '../host.ts';

export interface HeadRow {
  name: string;
  task: 'classify' | 'route' | 'detect';
  /** The model of `models.jsonc` that the head is put on. */
  model: string;
  /** For `/analyze`: the layer, and the kind of classifier, that requests name. */
  layer: number | null;
  classifier: string | null;
  /** SHA-256 of its JSON. */
  digest: string;
  createdAt: number;
}

function read(row: Row): HeadRow {
  return {
    name: String(row.name),
    task: String(row.task) as HeadRow['task'],
    model: String(row.model),
    layer: row.layer === null || row.layer === undefined ? null : Number(row.layer),
    classifier: row.classifier === null || row.classifier === undefined ? null : String(row.classifier),
    digest: String(row.digest),
    createdAt: Number(row.created_at),
  };
}

export async function listHeads(sql: Sql): Promise<HeadRow[]> {
  return (await sql.all('SELECT * FROM heads ORDER BY name')).map(read);
}

/** Writes a head, in place of one of the same name. */
export const putHead = (head: HeadRow): Statement => [
  'INSERT INTO heads (name, task, model, layer, classifier, digest, created_at) VALUES (?, ?, ?, ?, ?, ?, ?) ' +
    'ON CONFLICT (name) DO UPDATE SET task = excluded.task, model = excluded.model, layer = excluded.layer, ' +
    'classifier = excluded.classifier, digest = excluded.digest, created_at = excluded.created_at',
  [head.name, head.task, head.model, head.layer, head.classifier, head.digest, head.createdAt],
];

/** Deletes a head, and gives it back; `undefined` where there is none. */
export async function deleteHead(sql: Sql, name: string): Promise<HeadRow | undefined> {
  const [row] = await sql.all('DELETE FROM heads WHERE name = ? RETURNING *', [name]);
  return row && read(row);
}
