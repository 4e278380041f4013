import { ActionIcon, Drawer } from '@mantine/core';
import { Link, Outlet } from '@tanstack/react-router';
import { useState } from 'react';

import { Icon } from '../parts/Icon';
import { SignInDialog } from '../session/SignInDialog';
import { words } from '../words/en';
import { LiveBadge } from './LiveBadge';
import { Navigation } from './Navigation';
import { PersonMenu } from './PersonMenu';
import { SearchBox } from './SearchBox';
import { ThemeMenu } from './ThemeMenu';
import { usePreload } from './usePreload';
import css from './Shell.module.css';

/** What stands around every page. */
export function Shell() {
  const [open, setOpen] = useState(false);
  usePreload();
  return (
    <div className={css.shell}>
      <a className={css.skip} href="#content">
        {words.shell.skip}
      </a>
      <header className={css.head}>
        <ActionIcon
          className={css.menu}
          variant="default"
          size="md"
          aria-label={words.shell.openNavigation}
          onClick={() => setOpen(true)}
        >
          <Icon name="menu" />
        </ActionIcon>
        <Link to="/" className={css.brand}>
          <img src="/icon.svg" width={22} height={22} alt="" />
          <span>{words.product}</span>
        </Link>
        <SearchBox />
        <div className={css.tools}>
          <LiveBadge />
          <ThemeMenu />
          <PersonMenu />
        </div>
      </header>
      <aside className={css.side}>
        <Navigation />
      </aside>
      <main id="content" className={css.content} tabIndex={-1}>
        <Outlet />
      </main>
      <Drawer
        opened={open}
        onClose={() => setOpen(false)}
        size={248}
        title={words.shell.navigation}
        closeButtonProps={{ 'aria-label': words.shell.closeNavigation }}
      >
        <Navigation onGo={() => setOpen(false)} />
      </Drawer>
      <SignInDialog />
    </div>
  );
}
