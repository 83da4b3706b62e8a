import { memo } from 'react';
import { type Change, type Row, written } from './rows';

interface Props {
  row: Row;
  /** The place of the row in the table, from 1. */
  number: number;
  /** Whether the Tab key stops here. */
  reached: boolean;
  onChange: (change: Change) => void;
  onRemove: (id: number) => void;
}

/** A row of the table of examples. */
export const ExampleRow = memo(function ExampleRow({ row, number, reached, onChange, onRemove }: Props) {
  const { id, text, label } = row;
  const tabIndex = reached ? 0 : -1;
  return (
    <tr data-row={id} aria-rowindex={number + 1}>
      <td>
        <input
          type="text"
          data-field="text"
          aria-label={`Request ${number}`}
          placeholder="A request"
          autoComplete="off"
          tabIndex={tabIndex}
          value={text}
          onChange={(event) => onChange(written(id, { text: event.target.value }))}
        />
      </td>
      <td>
        <input
          type="text"
          data-field="label"
          aria-label={`Label ${number}`}
          placeholder="Its label"
          autoComplete="off"
          autoCapitalize="off"
          tabIndex={tabIndex}
          value={label}
          onChange={(event) => onChange(written(id, { label: event.target.value }))}
        />
      </td>
      <td>
        <button
          type="button"
          className="icon-button"
          data-field="remove"
          aria-label={`Delete row ${number}`}
          tabIndex={tabIndex}
          onClick={() => onRemove(id)}
        >
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M5.5 5.5l9 9M14.5 5.5l-9 9" />
          </svg>
        </button>
      </td>
    </tr>
  );
});
