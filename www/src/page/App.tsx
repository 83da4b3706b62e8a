import { type ComponentType, useEffect } from 'react';
import { DigitsPage } from '../digits/DigitsPage';
import type { EngineState } from '../engine/engine';
import { useEngine } from '../engine/useEngine';
import { ModelsPage } from '../models/ModelsPage';
import { PicturesPage } from '../pictures/PicturesPage';
import { SearchPage } from '../search/SearchPage';
import { Footer } from './Footer';
import { Header } from './Header';
import { PageView } from './PageView';
import { type Path, routes } from './routes';
import { useRoute } from './useRoute';

export interface PageProps {
  state: EngineState;
  /** Whether this is the page that one looks at. */
  shown: boolean;
}

const VIEWS: Record<Path, ComponentType<PageProps>> = {
  '/': SearchPage,
  '/models': ModelsPage,
  '/digits': DigitsPage,
  '/pictures': PicturesPage,
};

export function App() {
  const state = useEngine();
  const route = useRoute();

  useEffect(() => {
    document.title = route.title;
  }, [route]);

  return (
    <div className="page">
      <a className="skip" href={`#${route.anchor}`}>
        {route.skip}
      </a>
      <Header state={state} path={route.path} />
      <main>
        {routes.map(({ path }) => {
          const View = VIEWS[path];
          const shown = path === route.path;
          return (
            <PageView key={path} path={path} shown={shown}>
              <View state={state} shown={shown} />
            </PageView>
          );
        })}
      </main>
      <Footer />
    </div>
  );
}
