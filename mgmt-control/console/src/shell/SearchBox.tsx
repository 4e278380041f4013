import { TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useState, type SubmitEvent } from 'react';

import { Icon } from '../parts/Icon';
import { words } from '../words/en';
import css from './Shell.module.css';

/** Leads to the list of resources with what was typed. */
export function SearchBox() {
  const [text, setText] = useState('');
  const navigate = useNavigate();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void navigate({ to: '/resources', search: text.trim() === '' ? {} : { search: text.trim() } });
  };
  return (
    <form role="search" className={css.search} onSubmit={submit}>
      <TextInput
        type="search"
        aria-label={words.shell.search}
        placeholder={words.shell.search}
        leftSection={<Icon name="search" size={14} />}
        value={text}
        maxLength={200}
        onChange={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}
