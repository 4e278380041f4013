import { Link } from '@tanstack/react-router';

import { Icon } from '../parts/Icon';
import { useMay } from '../session/useSession';
import { words } from '../words/en';
import { PAGES } from './pages';
import css from './Shell.module.css';

export function Navigation({ onGo }: { onGo?: () => void }) {
  const may = useMay();
  return (
    <nav aria-label={words.shell.navigation}>
      <ul className={css.links}>
        {PAGES.filter(({ needs }) => may(needs)).map(({ to, icon, word }) => (
          <li key={to}>
            <Link to={to} className={css.link} activeOptions={{ exact: to === '/' }} onClick={onGo}>
              <Icon name={icon} />
              {word}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
