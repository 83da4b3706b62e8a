import { href, type Path, routes } from './routes';

/** The links to all pages. */
export function Navigation({ path }: { path: Path }) {
  return (
    <nav className="navigation" aria-label="Pages">
      <ul>
        {routes.map((route) => (
          <li key={route.path}>
            <a href={href(route.path)} aria-current={route.path === path ? 'page' : undefined}>
              {route.label}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
