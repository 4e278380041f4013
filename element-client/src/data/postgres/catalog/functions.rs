//! Functions of PostgreSQL that questions about the catalog call.

use std::sync::Arc;

use regex_lite::RegexBuilder;
use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::{Value, ValueRef},
};
use serde_json::Value as Json;

use super::{
    contents::{Contents, Numbers, quoted},
    shape::TOLD,
};

/// Numbers of tables of the catalog itself, which clients name as constants.
const OWN: &[(&str, i64)] = &[
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_database", 1262),
    ("pg_attrdef", 2604),
    ("pg_constraint", 2606),
    ("pg_description", 2609),
    ("pg_index", 2610),
    ("pg_namespace", 2615),
    ("pg_trigger", 2620),
];
/// Functions that say yes: what is in the catalog may be seen, and used as far as rules
/// let it be, which a statement is told when it is run.
const TRUE: &[&str] = &[
    "pg_table_is_visible",
    "pg_type_is_visible",
    "pg_function_is_visible",
    "pg_collation_is_visible",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "has_table_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_column_privilege",
    "has_any_column_privilege",
];
const FALSE: &[&str] = &["pg_relation_is_publishable", "pg_is_in_recovery"];
/// Functions about what there is none of, or what is not known here.
const NOTHING: &[&str] = &[
    "obj_description",
    "col_description",
    "shobj_description",
    "pg_get_serial_sequence",
    "pg_get_viewdef",
    "pg_get_triggerdef",
    "pg_get_ruledef",
    "pg_get_partkeydef",
    "pg_get_function_result",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_functiondef",
    "pg_get_statisticsobjdef_columns",
    "pg_tablespace_location",
    "pg_table_size",
    "pg_relation_size",
    "pg_total_relation_size",
    "pg_database_size",
    "pg_size_pretty",
    "inet_server_addr",
    "inet_client_addr",
];
/// Elements of a series.
const SERIES_MAX: i64 = 10_000;
/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// Adds a function of any number of arguments.
fn add(
    connection: &Connection,
    name: &str,
    function: impl Fn(&Context<'_>) -> Result<Value> + Send + 'static,
) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(name, -1, flags, function)
}

fn failed(message: impl Into<String>) -> Error {
    Error::UserFunctionError(message.into().into())
}

/// An argument as text; `None`: NULL, or not given.
fn text(context: &Context<'_>, at: usize) -> Option<String> {
    if at >= context.len() {
        return None;
    }
    match context.get_raw(at) {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

fn number(context: &Context<'_>, at: usize) -> Option<i64> {
    text(context, at)?.trim().parse().ok()
}

fn array(context: &Context<'_>, at: usize) -> Option<Vec<Json>> {
    serde_json::from_str(&text(context, at)?).ok()
}

fn of(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Integer((*truth).into()),
        Json::Number(number) => number.as_i64().map_or(Value::Null, Value::Integer),
        Json::String(text) => of(text),
        other => of(other.to_string()),
    }
}

/// Adds all of them.
pub(super) fn register(
    connection: &Connection,
    contents: &Contents,
    numbers: Numbers,
) -> Result<()> {
    for (names, value) in [
        (TRUE, Value::Integer(1)),
        (FALSE, Value::Integer(0)),
        (NOTHING, Value::Null),
    ] {
        for name in names {
            let value = value.clone();
            add(connection, name, move |_| Ok(value.clone()))?;
        }
    }
    session(connection, contents)?;
    arrays(connection)?;
    let numbers = Arc::new(numbers);
    relations(connection, contents, &numbers)?;
    add(connection, "format_type", |context| {
        let modifier = number(context, 1).unwrap_or(-1);
        Ok(number(context, 0).map_or(Value::Null, |oid| of(format_type(oid, modifier))))
    })?;
    add(connection, "to_regtype", |context| {
        let name = text(context, 0).unwrap_or_default();
        Ok(type_number(&name).map_or(Value::Null, Value::Integer))
    })?;
    add(connection, "gm_regexp", |context| {
        let (Some(subject), Some(pattern)) = (text(context, 0), text(context, 1)) else {
            return Ok(Value::Null);
        };
        let compiled = RegexBuilder::new(&pattern)
            .case_insensitive(number(context, 2) == Some(1))
            .size_limit(PATTERN_BYTES_MAX)
            .build();
        let compiled =
            compiled.map_err(|error| failed(format!("the pattern cannot be read: {error}")))?;
        Ok(Value::Integer(compiled.is_match(&subject).into()))
    })
}

fn session(connection: &Connection, contents: &Contents) -> Result<()> {
    let version = format!(
        "PostgreSQL 15.0 (gridmart {}) on SQLite, 64-bit",
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in [
        ("version", version.as_str()),
        ("current_database", &contents.database),
        ("current_catalog", &contents.database),
        ("current_schema", "public"),
        ("current_user", &contents.person),
        ("session_user", &contents.person),
        ("current_role", &contents.person),
        ("user", &contents.person),
        ("pg_client_encoding", "UTF8"),
        ("pg_encoding_to_char", "UTF8"),
    ] {
        let value = of(value);
        add(connection, name, move |_| Ok(value.clone()))?;
    }
    let process = i64::from(contents.process);
    add(connection, "pg_backend_pid", move |_| {
        Ok(Value::Integer(process))
    })?;
    add(connection, "current_schemas", |context| {
        let with_implicit = number(context, 0) == Some(1);
        Ok(of(if with_implicit {
            r#"["pg_catalog","public"]"#
        } else {
            r#"["public"]"#
        }))
    })?;
    let settings = contents.settings.clone();
    add(connection, "current_setting", move |context| {
        let name = text(context, 0).unwrap_or_default().to_ascii_lowercase();
        let known = settings.iter().find(|(known, _)| *known == name);
        match (known, number(context, 1)) {
            (Some((_, value)), _) => Ok(of(value)),
            (None, _) if name == "default_table_access_method" => Ok(of("heap")),
            (None, Some(1)) => Ok(Value::Null),
            (None, _) => Err(failed(format!(
                "unrecognized configuration parameter \"{name}\""
            ))),
        }
    })?;
    add(connection, "pg_get_expr", |context| {
        Ok(text(context, 0).map_or(Value::Null, of))
    })?;
    add(connection, "quote_ident", |context| {
        Ok(text(context, 0).map_or(Value::Null, |name| of(quoted(&name))))
    })
}

/// Arrays are texts of JSON here.
fn arrays(connection: &Connection) -> Result<()> {
    add(connection, "array_to_string", |context| {
        let (Some(array), Some(between)) = (array(context, 0), text(context, 1)) else {
            return Ok(Value::Null);
        };
        let absent = text(context, 2);
        let parts = array.iter().filter_map(|element| match element {
            Json::Null => absent.clone(),
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        Ok(of(parts.collect::<Vec<_>>().join(&between)))
    })?;
    for name in ["array_upper", "array_length", "cardinality"] {
        add(connection, name, |context| {
            let length = array(context, 0)
                .map(|array| array.len())
                .filter(|length| *length > 0);
            let length = length.and_then(|length| i64::try_from(length).ok());
            Ok(length.map_or(Value::Null, Value::Integer))
        })?;
    }
    add(connection, "array_lower", |context| {
        Ok(array(context, 0).map_or(Value::Null, |_| Value::Integer(1)))
    })?;
    // The element at a place, where the first one is at that place.
    add(connection, "gm_element", |context| {
        let (Some(array), Some(at)) = (array(context, 0), number(context, 1)) else {
            return Ok(Value::Null);
        };
        let at = usize::try_from(at - number(context, 2).unwrap_or(1)).ok();
        Ok(at.and_then(|at| array.get(at)).map_or(Value::Null, of_json))
    })?;
    // Also of texts as PostgreSQL writes arrays.
    add(connection, "gm_array", |context| {
        let Some(written) = text(context, 0) else {
            return Ok(Value::Null);
        };
        let inner = written
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'));
        let Some(inner) = inner else {
            return Ok(of(written));
        };
        let elements = inner.split(',').filter(|element| !element.is_empty());
        let elements = elements.map(|element| match element.parse::<i64>() {
            Ok(number) => Json::from(number),
            Err(_) => Json::from(element.trim_matches('"')),
        });
        Ok(of(Json::from(elements.collect::<Vec<_>>()).to_string()))
    })?;
    add(connection, "gm_series", |context| {
        let (Some(from), Some(to)) = (number(context, 0), number(context, 1)) else {
            return Ok(of("[]"));
        };
        if to.saturating_sub(from) > SERIES_MAX {
            return Err(failed("the series is too long"));
        }
        Ok(of(format!("{:?}", (from..=to).collect::<Vec<_>>())))
    })
}

fn relations(connection: &Connection, contents: &Contents, numbers: &Arc<Numbers>) -> Result<()> {
    let known = Arc::clone(numbers);
    let find = move |name: &str| {
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        let name = name.strip_prefix("public.").unwrap_or(name);
        let name = name.trim_matches('"');
        let own = OWN
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, oid)| *oid);
        own.or_else(|| known.relations.get(name).copied())
            .or_else(|| name.parse().ok())
    };
    let to = find.clone();
    add(connection, "to_regclass", move |context| {
        let found = text(context, 0).and_then(|name| to(&name));
        Ok(found.map_or(Value::Null, Value::Integer))
    })?;
    add(connection, "gm_regclass", move |context| {
        let Some(name) = text(context, 0) else {
            return Ok(Value::Null);
        };
        let found = find(&name).map(Value::Integer);
        found.ok_or_else(|| failed(format!("relation \"{name}\" does not exist")))
    })?;
    let known = Arc::clone(numbers);
    add(connection, "gm_regclass_text", move |context| {
        let Some(oid) = number(context, 0) else {
            return Ok(text(context, 0).map_or(Value::Null, of));
        };
        let own = OWN
            .iter()
            .find(|(_, own)| *own == oid)
            .map(|(name, _)| (*name).to_owned());
        let mut relations = known.relations.iter();
        let found = relations.find(|(_, known)| **known == oid);
        let name = own.or_else(|| found.map(|(name, _)| quoted(name)));
        Ok(of(name.unwrap_or_else(|| oid.to_string())))
    })?;
    let known = Arc::clone(numbers);
    add(connection, "pg_get_indexdef", move |context| {
        let found = number(context, 0).and_then(|oid| known.index_definitions.get(&oid));
        let Some((definition, columns)) = found else {
            return Ok(Value::Null);
        };
        let at = number(context, 1).filter(|at| *at > 0);
        Ok(match at.map(|at| usize::try_from(at - 1)) {
            None => of(definition),
            Some(at) => {
                let column = at.ok().and_then(|at| columns.get(at));
                column.map_or(Value::Null, of)
            }
        })
    })?;
    let known = Arc::clone(numbers);
    add(connection, "pg_get_constraintdef", move |context| {
        let found = number(context, 0).and_then(|oid| known.constraints.get(&oid));
        Ok(found.map_or(Value::Null, of))
    })?;
    let (person, owner) = (of(&contents.person), of(&contents.owner));
    add(connection, "pg_get_userbyid", move |context| {
        // Of whatever is not the person's.
        let is_person = number(context, 0) == Some(16_000);
        Ok(if is_person {
            person.clone()
        } else {
            owner.clone()
        })
    })
}

/// The number of a type by its name.
fn type_number(name: &str) -> Option<i64> {
    let name = name
        .trim()
        .trim_start_matches("pg_catalog.")
        .trim_matches('"');
    let found = TOLD.iter().find(|told| told.name == name);
    let found = found.or_else(|| TOLD.iter().find(|told| format_type(told.oid, -1) == name));
    found.map(|told| told.oid)
}

/// A type as it stands in a statement.
fn format_type(oid: i64, modifier: i64) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(told) = TOLD.iter().find(|told| told.oid == oid) else {
        return "???".to_owned();
    };
    let bounds = modifier - 4;
    match told.name {
        "bool" => "boolean".to_owned(),
        "int2" => "smallint".to_owned(),
        "int4" => "integer".to_owned(),
        "int8" => "bigint".to_owned(),
        "float4" => "real".to_owned(),
        "float8" => "double precision".to_owned(),
        "bpchar" => "character".to_owned(),
        "char" => "\"char\"".to_owned(),
        "time" => "time without time zone".to_owned(),
        "timestamp" => "timestamp without time zone".to_owned(),
        "timestamptz" => "timestamp with time zone".to_owned(),
        "varchar" if bounds > 0 => format!("character varying({bounds})"),
        "varchar" => "character varying".to_owned(),
        "numeric" if bounds > 0 => {
            format!("numeric({},{})", bounds >> 16 & 0xffff, bounds & 0x7ff)
        }
        name => match name.strip_prefix('_') {
            Some(element) => {
                let element = TOLD.iter().find(|told| told.name == element);
                let element = element.map_or("???".to_owned(), |told| format_type(told.oid, -1));
                format!("{element}[]")
            }
            None => name.to_owned(),
        },
    }
}
