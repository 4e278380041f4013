//! How a Rust function becomes a function of SQLite.

use rusqlite::{
    Connection, Error,
    functions::{Context, FunctionFlags},
    types::{Value, ValueRef},
};

use super::decimal::Decimal;

/// Why a function cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// PostgreSQL's code for it, five characters.
    pub state: &'static str,
    /// What went wrong.
    pub message: String,
}

impl Failure {
    /// A failure with its code.
    pub fn new(state: &'static str, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
        }
    }

    pub(super) fn division_by_zero() -> Self {
        Self::new("22012", "division by zero")
    }

    /// A stored value has not the form of its type.
    pub(super) fn stored(type_name: &str) -> Self {
        Self::new(
            "XX001",
            format!("a stored value is no {type_name}: check the database"),
        )
    }

    pub(super) fn to_error(&self) -> Error {
        Error::UserFunctionError(format!("gridmart[{}] {}", self.state, self.message).into())
    }
}

/// The code and message of a failure that came out of a statement; `None` where
/// another error ended it.
pub fn failure(error: &Error) -> Option<(String, String)> {
    let text = match error {
        Error::SqliteFailure(_, Some(text)) => text.clone(),
        Error::UserFunctionError(source) => source.to_string(),
        _ => return None,
    };
    let (state, message) = text.strip_prefix("gridmart[")?.split_once("] ")?;
    Some((state.to_owned(), message.to_owned()))
}

/// The arguments of one call; none is NULL.
pub(super) struct Arguments<'a, 'b>(&'a Context<'b>);

impl<'a> Arguments<'a, '_> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn text(&self, index: usize) -> Result<&'a str, Failure> {
        match self.0.get_raw(index) {
            ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map_err(|_| Failure::stored("text"))
            }
            _ => Err(Failure::stored("text")),
        }
    }

    pub(super) fn integer(&self, index: usize) -> Result<i64, Failure> {
        match self.0.get_raw(index) {
            ValueRef::Integer(number) => Ok(number),
            _ => Err(Failure::stored("integer")),
        }
    }

    pub(super) fn float(&self, index: usize) -> Result<f64, Failure> {
        float_of(self.0.get_raw(index))
    }

    pub(super) fn decimal(&self, index: usize) -> Result<Decimal, Failure> {
        decimal_of(self.0.get_raw(index))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<&'a [u8], Failure> {
        match self.0.get_raw(index) {
            ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(Failure::stored("bytea")),
        }
    }
}

pub(super) fn float_of(value: ValueRef<'_>) -> Result<f64, Failure> {
    match value {
        ValueRef::Real(number) => Ok(number),
        #[expect(
            clippy::cast_precision_loss,
            reason = "SQLite keeps whole floats as integers"
        )]
        ValueRef::Integer(number) => Ok(number as f64),
        ValueRef::Text(b"NaN") => Ok(f64::NAN),
        _ => Err(Failure::stored("float")),
    }
}

pub(super) fn decimal_of(value: ValueRef<'_>) -> Result<Decimal, Failure> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(Decimal::parse)
            .ok_or_else(|| Failure::stored("numeric")),
        ValueRef::Integer(number) => Ok(Decimal::from_integer(number)),
        _ => Err(Failure::stored("numeric")),
    }
}

/// What is answered for a float: NaN has a form of its own.
pub(super) fn float_value(number: f64) -> Value {
    if number.is_nan() {
        Value::Text("NaN".to_owned())
    } else {
        Value::Real(number)
    }
}

pub(super) fn bool_value(truth: bool) -> Value {
    Value::Integer(i64::from(truth))
}

pub(super) fn text_value(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// What may be said of every function here but `gridmart_require`.
pub(super) fn pure() -> FunctionFlags {
    FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS
}

/// Registers a function that answers NULL where an argument is NULL. `count` is
/// the number of arguments; -1: any.
pub(super) fn strict<F>(
    connection: &Connection,
    name: &str,
    count: i32,
    function: F,
) -> rusqlite::Result<()>
where
    F: Fn(&Arguments<'_, '_>) -> Result<Value, Failure> + Send + 'static,
{
    connection.create_scalar_function(name, count, pure(), move |context| {
        if (0..context.len()).any(|index| context.get_raw(index) == ValueRef::Null) {
            return Ok(Value::Null);
        }
        function(&Arguments(context)).map_err(|failure| failure.to_error())
    })
}
