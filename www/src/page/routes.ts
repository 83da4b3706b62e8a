/** One page of the app: its address behind the `#`, what it is called, and where the skip link leads on it. */
interface Route {
  path: `/${string}`;
  label: string;
  title: string;
  /** The id of what the page is about, and how to get there past the header. */
  anchor: string;
  skip: string;
}

/** In the order of the navigation. A page that is added here needs its view in `App`. */
export const routes = [
  {
    path: '/',
    label: 'Search',
    title: 'Pilotlight: search by meaning, inside this tab',
    anchor: 'search',
    skip: 'Skip to the search',
  },
  {
    path: '/models',
    label: 'Models',
    title: 'Pilotlight: models on this device',
    anchor: 'stored-models',
    skip: 'Skip to the models',
  },
  {
    path: '/digits',
    label: 'Digits',
    title: 'Pilotlight: handwritten digits, made in this tab',
    anchor: 'digits-text',
    skip: 'Skip to the digits',
  },
  {
    path: '/pictures',
    label: 'Pictures',
    title: 'Pilotlight: a photo library, searched inside this tab',
    anchor: 'pictures-search',
    skip: 'Skip to the search',
  },
] as const satisfies readonly Route[];

export type Path = (typeof routes)[number]['path'];

export const href = (path: Path): string => `#${path}`;

/** The page of an address; its own anchor belongs to it, and what nobody knows is the first page. */
export function routeOf(hash: string): (typeof routes)[number] {
  return routes.find(({ path, anchor }) => hash === href(path) || hash === `#${anchor}`) ?? routes[0];
}
