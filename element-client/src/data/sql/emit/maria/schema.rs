//! Declarations of columns and tables.
//!
//! A column's type by PostgreSQL's name, and its default, are its comment, so that they are
//! found again; an index that a person made has one as well.

use gridmart_schemas::data::{Float4, Float8, SqlType, Value};

use super::{
    super::{
        super::{
            bind::SchemaPlan,
            catalog::{Column, Table},
            tree::Literal,
            types::BaseType,
        },
        Emitter,
    },
    COLLATION,
    numeric::{PRECISION_MAX, SCALE_MAX},
};

/// Bytes that a key may have.
const KEY_BYTES: usize = 3072;
/// Bytes that a column of fixed size has in a key, at most.
const FIXED_BYTES: usize = 40;
/// Bytes of a letter.
const LETTER_BYTES: usize = 4;
/// Letters of a column's comment.
const COMMENT_LETTERS_MAX: usize = 1024;
/// What tells an index from those that MariaDB makes for keys.
pub(in crate::data::sql::emit) const INDEX_COMMENT: &str = " COMMENT 'gridmart'";
/// Bytes of what a view is.
const VIEW_BYTES: usize = 16 * 1024;
/// A varchar up to here is kept in the row.
const VARCHAR_MAX: u32 = 255;

impl Emitter {
    /// How many letters a text column may have because of the keys that it is in.
    pub(in crate::data::sql::emit) fn key_letters(
        table: &Table,
        plan: &SchemaPlan,
        column: usize,
    ) -> Option<usize> {
        let references = plan.references.iter().map(|reference| &reference.columns);
        let keys = std::iter::once(&table.primary_key)
            .chain(&table.unique_keys)
            .chain(references);
        keys.filter(|key| key.contains(&column))
            .map(|key| letters_of_key(table, key))
            .min()
    }

    pub(in crate::data::sql::emit) fn maria_column(
        &mut self,
        column: &Column,
        key_letters: Option<usize>,
    ) {
        self.name(&column.name);
        self.push(" ");
        let declared = self.maria_declaration(column.column_type, key_letters);
        self.push(&declared);
        if !column.nullable {
            self.push(" NOT NULL");
        }
        if let Some(default) = &column.default {
            self.push(" DEFAULT (");
            match (default, BaseType::from(column.column_type)) {
                // A column of any scale keeps text.
                (Literal::Numeric(text), BaseType::Numeric)
                    if column.column_type.bounds().is_none() =>
                {
                    self.quoted(text);
                }
                (default, base) => self.maria_literal(default, base),
            }
            self.push(")");
        }
        self.push(" COMMENT ");
        let comment = self.maria_comment(column);
        self.quoted(&comment);
        self.maria_check(column, key_letters);
    }

    /// The type, and the default as a value, so that a Host tells both again.
    fn maria_comment(&mut self, column: &Column) -> String {
        let mut comment = column.column_type.to_string();
        let told = column
            .default
            .as_ref()
            .and_then(|default| told(default, column.column_type));
        if let Some(json) = told.and_then(|value| serde_json::to_string(&value).ok()) {
            comment.push(' ');
            comment.push_str(&json);
        }
        if comment.chars().count() > COMMENT_LETTERS_MAX {
            self.refuse("a default of so many letters");
        }
        comment
    }

    /// What the declaration does not hold a value to.
    fn maria_check(&mut self, column: &Column, key_letters: Option<usize>) {
        match column.column_type {
            SqlType::Varchar(Some(length)) if length > VARCHAR_MAX && key_letters.is_none() => {
                self.push(" CHECK (CHAR_LENGTH(");
                self.name(&column.name);
                self.push(&format!(") <= {length})"));
            }
            // What is compared as a DECIMAL has to be one.
            SqlType::Numeric(None) => {
                self.push(" CHECK (");
                self.name(&column.name);
                self.push(" REGEXP '^-?[0-9]{1,38}([.][0-9]{1,27})?$')");
            }
            _ => {}
        }
    }

    fn maria_declaration(&mut self, column_type: SqlType, key_letters: Option<usize>) -> String {
        let text = |letters: Option<usize>| {
            letters.map_or("LONGTEXT".to_owned(), |letters| {
                format!("VARCHAR({letters})")
            })
        };
        match column_type {
            SqlType::Bool => "TINYINT(1)".to_owned(),
            SqlType::Int2 => "SMALLINT".to_owned(),
            SqlType::Int4 => "INT".to_owned(),
            SqlType::Int8 => "BIGINT".to_owned(),
            SqlType::Float4 => "FLOAT".to_owned(),
            SqlType::Float8 => "DOUBLE".to_owned(),
            SqlType::Numeric(Some((precision, scale))) => {
                if u32::from(precision) > PRECISION_MAX || u32::from(scale) > SCALE_MAX {
                    self.refuse(&format!(
                        "a numeric of more than {PRECISION_MAX} digits, or {SCALE_MAX} after the point,"
                    ));
                }
                format!("DECIMAL({precision},{scale})")
            }
            SqlType::Numeric(None) => {
                if key_letters.is_some() {
                    self.refuse("a key over a numeric without precision and scale");
                }
                "VARCHAR(67)".to_owned()
            }
            SqlType::Varchar(Some(length)) => {
                let kept = usize::try_from(length).unwrap_or(usize::MAX);
                match key_letters {
                    Some(letters) => text(Some(letters.min(kept))),
                    None if length <= VARCHAR_MAX => text(Some(kept)),
                    None => text(None),
                }
            }
            SqlType::Text | SqlType::Varchar(None) => text(key_letters),
            SqlType::Json | SqlType::Jsonb => "LONGTEXT".to_owned(),
            SqlType::Bytea => key_letters.map_or("LONGBLOB".to_owned(), |letters| {
                format!("VARBINARY({})", letters * LETTER_BYTES)
            }),
            SqlType::Date => "DATE".to_owned(),
            SqlType::Time => "TIME(6)".to_owned(),
            SqlType::Timestamp | SqlType::TimestampTz => "DATETIME(6)".to_owned(),
            SqlType::Uuid => "VARCHAR(36)".to_owned(),
        }
    }

    /// What stands behind the columns and keys of a table.
    pub(in crate::data::sql::emit) fn maria_table_options(&mut self) {
        self.push(&format!(
            " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE={COLLATION}"
        ));
    }

    /// A term of an index: of a long text its begin.
    pub(in crate::data::sql::emit) fn maria_index_term(
        &mut self,
        table: &Table,
        columns: &[usize],
        column: usize,
        unique: bool,
    ) {
        let Some(column) = table.columns.get(column) else {
            return;
        };
        if column.column_type == SqlType::Numeric(None) {
            return self.refuse("an index over a numeric without precision and scale");
        }
        self.name(&column.name);
        if is_long(column.column_type) {
            if unique {
                return self
                    .refuse("CREATE UNIQUE INDEX over text: declare the key with the table");
            }
            let letters = letters_of_key(table, columns).min(191);
            self.push(&format!("({letters})"));
        }
    }

    /// What stands for a view: a table without rows, whose one column has the definition as
    /// its default, in hexadecimal digits. So it is made, replaced and dropped as a whole, and
    /// needs no right beside those for tables.
    pub(in crate::data::sql::emit) fn maria_view(
        &mut self,
        name: &str,
        definition: &str,
        is_there: bool,
    ) {
        self.push(if is_there {
            "CREATE OR REPLACE TABLE "
        } else {
            "CREATE TABLE "
        });
        self.name(name);
        self.push(" (\"definition\" LONGTEXT DEFAULT ('");
        if definition.len() > VIEW_BYTES {
            self.refuse("a view of so many letters");
        }
        for byte in definition.bytes() {
            self.push(&format!("{byte:02x}"));
        }
        self.push("'))");
        self.maria_table_options();
        self.push(" COMMENT='gridmart view'");
    }

    pub(in crate::data::sql::emit) fn maria_action(&mut self, action: &str) {
        if action == "SET DEFAULT" {
            self.refuse("a foreign key with SET DEFAULT");
        }
    }
}

/// A default as a value of its column.
fn told(default: &Literal, column_type: SqlType) -> Option<Value> {
    match (default, BaseType::from(column_type)) {
        (Literal::Null, _) => None,
        (Literal::Bool(truth), _) => Some(Value::Bool(*truth)),
        (Literal::Integer(number), BaseType::Int2) => i16::try_from(*number).ok().map(Value::Int2),
        (Literal::Integer(number), BaseType::Int4) => i32::try_from(*number).ok().map(Value::Int4),
        (Literal::Integer(number), _) => Some(Value::Int8(*number)),
        (Literal::Float(number), BaseType::Float4) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the constant is one of 32 bits"
            )]
            let narrow = *number as f32;
            Some(Value::Float4(Float4::new(narrow)))
        }
        (Literal::Float(number), _) => Some(Value::Float8(Float8::new(*number))),
        (Literal::Numeric(text), _) => text.parse().ok().map(Value::Numeric),
        (Literal::Text(text), BaseType::Date) => text.parse().ok().map(Value::Date),
        (Literal::Text(text), BaseType::Time) => text.parse().ok().map(Value::Time),
        (Literal::Text(text), BaseType::Timestamp) => text.parse().ok().map(Value::Timestamp),
        (Literal::Text(text), BaseType::TimestampTz) => text.parse().ok().map(Value::TimestampTz),
        (Literal::Text(text), BaseType::Uuid) => text.parse().ok().map(Value::Uuid),
        (Literal::Text(text), BaseType::Json | BaseType::Jsonb) => Some(Value::Json(text.clone())),
        (Literal::Text(text), _) => Some(Value::Text(text.clone())),
        (Literal::Bytes(bytes), _) => Some(Value::Bytea(bytes.clone())),
    }
}

/// Whether a column may have no size that a key could take whole.
fn is_long(column_type: SqlType) -> bool {
    match column_type {
        SqlType::Varchar(Some(length)) => length > VARCHAR_MAX,
        SqlType::Text
        | SqlType::Varchar(None)
        | SqlType::Bytea
        | SqlType::Json
        | SqlType::Jsonb => true,
        _ => false,
    }
}

fn letters_of_key(table: &Table, key: &[usize]) -> usize {
    let types = key
        .iter()
        .filter_map(|column| table.columns.get(*column))
        .map(|column| BaseType::from(column.column_type));
    let (texts, others): (Vec<_>, Vec<_>) =
        types.partition(|base| base.is_text() || *base == BaseType::Bytea);
    let room = KEY_BYTES.saturating_sub(others.len() * FIXED_BYTES);
    room / LETTER_BYTES / texts.len().max(1)
}
