import { Fragment, type ReactNode } from 'react';

import css from './SimpleTable.module.css';

export interface SimpleRow {
  key: string;
  cells: ReactNode[];
}

interface Props {
  label: string;
  titles: string[];
  rows: SimpleRow[];
  /** Columns of numbers, which stand at the end. */
  ends?: number[];
}

/** A short table, all of whose rows are drawn; on a narrow screen its rows are cards. */
export function SimpleTable({ label, titles, rows, ends = [] }: Props) {
  return (
    <div className={css.scroll}>
      <table className={css.table} aria-label={label}>
        <thead>
          <tr>
            {titles.map((title, index) => (
              <th key={title} scope="col" data-end={ends.includes(index) || undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key}>
              {row.cells.map((cell, index) => (
                <td
                  key={titles[index]}
                  data-title={titles[index]}
                  data-end={ends.includes(index) || undefined}
                >
                  <Fragment>{cell}</Fragment>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
