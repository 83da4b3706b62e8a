import type { TextEmbedder } from 'pilotlight';
import { memo, useMemo, useState } from 'react';
import type { EngineState } from '../engine/engine';
import { SentenceMap } from '../map/SentenceMap';
import { exampleSentences } from '../sentences/examples';
import { SentenceEditor } from '../sentences/SentenceEditor';
import { useSentences } from '../sentences/useSentences';
import { Figures } from './Figures';
import { Results } from './Results';
import { rank } from './rank';
import { SearchBox } from './SearchBox';
import { useSearch } from './useSearch';

interface Props {
  embedder: TextEmbedder | null;
  status: EngineState['status'];
}

/** The search field, the list of sentences and their map. The list can be read and edited before a model is loaded. */
export const Workspace = memo(function Workspace({ embedder, status }: Props) {
  const [texts, setTexts] = useState<readonly string[]>(exampleSentences);
  const [editing, setEditing] = useState(false);
  const [wanted, setWanted] = useState('');
  const [active, setActive] = useState<number | null>(null);
  const sentences = useSentences(embedder, texts);
  const query = useSearch(embedder, wanted);
  const entries = useMemo(
    () => rank(texts, sentences.vectors, query?.vector ?? null),
    [texts, sentences.vectors, query],
  );

  function save(next: readonly string[]) {
    setTexts(next);
    setEditing(false);
    setActive(null);
  }

  return (
    <div className="workspace">
      <div className="workspace-list">
        <SearchBox text={wanted} status={status} onChange={setWanted} />
        {editing ? (
          <SentenceEditor texts={texts} onSave={save} onCancel={() => setEditing(false)} />
        ) : (
          <Results
            entries={entries}
            query={query}
            maxTokens={embedder?.maxTokens ?? null}
            active={active}
            onActive={setActive}
            onPick={setWanted}
            onEdit={() => setEditing(true)}
          />
        )}
      </div>
      <div className="workspace-map">
        <SentenceMap
          texts={texts}
          vectors={sentences.vectors}
          entries={entries}
          query={query}
          active={active}
          onActive={setActive}
          onPick={setWanted}
        />
        <Figures list={sentences.report} working={sentences.working} search={query?.report ?? null} />
      </div>
    </div>
  );
});
