import { type ChangeEvent, useId, useState } from 'react';

interface Props {
  text: string;
  onChange: (text: string) => void;
}

const MOST = 12;

/** A text field that accepts only digits, and explains why other characters were left out. */
export function NumberField({ text, onChange }: Props) {
  const [refusal, setRefusal] = useState('');
  const note = useId();

  function take({ target }: ChangeEvent<HTMLInputElement>) {
    // Normalization turns full-width digits and the like into ASCII digits.
    const typed = target.value.normalize('NFKC');
    const digits = typed.replace(/[^0-9]/g, '');
    const taken = digits.slice(0, MOST);
    if (taken !== target.value) {
      const before = target.value.slice(0, target.selectionStart ?? undefined).normalize('NFKC');
      const caret = before.replace(/[^0-9]/g, '').length;
      target.value = taken;
      target.setSelectionRange(caret, caret);
    }
    setRefusal(refusalOf(typed, digits));
    onChange(taken);
  }

  return (
    <div className="number">
      <label htmlFor="digits-text">A number to write</label>
      <input
        id="digits-text"
        type="text"
        inputMode="numeric"
        autoComplete="off"
        value={text}
        placeholder="Type some digits"
        aria-describedby={note}
        onChange={take}
      />
      <p id={note} role="status" data-refused={refusal !== ''}>
        {refusal || `Up to ${MOST} digits.`}
      </p>
    </div>
  );
}

function refusalOf(typed: string, digits: string): string {
  const others = [...new Set(typed.replace(/[0-9]/g, ''))];
  if (others.length > 0) {
    const named = others.slice(0, 3).map((character) => (character.trim() ? `“${character}”` : 'a space'));
    const were = others.length === 1 ? 'was' : others.length > 3 ? 'and others were' : 'were';
    return `Only the digits 0 to 9 can be written: ${named.join(', ')} ${were} left out.`;
  }
  return digits.length > MOST ? `${MOST} digits fit on the paper: what comes after them was left out.` : '';
}
