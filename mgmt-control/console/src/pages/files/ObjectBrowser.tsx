import { Button } from '@mantine/core';
import { Link, useNavigate } from '@tanstack/react-router';
import { useMemo, useRef, useState, type DragEvent } from 'react';

import { api, ask } from '../../api/client';
import { keys } from '../../api/keys';
import type { ObjectRow } from '../../api/types';
import { usePages } from '../../api/usePages';
import { ConfirmButton } from '../../parts/ConfirmButton';
import { Empty } from '../../parts/Empty';
import { Icon } from '../../parts/Icon';
import { tableAfter } from '../../parts/ListState';
import { Section } from '../../parts/Page';
import { Ago } from '../../parts/Time';
import type { Column } from '../../parts/table/column';
import { DataTable } from '../../parts/table/DataTable';
import { useMay } from '../../session/useSession';
import { words } from '../../words/en';
import { bytes } from '../../words/format';
import { droppedFiles } from '../applications/upload/dropped';
import { crumbs } from './keys';
import css from './Objects.module.css';

const ROWS = 200;

/** A row is a folder, as people see it, or an object. */
type Row = { prefix: string } | ObjectRow;

const isFolder = (row: Row): row is { prefix: string } => 'prefix' in row;

interface Place {
  bucket: string;
  element: string | undefined;
  prefix: string;
}

interface Props extends Place {
  /** Files to be put, with their keys. */
  onFiles: (files: { key: string; file: File }[]) => void;
}

function columns({ bucket, element, prefix }: Place, mayDelete: boolean): Column<Row>[] {
  return [
    {
      key: 'key',
      title: words.common.name,
      width: 'minmax(12rem, 3fr)',
      head: true,
      render: (row) => {
        const key = isFolder(row) ? row.prefix : row.key;
        const search = isFolder(row)
          ? { element, prefix: key }
          : { element, prefix: prefix || undefined, key };
        return (
          <Link to="/files/$bucket" params={{ bucket }} search={search} className="name" title={key}>
            {key.slice(prefix.length) || key}
          </Link>
        );
      },
    },
    {
      key: 'size',
      title: words.data.size,
      width: '7rem',
      end: true,
      render: (row) => (isFolder(row) ? '–' : bytes(row.size)),
    },
    {
      key: 'type',
      title: words.common.kind,
      width: 'minmax(8rem, 1fr)',
      render: (row) => (
        <span className="name">{isFolder(row) ? words.objects.folder : (row.content_type ?? '–')}</span>
      ),
    },
    {
      key: 'modified',
      title: words.objects.modified,
      width: 'minmax(6rem, 0.8fr)',
      end: true,
      render: (row) => (isFolder(row) ? '–' : <Ago time={row.modified} />),
    },
    {
      key: 'actions',
      title: words.common.actions,
      width: '7rem',
      end: true,
      render: (row) =>
        !isFolder(row) &&
        mayDelete && (
          <ConfirmButton
            compact
            dangerous
            label={words.objects.remove}
            name={row.key}
            text={words.objects.removeText(row.key)}
            act={() =>
              ask(
                api.DELETE('/api/v1/console/buckets/{bucket}/object', {
                  params: { path: { bucket }, query: { key: row.key } },
                }),
              )
            }
          />
        ),
    },
  ];
}

/** What is in a bucket, folder by folder; files are put by dropping them. */
export function ObjectBrowser(props: Props) {
  const { bucket, element, prefix } = props;
  const may = useMay();
  const navigate = useNavigate();
  const [over, setOver] = useState(false);
  const { query, rows, onRange } = usePages<Row>(keys.objectsIn(bucket, prefix), async (after, signal) => {
    const told = await ask(
      api.GET('/api/v1/console/buckets/{bucket}/objects', {
        params: { path: { bucket }, query: { prefix, delimiter: '/', after, limit: ROWS } },
        signal,
      }),
    );
    return { items: [...told.prefixes.map((one) => ({ prefix: one })), ...told.objects], next: told.next };
  });
  const shown = useMemo(
    () => columns({ bucket, element, prefix }, may('ObjectDelete')),
    [bucket, element, prefix, may],
  );
  const put = (files: { path: string; file: File }[]) =>
    props.onFiles(files.map(({ path, file }) => ({ key: `${prefix}${path}`, file })));
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void droppedFiles(event.dataTransfer).then(put);
  };
  const mayPut = may('UploadBegin');
  return (
    // Who has no mouse takes the button.

    <div
      className={css.drop}
      data-over={over || undefined}
      {...(mayPut && {
        onDragOver: (event: DragEvent) => {
          event.preventDefault();
          setOver(true);
        },
        onDragLeave: () => setOver(false),
        onDrop: drop,
      })}
    >
      <Section
        flush
        title={<Crumbs bucket={bucket} element={element} prefix={prefix} />}
        beside={
          mayPut && <PickFiles onFiles={(files) => put(files.map((file) => ({ path: file.name, file })))} />
        }
      >
        <DataTable
          label={words.files.objects}
          columns={shown}
          count={rows.length}
          row={(index) => rows[index]}
          rowKey={(row) => (isFolder(row) ? `folder ${row.prefix}` : row.key)}
          onOpen={(row) =>
            void navigate({
              to: '/files/$bucket',
              params: { bucket },
              search: isFolder(row)
                ? { element, prefix: row.prefix }
                : { element, prefix: prefix || undefined, key: row.key },
            })
          }
          onRange={onRange}
          after={tableAfter(
            query,
            rows.length,
            <Empty
              title={words.objects.empty}
              text={words.objects.emptyText}
              command={`gridmart put FILE ${bucket}/${prefix}`}
            />,
          )}
        />
      </Section>
    </div>
  );
}

function Crumbs({ bucket, element, prefix }: Place) {
  return (
    <span className={css.crumbs}>
      <Link to="/files/$bucket" params={{ bucket }} search={{ element }}>
        {bucket}
      </Link>
      {crumbs(prefix).map(({ name, prefix: to }) => (
        <span key={to} className="name">
          /{' '}
          <Link to="/files/$bucket" params={{ bucket }} search={{ element, prefix: to }}>
            {name}
          </Link>
        </span>
      ))}
    </span>
  );
}

function PickFiles({ onFiles }: { onFiles: (files: File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <span className="soft">{words.objects.drop}</span>
      <Button leftSection={<Icon name="upload" size={14} />} onClick={() => input.current?.click()}>
        {words.applications.upload}
      </Button>
      <input
        ref={input}
        type="file"
        multiple
        className="hidden-visually"
        tabIndex={-1}
        aria-hidden="true"
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = '';
          onFiles(files);
        }}
      />
    </>
  );
}
