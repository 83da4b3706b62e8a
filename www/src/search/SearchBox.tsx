import type { EngineState } from '../engine/engine';
import { exampleQueries } from '../sentences/examples';
import { SearchField } from './SearchField';

interface Props {
  text: string;
  status: EngineState['status'];
  onChange: (text: string) => void;
}

const PLACEHOLDERS: Record<EngineState['status'], string> = {
  idle: 'Load the model to search',
  loading: 'One moment: the model is on its way',
  ready: 'Say what you are looking for',
  failed: 'Search needs a model',
};

/** The search field for sentences. */
export function SearchBox({ text, status, onChange }: Props) {
  return (
    <search className="search">
      <SearchField
        id="search"
        label="Search the sentences by meaning"
        text={text}
        placeholder={PLACEHOLDERS[status]}
        ready={status === 'ready'}
        examples={exampleQueries}
        onChange={onChange}
      />
    </search>
  );
}
