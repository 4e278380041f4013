//! Fills an empty database with the rows of a shadow, as one transaction.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::SinkExt as _;
use gridmart_schemas::data::{LogPoint, Row, Table, Value};
use tokio_postgres::{Client, CopyInSink, Error};

use super::{
    failure::{When, failure},
    quoted_name, references,
};
use crate::data::{
    engine::{EngineError, standby::Loader},
    log::Whole,
};

/// See the module.
pub(super) struct PgLoader<'c> {
    client: &'c Client,
    copying: Option<Pin<Box<CopyInSink<Bytes>>>>,
}

impl<'c> PgLoader<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        Self {
            client,
            copying: None,
        }
    }

    /// The rows of a table have come.
    async fn table_ends(&mut self) -> Result<(), EngineError> {
        if let Some(mut done) = self.copying.take() {
            done.as_mut()
                .finish()
                .await
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

fn failed(error: &Error) -> EngineError {
    failure(error, When::Undone, false)
}

#[async_trait]
impl Loader for PgLoader<'_> {
    async fn begin(&mut self, whole: &Whole) -> Result<(), EngineError> {
        let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; BEGIN";
        let makes = async {
            self.client.batch_execute(begin).await?;
            self.client.batch_execute(references::MAKE).await?;
            for statement in &whole.tables {
                self.client.batch_execute(statement).await?;
            }
            Ok(())
        };
        makes.await.map_err(|error| failed(&error))
    }

    async fn table(&mut self, table: Table) -> Result<(), EngineError> {
        self.table_ends().await?;
        let into = self.client.copy_in(&copy_text(&table)).await;
        self.copying = Some(Box::pin(into.map_err(|error| failed(&error))?));
        Ok(())
    }

    async fn rows(&mut self, rows: Vec<Row>) -> Result<(), EngineError> {
        let Some(copying) = &mut self.copying else {
            return Ok(());
        };
        let mut piece = Vec::new();
        for row in &rows {
            for (index, value) in row.iter().enumerate() {
                if index > 0 {
                    piece.push(b'\t');
                }
                put(&mut piece, value);
            }
            piece.push(b'\n');
        }
        copying
            .send(piece.into())
            .await
            .map_err(|error| failed(&error))
    }

    async fn finish(&mut self, whole: &Whole, last: LogPoint) -> Result<(), EngineError> {
        self.table_ends().await?;
        finish(self.client, whole, last)
            .await
            .map_err(|error| failed(&error))
    }
}

/// A value as COPY's text form has it.
fn put(piece: &mut Vec<u8>, value: &Value) {
    use std::io::Write as _;
    // Writing to a Vec cannot fail.
    let _ = match value {
        Value::Null => piece.write_all(b"\\N"),
        Value::Bytea(bytes) => {
            piece.extend_from_slice(b"\\\\x");
            for byte in bytes {
                let _ = write!(piece, "{byte:02x}");
            }
            Ok(())
        }
        Value::Text(text) | Value::Json(text) => {
            for byte in text.bytes() {
                match byte {
                    b'\\' => piece.extend_from_slice(b"\\\\"),
                    b'\t' => piece.extend_from_slice(b"\\t"),
                    b'\n' => piece.extend_from_slice(b"\\n"),
                    b'\r' => piece.extend_from_slice(b"\\r"),
                    byte => piece.push(byte),
                }
            }
            Ok(())
        }
        Value::Bool(truth) => write!(piece, "{truth}"),
        Value::Int2(number) => write!(piece, "{number}"),
        Value::Int4(number) => write!(piece, "{number}"),
        Value::Int8(number) => write!(piece, "{number}"),
        Value::Float4(number) => write!(piece, "{number}"),
        Value::Float8(number) => write!(piece, "{number}"),
        Value::Numeric(number) => write!(piece, "{number}"),
        Value::Date(date) => write!(piece, "{date}"),
        Value::Time(time) => write!(piece, "{time}"),
        Value::Timestamp(moment) => write!(piece, "{moment}"),
        Value::TimestampTz(moment) => write!(piece, "{moment}"),
        Value::Uuid(uuid) => write!(piece, "{uuid}"),
    };
}

fn copy_text(table: &Table) -> String {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| quoted_name(&column.name))
        .collect();
    format!(
        "COPY {} ({}) FROM STDIN",
        quoted_name(&table.name),
        names.join(", ")
    )
}

async fn finish(client: &Client, whole: &Whole, last: LogPoint) -> Result<(), Error> {
    for statement in &whole.indexes {
        client.batch_execute(statement).await?;
    }
    references::keep(client, &whole.references).await?;
    let text = "INSERT INTO gridmart.position VALUES (true, $1, $2)";
    let (position, epoch) = (last.position.number(), last.epoch.number());
    client.execute(text, &[&position, &epoch]).await?;
    client.batch_execute("COMMIT").await?;
    client.batch_execute("ANALYZE").await
}
