import { useMemo } from 'react';

import type { StatementResult } from '../../../api/types';
import { ResourceName } from '../../../parts/ResourceName';
import type { Column } from '../../../parts/table/column';
import { DataTable } from '../../../parts/table/DataTable';
import { words } from '../../../words/en';
import { plural, seconds } from '../../../words/format';
import css from './Sql.module.css';

const NUMBERS = /^(int|bigint|smallint|integer|numeric|real|double|float)/;

interface Row {
  index: number;
  values: (string | null)[];
}

/** What a statement gave: its rows, or how many it has changed; and where it ran. */
export function Result({ result }: { result: StatementResult }) {
  const { columns, rows, tag, rows_changed, is_cut, host, role, duration_us } = result;
  const shown = useMemo(
    () =>
      columns.map(({ name, type }, index): Column<Row> => ({
        key: `${index}`,
        title: `${name} (${type})`,
        width: 'minmax(8rem, 1fr)',
        end: NUMBERS.test(type),
        render: ({ values }) => {
          const value = values[index];
          return value === null || value === undefined ? (
            <span className="soft">NULL</span>
          ) : (
            <span className="name" title={value}>
              {value}
            </span>
          );
        },
      })),
    [columns],
  );
  const made = useMemo(() => rows.map((values, index): Row => ({ index, values })), [rows]);
  return (
    <>
      <p role="status">
        {columns.length > 0 ? plural(rows.length, 'row') : words.sql.changed(tag, rows_changed ?? undefined)}
        {is_cut && ` ${words.sql.cut}`}
        <span className="soft">
          {' · '}
          {seconds(duration_us / 1e6)}
          {host && (
            <>
              {' · '}
              {role} <ResourceName id={host} />
            </>
          )}
        </span>
      </p>
      {columns.length > 0 && (
        <div className={css.result}>
          <DataTable
            label={words.sql.result}
            columns={shown}
            count={made.length}
            row={(index) => made[index]}
            rowKey={({ index }) => String(index)}
          />
        </div>
      )}
    </>
  );
}
