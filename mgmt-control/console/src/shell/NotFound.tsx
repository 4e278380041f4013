import { Link } from '@tanstack/react-router';

import { Empty } from '../parts/Empty';
import { Page } from '../parts/Page';
import { words } from '../words/en';

export function NotFound() {
  return (
    <Page title={words.pages.notFound}>
      <Empty title={words.pages.notFoundText}>
        <Link to="/">{words.pages.toOverview}</Link>
      </Empty>
    </Page>
  );
}
