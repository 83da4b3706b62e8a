import { type ClipboardEvent, type KeyboardEvent, useCallback, useEffect, useRef, useState } from 'react';
import { count } from '../page/format';
import { parseExamples } from './delimited';
import { ExampleRow } from './ExampleRow';
import { PasteBox } from './PasteBox';
import { type Change, placed, type Row, rowsOf, without } from './rows';

interface Props {
  rows: readonly Row[];
  onChange: (change: Change) => void;
}

/** The number of rows that are shown at first, and that are added each time: thousands of fields would make the page slow. */
const STEP = 120;

/** The field that is to have the focus next, by its row and name. */
interface Focus {
  row: number;
  field: string;
}

/**
 * A table of examples to type in. The Tab key stops at one row of it alone, so that what comes after a long table is near; the arrow
 * keys and Enter go from row to row.
 */
export function ExampleTable({ rows, onChange }: Props) {
  const [shown, setShown] = useState(STEP);
  const [stop, setStop] = useState(rows[0]?.id ?? 0);
  const [pasting, setPasting] = useState(false);
  const [came, setCame] = useState('');
  const focus = useRef<Focus | null>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const paste = useRef<HTMLButtonElement>(null);
  const visible = rows.slice(0, shown);
  const stopped = visible.some(({ id }) => id === stop) ? stop : visible[0]?.id;

  useEffect(() => {
    const { row, field } = focus.current ?? {};
    if (row === undefined) return;
    focus.current = null;
    body.current?.querySelector<HTMLElement>(`[data-row="${row}"] [data-field="${field}"]`)?.focus();
  });

  const insert = useCallback(
    (added: readonly Row[], after: number | undefined) => {
      onChange(placed(added, after));
      setShown((last) => last + Math.min(added.length, STEP));
    },
    [onChange],
  );

  function add(after = visible.at(-1)?.id) {
    const added = rowsOf();
    insert(added, after);
    focus.current = { row: added[0]?.id ?? 0, field: 'text' };
  }

  const onRemove = useCallback(
    (id: number) => {
      const row = body.current?.querySelector(`[data-row="${id}"]`);
      const next = row?.nextElementSibling ?? row?.previousElementSibling;
      if (next instanceof HTMLElement) focus.current = { row: Number(next.dataset.row), field: 'remove' };
      onChange(without(id));
    },
    [onChange],
  );

  function onKeyDown(event: KeyboardEvent<HTMLElement>) {
    const { key, target } = event;
    // Enter ends a word that is being put together, as in Japanese, and it presses a button.
    if (!(target instanceof HTMLElement) || event.nativeEvent.isComposing) return;
    const field = target.dataset.field;
    const at = visible.findIndex(({ id }) => id === Number(target.closest('tr')?.dataset.row));
    if (!field || at < 0 || (key === 'Enter' && field === 'remove')) return;
    if (key !== 'ArrowDown' && key !== 'ArrowUp' && key !== 'Enter') return;
    event.preventDefault();
    const next = visible[key === 'ArrowUp' ? at - 1 : at + 1];
    if (!next && key === 'Enter') return add(visible[at]?.id);
    if (next)
      body.current
        ?.querySelector<HTMLElement>(`[data-row="${next.id}"] [data-field="${key === 'Enter' ? 'text' : field}"]`)
        ?.focus();
  }

  /** Pasted rows become rows; a text without tabs and line breaks goes into the field. */
  function onPaste(event: ClipboardEvent<HTMLElement>) {
    const source = event.clipboardData.getData('text/plain');
    if (!/[\t\n\r]/.test(source.trim())) return;
    event.preventDefault();
    take(source, Number((event.target as HTMLElement).closest('tr')?.dataset.row));
  }

  function take(source: string, after: number | undefined) {
    const added = rowsOf(parseExamples(source));
    insert(added, after);
    setCame(`${count(added.length, 'row')} added.`);
    const first = added[0];
    if (first) focus.current = { row: first.id, field: 'text' };
  }

  return (
    <div className="route-table">
      <div className="route-scroll">
        <table onKeyDown={onKeyDown} onPaste={onPaste} aria-label="Examples" aria-rowcount={rows.length + 1}>
          <thead>
            <tr aria-rowindex={1}>
              <th scope="col">Request</th>
              <th scope="col">Label</th>
              <th scope="col">
                <span className="unseen">Delete</span>
              </th>
            </tr>
          </thead>
          <tbody ref={body} onFocus={({ target }) => setStop(Number(target.closest('tr')?.dataset.row))}>
            {visible.map((row, i) => (
              <ExampleRow
                key={row.id}
                row={row}
                number={i + 1}
                reached={row.id === stopped}
                onChange={onChange}
                onRemove={onRemove}
              />
            ))}
          </tbody>
        </table>
      </div>
      <div className="route-tools">
        <p>
          {rows.length > shown
            ? `${shown.toLocaleString('en')} of ${rows.length.toLocaleString('en')} rows are shown.`
            : count(rows.length, 'row')}{' '}
          <span role="status">{came}</span>
        </p>
        <div>
          {rows.length > shown && (
            <button type="button" className="button quiet" onClick={() => setShown(shown + STEP)}>
              Show more
            </button>
          )}
          <button type="button" className="button quiet" onClick={() => add()}>
            Add a row
          </button>
          <button
            type="button"
            className="button quiet"
            ref={paste}
            aria-expanded={pasting}
            onClick={() => setPasting(!pasting)}
          >
            Paste rows
          </button>
        </div>
      </div>
      {pasting && (
        <PasteBox
          onTake={(source) => {
            setPasting(false);
            take(source, undefined);
          }}
          onCancel={() => {
            setPasting(false);
            paste.current?.focus();
          }}
        />
      )}
    </div>
  );
}
