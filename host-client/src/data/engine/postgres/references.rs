//! Foreign keys of a shadow: taken out of its tables, where they would act and refuse a
//! second time, kept as statements, and put back when it becomes the core.

use tokio_postgres::{Client, Error};

use super::{
    quoted_name,
    whole::{adding, constraint},
};

const FOUND: &str = "SELECT c.relname::text, k.conname::text,
        pg_catalog.pg_get_constraintdef(k.oid)
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND k.contype = 'f'
    ORDER BY c.relname COLLATE \"C\", k.conname COLLATE \"C\"";

/// Makes room for what is kept; nobody's statement reaches that schema.
pub(super) const MAKE: &str = "CREATE SCHEMA gridmart;
    REVOKE ALL ON SCHEMA gridmart FROM PUBLIC;
    CREATE TABLE gridmart.position (one boolean PRIMARY KEY CHECK (one),
        position bigint NOT NULL, epoch bigint NOT NULL);
    CREATE TABLE gridmart.reference (statement text NOT NULL)";

/// Keeps statements that add foreign keys.
pub(super) async fn keep(client: &Client, statements: &[String]) -> Result<(), Error> {
    let text = "INSERT INTO gridmart.reference SELECT pg_catalog.unnest($1::text[])";
    client.execute(text, &[&statements]).await.map(drop)
}

/// Takes them out of the tables, in the transaction that is open.
pub(super) async fn take_out(client: &Client) -> Result<(), Error> {
    let mut statements = Vec::new();
    for row in &client.query(FOUND, &[]).await? {
        let (table, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        statements.push(adding(&table, &constraint(row)?));
        let (table, name) = (quoted_name(&table), quoted_name(&name));
        let text = format!("ALTER TABLE {table} DROP CONSTRAINT {name}");
        client.batch_execute(&text).await?;
    }
    if statements.is_empty() {
        return Ok(());
    }
    keep(client, &statements).await
}

/// Puts them back, in the transaction that is open. Rows that are there were held to them
/// on the core.
pub(super) async fn put_back(client: &Client) -> Result<(), Error> {
    let kept = "DELETE FROM gridmart.reference RETURNING statement";
    for row in &client.query(kept, &[]).await? {
        let statement: String = row.try_get(0)?;
        client
            .batch_execute(&format!("{statement} NOT VALID"))
            .await?;
    }
    Ok(())
}

/// Has the server look once at the rows that were there before: it holds them to the keys in
/// any case.
pub(super) async fn validate(client: &Client) -> Result<(), Error> {
    let unchecked = "SELECT c.relname::text, k.conname::text
        FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND k.contype = 'f'
            AND NOT k.convalidated";
    for row in &client.query(unchecked, &[]).await? {
        let (table, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (table, name) = (quoted_name(&table), quoted_name(&name));
        let text = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}");
        client.batch_execute(&text).await?;
    }
    Ok(())
}
