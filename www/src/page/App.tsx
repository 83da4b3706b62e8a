import { type ComponentType, useEffect } from 'react';
import { DetectPage } from '../detect/DetectPage';
import { DigitsPage } from '../digits/DigitsPage';
import { useEngine } from '../engine/useEngine';
import { ImagesPage } from '../images/ImagesPage';
import { ModelsPage } from '../models/ModelsPage';
import { RoutePage } from '../route/RoutePage';
import { SearchPage } from '../search/SearchPage';
import { Footer } from './Footer';
import { Header } from './Header';
import { PageView } from './PageView';
import type { PageProps } from './page-props';
import { type Path, routes } from './routes';
import { useRoute } from './useRoute';

const VIEWS: Record<Path, ComponentType<PageProps>> = {
  '/': SearchPage,
  '/route': RoutePage,
  '/detect': DetectPage,
  '/models': ModelsPage,
  '/digits': DigitsPage,
  '/images': ImagesPage,
};

/** The app: every page that was shown once stays mounted, so that it keeps its state. */
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
