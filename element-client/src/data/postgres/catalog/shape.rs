//! The tables of the catalog, and the types of their columns.

use std::{collections::BTreeMap, sync::LazyLock};

use super::super::wire::backend::Field;

/// A line for each table: its columns in their order.
const TABLES: &str = include_str!("tables.txt");
/// Types that there are.
const TYPES: &str = include_str!("types.txt");

/// Types of what the catalog tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Text,
    Varchar,
    Name,
    Char,
    Json,
    TimestampTz,
    Int2Vector,
    OidVector,
    /// An array of another one.
    Array(Element),
}

/// What arrays are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Text,
    Name,
    Char,
}

const NAMES: &[(&str, Type)] = &[
    ("bool", Type::Bool),
    ("int2", Type::Int2),
    ("int4", Type::Int4),
    ("int8", Type::Int8),
    ("oid", Type::Oid),
    ("float4", Type::Float4),
    ("float8", Type::Float8),
    ("text", Type::Text),
    ("varchar", Type::Varchar),
    ("name", Type::Name),
    ("char", Type::Char),
    ("json", Type::Json),
    ("timestamptz", Type::TimestampTz),
    ("int2vector", Type::Int2Vector),
    ("oidvector", Type::OidVector),
    ("text[]", Type::Array(Element::Text)),
    ("oid[]", Type::Array(Element::Oid)),
    ("int2[]", Type::Array(Element::Int2)),
    ("name[]", Type::Array(Element::Name)),
    ("char[]", Type::Array(Element::Char)),
];

impl Type {
    /// The type that PostgreSQL calls so.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.trim_matches('"').to_ascii_lowercase();
        let name = match name.as_str() {
            "boolean" => "bool",
            "smallint" => "int2",
            "integer" | "int" => "int4",
            "bigint" => "int8",
            "character varying" => "varchar",
            "regclass" | "regtype" | "regproc" | "regnamespace" | "regrole" => "text",
            name => name,
        };
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, found)| *found)
    }

    /// An array of it.
    pub(super) fn array(self) -> Self {
        Self::Array(match self {
            Self::Bool => Element::Bool,
            Self::Int2 => Element::Int2,
            Self::Int4 => Element::Int4,
            Self::Int8 => Element::Int8,
            Self::Oid => Element::Oid,
            Self::Name => Element::Name,
            Self::Char => Element::Char,
            _ => Element::Text,
        })
    }

    /// What it is an array of.
    pub(super) fn element(self) -> Option<Self> {
        Some(match self {
            Self::Int2Vector | Self::Array(Element::Int2) => Self::Int2,
            Self::OidVector | Self::Array(Element::Oid) => Self::Oid,
            Self::Array(Element::Bool) => Self::Bool,
            Self::Array(Element::Int4) => Self::Int4,
            Self::Array(Element::Int8) => Self::Int8,
            Self::Array(Element::Text) => Self::Text,
            Self::Array(Element::Name) => Self::Name,
            Self::Array(Element::Char) => Self::Char,
            _ => return None,
        })
    }

    /// How SQLite keeps it.
    const fn declared(self) -> &'static str {
        match self {
            Self::Bool | Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid => "INTEGER",
            Self::Float4 | Self::Float8 => "REAL",
            _ => "TEXT",
        }
    }

    /// As the wire tells it.
    pub(super) fn field(self, name: &str) -> Field {
        let (oid, size) = match self {
            Self::Bool => (16, 1),
            Self::Int2 => (21, 2),
            Self::Int4 => (23, 4),
            Self::Int8 => (20, 8),
            Self::Oid => (26, 4),
            Self::Float4 => (700, 4),
            Self::Float8 => (701, 8),
            Self::Text => (25, -1),
            Self::Varchar => (1043, -1),
            Self::Name => (19, 64),
            Self::Char => (18, 1),
            Self::Json => (114, -1),
            Self::TimestampTz => (1184, 8),
            Self::Int2Vector => (22, -1),
            Self::OidVector => (30, -1),
            Self::Array(element) => (
                match element {
                    Element::Bool => 1000,
                    Element::Int2 => 1005,
                    Element::Int4 => 1007,
                    Element::Int8 => 1016,
                    Element::Oid => 1028,
                    Element::Text => 1009,
                    Element::Name => 1003,
                    Element::Char => 1002,
                },
                -1,
            ),
        };
        Field {
            name: name.to_owned(),
            oid,
            size,
        }
    }
}

/// A table of the catalog.
pub(super) type Columns = Vec<(&'static str, Type)>;

/// All of them, by the names that they have here: `information_schema.tables` is
/// `information_schema_tables`.
pub(super) static SHAPES: LazyLock<BTreeMap<String, Columns>> = LazyLock::new(|| {
    let tables = TABLES.lines().filter_map(|line| line.split_once(": "));
    let tables = tables.map(|(name, columns)| {
        let columns = columns.split(", ").filter_map(|column| {
            let (name, named) = column.split_once(' ')?;
            Some((name, Type::named(named).unwrap_or(Type::Text)))
        });
        (name.replace('.', "_"), columns.collect())
    });
    tables.collect()
});

/// A type, as `pg_type` tells it.
pub(super) struct Told {
    pub(super) oid: i64,
    pub(super) name: &'static str,
    /// All that is told, in the order of `types.txt`.
    pub(super) fields: Vec<&'static str>,
}

/// All types.
pub(super) static TOLD: LazyLock<Vec<Told>> = LazyLock::new(|| {
    let types = TYPES.lines().filter_map(|line| {
        let fields: Vec<&'static str> = line.split(',').collect();
        Some(Told {
            oid: fields.first()?.parse().ok()?,
            name: fields.get(1)?,
            fields,
        })
    });
    types.collect()
});

/// The statements that make the tables.
pub(super) fn schema() -> String {
    let tables = SHAPES.iter().map(|(name, columns)| {
        let columns: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("\"{name}\" {}", kind.declared()))
            .collect();
        format!("CREATE TABLE \"{name}\" ({});", columns.join(", "))
    });
    tables.collect()
}
