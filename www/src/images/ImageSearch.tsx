import { SearchField } from '../search/SearchField';
import type { ImageModel } from './image-models';
import type { Wanted } from './useImageSearch';

interface Props {
  model: ImageModel;
  ready: boolean;
  wanted: Wanted;
  onChange: (wanted: Wanted) => void;
}

/** The search field for images; a search for similar images shows its example under it. */
export function ImageSearch({ model, ready, wanted, onChange }: Props) {
  const text = 'text' in wanted ? wanted.text : '';
  const like = 'like' in wanted ? wanted.like : null;
  return (
    <search className="search">
      <SearchField
        id="images-search"
        label="Search the images in words"
        text={text}
        placeholder={ready ? 'Say what is to be seen' : 'Load the model to search'}
        ready={ready}
        examples={model.suggestions}
        onChange={(next) => onChange({ text: next })}
      />
      {like && (
        <p className="like">
          <img src={like.url} alt="" width={48} height={48} />
          <span>
            Like <strong>{like.name}</strong>
          </span>
          <button type="button" className="button quiet" onClick={() => onChange({ text: '' })}>
            Show all
          </button>
        </p>
      )}
    </search>
  );
}
