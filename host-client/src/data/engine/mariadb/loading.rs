//! Fills an empty database with the rows of a shadow. It counts only once it is whole: so it
//! is committed piece by piece.

use async_trait::async_trait;
use gridmart_schemas::data::{LogPoint, Row, Table};
use mysql_async::{Conn, Params, Value as Told, prelude::Queryable as _};

use super::{
    applying::{insert_text, put_row},
    failure::{Failure as _, Phase},
    place, whole,
};
use crate::data::{
    engine::{EngineError, standby::Loader},
    log::Whole,
};

/// How who fills it is set: all rows were held to the keys on the core.
const SESSION: &str =
    "SET SESSION foreign_key_checks = 0, unique_checks = 0, max_statement_time = 0";

/// See the module.
pub(super) struct MariaLoader<'c> {
    conn: &'c mut Conn,
    table: Option<Table>,
}

impl<'c> MariaLoader<'c> {
    pub(super) fn new(conn: &'c mut Conn) -> Self {
        Self { conn, table: None }
    }

    async fn run(&mut self, text: &str) -> Result<(), EngineError> {
        self.conn.query_drop(text).await.during(Phase::Statement)
    }

    async fn insert(&mut self, text: String, beside: Vec<Told>) -> Result<(), EngineError> {
        if beside.is_empty() {
            return self.run(&text).await;
        }
        let prepared = self.conn.prep(text).await.during(Phase::Statement)?;
        let done = self
            .conn
            .exec_drop(&prepared, Params::Positional(beside))
            .await;
        done.during(Phase::Statement)?;
        self.conn.close(prepared).await.during(Phase::Statement)
    }
}

#[async_trait]
impl Loader for MariaLoader<'_> {
    async fn begin(&mut self, whole: &Whole) -> Result<(), EngineError> {
        whole::make(self.conn, whole).await?;
        self.run(SESSION).await
    }

    async fn table(&mut self, table: Table) -> Result<(), EngineError> {
        self.table = Some(table);
        Ok(())
    }

    async fn rows(&mut self, rows: Vec<Row>) -> Result<(), EngineError> {
        let Some(table) = self.table.take() else {
            return Ok(());
        };
        let (mut text, mut together) = (String::new(), 0);
        for row in &rows {
            let (mut one, mut beside) = (String::new(), Vec::new());
            put_row(&mut one, &table, row.iter(), &mut beside);
            if !beside.is_empty() {
                self.insert(format!("{}{one}", insert_text(&table)), beside)
                    .await?;
                continue;
            }
            if together == 0 {
                text = insert_text(&table);
            } else {
                text.push_str(", ");
            }
            text.push_str(&one);
            together += 1;
        }
        if together > 0 {
            self.insert(text, Vec::new()).await?;
        }
        self.table = Some(table);
        Ok(())
    }

    async fn finish(&mut self, _: &Whole, last: LogPoint) -> Result<(), EngineError> {
        self.run(place::MAKE).await?;
        place::put(self.conn, last).await
    }
}
