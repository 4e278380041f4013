//! What a person may see of a database, as rows of the catalog.

use std::collections::BTreeMap;

use gridmart_schemas::data::SqlType;
use rusqlite::{Connection, ToSql, types::Value};

use super::shape::{SHAPES, TOLD, Type};
use crate::data::sql::{BaseType, Literal, Table};

/// Numbers of the schemas.
const PG_CATALOG: i64 = 11;
const PUBLIC: i64 = 2200;
const INFORMATION_SCHEMA: i64 = 13_000;
/// Of the access methods of tables and of keys.
const HEAP: i64 = 2;
const BTREE: i64 = 403;
/// Of the collation that there is.
const COLLATION: i64 = 100;
/// Numbers of what people make begin here.
const FIRST: i64 = 16_384;
/// Of roles: the person, and the owner of the database.
const PERSON: i64 = 16_000;
const OWNER: i64 = 16_001;
const DATABASES: i64 = 15_000;

/// A table, or a view, that a person may see.
#[derive(Clone, Debug)]
pub(in crate::data::postgres) struct Listed {
    pub(in crate::data::postgres) table: Table,
    /// The columns that they may see.
    pub(in crate::data::postgres) columns: Vec<usize>,
    /// Of a view: its query, for whom it is to be seen.
    pub(in crate::data::postgres) view: Option<String>,
}

/// Of what the answers are made.
#[derive(Clone, Debug)]
pub(in crate::data::postgres) struct Contents {
    pub(in crate::data::postgres) person: String,
    pub(in crate::data::postgres) owner: String,
    pub(in crate::data::postgres) database: String,
    /// Those that the person may use.
    pub(in crate::data::postgres) databases: Vec<String>,
    pub(in crate::data::postgres) tables: Vec<Listed>,
    pub(in crate::data::postgres) settings: Vec<(String, String)>,
    /// The number of the session.
    pub(in crate::data::postgres) process: u32,
}

/// Numbers of things, and what functions tell of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// Tables and keys, by name.
    pub(super) relations: BTreeMap<String, i64>,
    /// What makes a key.
    pub(super) index_definitions: BTreeMap<i64, (String, Vec<String>)>,
    /// What a constraint says.
    pub(super) constraints: BTreeMap<i64, String>,
}

/// A key of a table.
struct Key {
    name: String,
    is_primary: bool,
    columns: Vec<usize>,
}

/// A row that is put: what is not said is 0, false, empty or NULL.
struct Put<'a> {
    connection: &'a Connection,
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

impl Put<'_> {
    fn row(&self, table: &str, given: &[(&str, Value)]) -> rusqlite::Result<()> {
        let Some(columns) = SHAPES.get(table) else {
            return Ok(());
        };
        let values: Vec<Value> = columns
            .iter()
            .map(|(name, kind)| {
                let found = given.iter().find(|(known, _)| known == name);
                found.map_or_else(|| default(*kind), |(_, value)| value.clone())
            })
            .collect();
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!("INSERT INTO \"{table}\" VALUES ({places})");
        let values = values.iter().map(|value| value as &dyn ToSql);
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.execute(&*values.collect::<Vec<_>>())?;
        Ok(())
    }
}

fn default(kind: Type) -> Value {
    match kind {
        Type::Bool | Type::Int2 | Type::Int4 | Type::Int8 | Type::Oid => Value::Integer(0),
        Type::Float4 | Type::Float8 => Value::Real(0.0),
        Type::Char => text(""),
        _ => Value::Null,
    }
}

/// A number that a name has as long as nothing else has it.
fn number(taken: &BTreeMap<i64, String>, name: &str) -> i64 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let mut found = FIRST + i64::from(hash & 0x3fff_ffff);
    while taken.contains_key(&found) {
        found += 1;
    }
    found
}

impl Contents {
    /// Puts the rows; gives the numbers that things have.
    pub(super) fn put(&self, connection: &Connection) -> rusqlite::Result<Numbers> {
        let put = Put { connection };
        self.put_fixed(&put)?;
        self.put_types(&put)?;
        let mut numbers = Numbers::default();
        let mut taken = BTreeMap::new();
        let mut next = |name: &str| {
            let found = number(&taken, name);
            taken.insert(found, name.to_owned());
            found
        };
        for listed in &self.tables {
            let oid = next(&listed.table.name);
            numbers.relations.insert(listed.table.name.to_string(), oid);
            let keys = keys_of(listed);
            self.put_table(&put, listed, oid, !keys.is_empty())?;
            for key in keys {
                let index = next(&key.name);
                let constraint = next(&format!("{} constraint", key.name));
                numbers.relations.insert(key.name.clone(), index);
                self.put_key(&put, &mut numbers, listed, &key, (oid, index, constraint))?;
            }
        }
        Ok(numbers)
    }

    fn put_fixed(&self, put: &Put<'_>) -> rusqlite::Result<()> {
        for (oid, name) in [
            (PG_CATALOG, "pg_catalog"),
            (PUBLIC, "public"),
            (INFORMATION_SCHEMA, "information_schema"),
        ] {
            let row = [
                ("oid", oid.into()),
                ("nspname", text(name)),
                ("nspowner", OWNER.into()),
            ];
            put.row("pg_namespace", &row)?;
            let row = [
                ("catalog_name", text(&self.database)),
                ("schema_name", text(name)),
                ("schema_owner", text(&self.owner)),
            ];
            put.row("information_schema_schemata", &row)?;
        }
        for (oid, name, kind) in [(HEAP, "heap", "t"), (BTREE, "btree", "i")] {
            let row = [
                ("oid", oid.into()),
                ("amname", text(name)),
                ("amtype", text(kind)),
            ];
            put.row("pg_am", &row)?;
        }
        let row = [
            ("oid", COLLATION.into()),
            ("collname", text("default")),
            ("collnamespace", PG_CATALOG.into()),
        ];
        put.row("pg_collation", &row)?;
        let mut roles = vec![(PERSON, &self.person)];
        if self.owner != self.person {
            roles.push((OWNER, &self.owner));
        }
        for (oid, name) in roles {
            let is_person = oid == PERSON;
            let row = [
                ("oid", oid.into()),
                ("rolname", text(name)),
                ("rolinherit", 1.into()),
                ("rolcanlogin", is_person.into()),
                ("rolconnlimit", (-1).into()),
            ];
            put.row("pg_roles", &row)?;
            put.row(
                "pg_user",
                &[("usename", text(name)), ("usesysid", oid.into())],
            )?;
        }
        for (name, value) in &self.settings {
            let row = [
                ("name", text(name)),
                ("setting", text(value)),
                ("context", text("user")),
                ("vartype", text("string")),
                ("source", text("session")),
            ];
            put.row("pg_settings", &row)?;
        }
        put.row(
            "pg_settings",
            &[("name", text("max_index_keys")), ("setting", text("32"))],
        )?;
        for (index, name) in (0_i64..).zip(&self.databases) {
            let row = [
                ("oid", (DATABASES + index).into()),
                ("datname", text(name)),
                ("datdba", OWNER.into()),
                ("encoding", 6.into()),
                ("datlocprovider", text("c")),
                ("datallowconn", 1.into()),
                ("datconnlimit", (-1).into()),
                ("datcollate", text("C")),
                ("datctype", text("C.UTF-8")),
            ];
            put.row("pg_database", &row)?;
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "they are the same for everybody")]
    fn put_types(&self, put: &Put<'_>) -> rusqlite::Result<()> {
        const COLUMNS: [&str; 13] = [
            "oid",
            "typname",
            "typlen",
            "typbyval",
            "typtype",
            "typcategory",
            "typispreferred",
            "typelem",
            "typarray",
            "typinput",
            "typalign",
            "typstorage",
            "typcollation",
        ];
        for told in TOLD.iter() {
            let mut row = vec![
                ("typnamespace", PG_CATALOG.into()),
                ("typisdefined", 1.into()),
                ("typdelim", text(",")),
                ("typtypmod", (-1).into()),
                ("typowner", OWNER.into()),
            ];
            for (name, value) in COLUMNS.iter().zip(&told.fields) {
                let value = match *value {
                    "t" if name.starts_with("typby") || name.starts_with("typis") => 1.into(),
                    "f" => 0.into(),
                    other => text(other),
                };
                row.push((name, value));
            }
            put.row("pg_type", &row)?;
        }
        Ok(())
    }

    fn put_table(
        &self,
        put: &Put<'_>,
        listed: &Listed,
        oid: i64,
        has_index: bool,
    ) -> rusqlite::Result<()> {
        let table = &listed.table;
        let row = [
            ("oid", oid.into()),
            ("relname", text(&*table.name)),
            ("relnamespace", PUBLIC.into()),
            ("relowner", owner_of(self).into()),
            ("relam", if listed.view.is_some() { 0 } else { HEAP }.into()),
            ("reltuples", (-1.0).into()),
            ("relhasindex", has_index.into()),
            ("relpersistence", text("p")),
            (
                "relkind",
                text(if listed.view.is_some() { "v" } else { "r" }),
            ),
            ("relnatts", count(listed.columns.len()).into()),
            ("relispopulated", 1.into()),
            ("relreplident", text("d")),
        ];
        put.row("pg_class", &row)?;
        if let Some(query) = &listed.view {
            self.put_view(put, &table.name, query)?;
        } else {
            let row = [
                ("schemaname", text("public")),
                ("tablename", text(&*table.name)),
                ("tableowner", text(&self.owner)),
                ("hasindexes", has_index.into()),
            ];
            put.row("pg_tables", &row)?;
        }
        let (kind, is_written) = match &listed.view {
            Some(_) => ("VIEW", "NO"),
            None => ("BASE TABLE", "YES"),
        };
        let row = [
            ("table_catalog", text(&self.database)),
            ("table_schema", text("public")),
            ("table_name", text(&*table.name)),
            ("table_type", text(kind)),
            ("is_insertable_into", text(is_written)),
            ("is_typed", text("NO")),
        ];
        put.row("information_schema_tables", &row)?;
        for (place, index) in (1_i64..).zip(&listed.columns) {
            self.put_column(put, listed, *index, (oid, place))?;
        }
        Ok(())
    }

    fn put_view(&self, put: &Put<'_>, name: &str, query: &str) -> rusqlite::Result<()> {
        let row = [
            ("schemaname", text("public")),
            ("viewname", text(name)),
            ("viewowner", text(&self.owner)),
            ("definition", text(query)),
        ];
        put.row("pg_views", &row)?;
        let row = [
            ("table_catalog", text(&self.database)),
            ("table_schema", text("public")),
            ("table_name", text(name)),
            ("view_definition", text(query)),
            ("check_option", text("NONE")),
            ("is_updatable", text("NO")),
            ("is_insertable_into", text("NO")),
            ("is_trigger_updatable", text("NO")),
            ("is_trigger_deletable", text("NO")),
            ("is_trigger_insertable_into", text("NO")),
        ];
        put.row("information_schema_views", &row)
    }

    fn put_column(
        &self,
        put: &Put<'_>,
        listed: &Listed,
        index: usize,
        (oid, place): (i64, i64),
    ) -> rusqlite::Result<()> {
        let Some(column) = listed.table.columns.get(index) else {
            return Ok(());
        };
        let base = BaseType::from(column.column_type);
        let told = TOLD.iter().find(|told| told.oid == i64::from(base.oid()));
        let of = |place: usize| {
            let told = told.and_then(|told| told.fields.get(place));
            told.map_or(Value::Null, |value| text(*value))
        };
        let default = column.default.as_ref().map(|value| shown(value, base));
        let row = [
            ("attrelid", oid.into()),
            ("attname", text(&*column.name)),
            ("atttypid", i64::from(base.oid()).into()),
            ("attstattarget", (-1).into()),
            ("attlen", of(2)),
            ("attnum", place.into()),
            ("atttypmod", modifier(column.column_type).into()),
            ("attbyval", i64::from(of(3) == text("t")).into()),
            ("attalign", of(10)),
            ("attstorage", of(11)),
            ("attnotnull", (!column.nullable).into()),
            ("atthasdef", default.is_some().into()),
            ("attislocal", 1.into()),
            ("attcollation", of(12)),
        ];
        put.row("pg_attribute", &row)?;
        if let Some(default) = &default {
            let row = [
                ("oid", (oid * 2000 + place).into()),
                ("adrelid", oid.into()),
                ("adnum", place.into()),
                ("adbin", text(default)),
            ];
            put.row("pg_attrdef", &row)?;
        }
        let bounds = column.column_type.bounds();
        let length = match (base, bounds) {
            (BaseType::Varchar, Some((length, _))) => i64::from(length).into(),
            _ => Value::Null,
        };
        let (precision, scale) = match (base, bounds) {
            (BaseType::Numeric, Some((precision, scale))) => {
                (i64::from(precision).into(), i64::from(scale).into())
            }
            (BaseType::Int2, _) => (16.into(), 0.into()),
            (BaseType::Int4, _) => (32.into(), 0.into()),
            (BaseType::Int8, _) => (64.into(), 0.into()),
            _ => (Value::Null, Value::Null),
        };
        let row = [
            ("table_catalog", text(&self.database)),
            ("table_schema", text("public")),
            ("table_name", text(&*listed.table.name)),
            ("column_name", text(&*column.name)),
            ("ordinal_position", place.into()),
            ("column_default", default.map_or(Value::Null, text)),
            (
                "is_nullable",
                text(if column.nullable { "YES" } else { "NO" }),
            ),
            ("data_type", text(base.name())),
            ("character_maximum_length", length),
            ("numeric_precision", precision),
            ("numeric_scale", scale),
            ("udt_schema", text("pg_catalog")),
            ("udt_name", of(1)),
            (
                "is_updatable",
                text(if listed.view.is_some() { "NO" } else { "YES" }),
            ),
        ];
        put.row("information_schema_columns", &row)
    }

    fn put_key(
        &self,
        put: &Put<'_>,
        numbers: &mut Numbers,
        listed: &Listed,
        key: &Key,
        (oid, index, constraint): (i64, i64, i64),
    ) -> rusqlite::Result<()> {
        let places: Vec<i64> = key.columns.iter().map(|at| count(*at) + 1).collect();
        let names: Vec<String> = key
            .columns
            .iter()
            .filter_map(|at| listed.table.columns.get(*listed.columns.get(*at)?))
            .map(|column| quoted(&column.name))
            .collect();
        let zeros = format!("{:?}", vec![0; places.len()]);
        let row = [
            ("oid", index.into()),
            ("relname", text(&key.name)),
            ("relnamespace", PUBLIC.into()),
            ("relowner", owner_of(self).into()),
            ("relam", BTREE.into()),
            ("reltuples", (-1.0).into()),
            ("relpersistence", text("p")),
            ("relkind", text("i")),
            ("relnatts", count(places.len()).into()),
            ("relispopulated", 1.into()),
            ("relreplident", text("n")),
        ];
        put.row("pg_class", &row)?;
        let row = [
            ("indexrelid", index.into()),
            ("indrelid", oid.into()),
            ("indnatts", count(places.len()).into()),
            ("indnkeyatts", count(places.len()).into()),
            ("indisunique", 1.into()),
            ("indisprimary", key.is_primary.into()),
            ("indimmediate", 1.into()),
            ("indisvalid", 1.into()),
            ("indisready", 1.into()),
            ("indislive", 1.into()),
            ("indkey", text(format!("{places:?}"))),
            ("indcollation", text(&zeros)),
            ("indclass", text(&zeros)),
            ("indoption", text(&zeros)),
        ];
        put.row("pg_index", &row)?;
        let row = [
            ("oid", constraint.into()),
            ("conname", text(&key.name)),
            ("connamespace", PUBLIC.into()),
            ("contype", text(if key.is_primary { "p" } else { "u" })),
            ("convalidated", 1.into()),
            ("conrelid", oid.into()),
            ("conindid", index.into()),
            ("conislocal", 1.into()),
            ("conkey", text(format!("{places:?}"))),
        ];
        put.row("pg_constraint", &row)?;
        let definition = format!(
            "CREATE UNIQUE INDEX {} ON public.{} USING btree ({})",
            quoted(&key.name),
            quoted(&listed.table.name),
            names.join(", ")
        );
        let row = [
            ("schemaname", text("public")),
            ("tablename", text(&*listed.table.name)),
            ("indexname", text(&key.name)),
            ("indexdef", text(&definition)),
        ];
        put.row("pg_indexes", &row)?;
        let kind = if key.is_primary {
            "PRIMARY KEY"
        } else {
            "UNIQUE"
        };
        let said = format!("{kind} ({})", names.join(", "));
        numbers.constraints.insert(constraint, said);
        self.put_constraint(put, listed, key, kind)?;
        numbers.index_definitions.insert(index, (definition, names));
        Ok(())
    }

    fn put_constraint(
        &self,
        put: &Put<'_>,
        listed: &Listed,
        key: &Key,
        kind: &str,
    ) -> rusqlite::Result<()> {
        let of = [
            ("constraint_catalog", text(&self.database)),
            ("constraint_schema", text("public")),
            ("constraint_name", text(&key.name)),
            ("table_catalog", text(&self.database)),
            ("table_schema", text("public")),
            ("table_name", text(&*listed.table.name)),
        ];
        let more = [
            ("constraint_type", text(kind)),
            ("is_deferrable", text("NO")),
            ("initially_deferred", text("NO")),
            ("enforced", text("YES")),
        ];
        let row = [of.as_slice(), &more].concat();
        put.row("information_schema_table_constraints", &row)?;
        for (place, at) in (1_i64..).zip(&key.columns) {
            let column = listed.columns.get(*at);
            let Some(column) = column.and_then(|at| listed.table.columns.get(*at)) else {
                continue;
            };
            let more = [
                ("column_name", text(&*column.name)),
                ("ordinal_position", place.into()),
            ];
            let row = [of.as_slice(), &more].concat();
            put.row("information_schema_key_column_usage", &row)?;
        }
        Ok(())
    }
}

/// Whose its tables are.
fn owner_of(contents: &Contents) -> i64 {
    if contents.owner == contents.person {
        PERSON
    } else {
        OWNER
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The keys of which a person may see each column; places among those that they see.
fn keys_of(listed: &Listed) -> Vec<Key> {
    let table = &listed.table;
    let seen = |columns: &[usize]| -> Option<Vec<usize>> {
        let places = columns
            .iter()
            .map(|column| listed.columns.iter().position(|seen| seen == column));
        places.collect()
    };
    let mut keys = Vec::new();
    if let Some(columns) = seen(&table.primary_key).filter(|columns| !columns.is_empty()) {
        keys.push(Key {
            name: format!("{}_pkey", table.name),
            is_primary: true,
            columns,
        });
    }
    for unique in &table.unique_keys {
        let names = unique
            .iter()
            .filter_map(|column| table.columns.get(*column));
        let names: Vec<&str> = names.map(|column| &*column.name).collect();
        if let Some(columns) = seen(unique).filter(|columns| !columns.is_empty()) {
            keys.push(Key {
                name: format!("{}_{}_key", table.name, names.join("_")),
                is_primary: false,
                columns,
            });
        }
    }
    keys
}

/// A name as it stands in a statement.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = name.bytes().enumerate().all(|(at, byte)| {
        byte.is_ascii_lowercase() || byte == b'_' || at > 0 && byte.is_ascii_digit()
    });
    if is_plain && !name.is_empty() {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A default as PostgreSQL writes it.
fn shown(value: &Literal, base: BaseType) -> String {
    match value {
        Literal::Null => "NULL".to_owned(),
        Literal::Bool(truth) => truth.to_string(),
        Literal::Integer(number) => number.to_string(),
        Literal::Float(number) => number.to_string(),
        Literal::Numeric(number) => number.clone(),
        Literal::Text(text) => format!("'{}'::{}", text.replace('\'', "''"), base.name()),
        Literal::Bytes(bytes) => format!("'\\x{}'::bytea", hex::encode(bytes)),
    }
}

/// The bounds of a type as PostgreSQL keeps them.
fn modifier(sql_type: SqlType) -> i64 {
    match (sql_type, sql_type.bounds()) {
        (SqlType::Varchar(_), Some((length, _))) => i64::from(length) + 4,
        (SqlType::Numeric(_), Some((precision, scale))) => {
            (i64::from(precision) << 16 | i64::from(scale)) + 4
        }
        _ => -1,
    }
}
