//! Values on their way into a statement: what a program gave, as the type that its
//! place in the statement has.

use gridmart_schemas::data::{Float8, SqlType, Value};

use super::sql::{BaseType, Literal, Refusal, constant};

/// The type that a value declares for its parameter. A text declares none, so that it
/// is read as whatever its place needs, as PostgreSQL's clients have it.
pub(super) fn declared(value: &Value) -> Option<BaseType> {
    match value {
        Value::Text(_) | Value::Json(_) => None,
        typed => typed.sql_type().map(BaseType::from),
    }
}

/// A value as a constant of the type that was found for it.
pub(super) fn literal(value: &Value, wanted: BaseType) -> Result<Literal, Refusal> {
    Ok(match value {
        Value::Null => Literal::Null,
        Value::Bool(truth) => Literal::Bool(*truth),
        Value::Int2(number) => Literal::Integer((*number).into()),
        Value::Int4(number) => Literal::Integer((*number).into()),
        Value::Int8(number) => Literal::Integer(*number),
        Value::Float4(number) => Literal::Float(number.get().into()),
        Value::Float8(number) => Literal::Float(number.get()),
        Value::Numeric(number) => Literal::Numeric(number.as_str().to_owned()),
        Value::Text(text) | Value::Json(text) => constant(text, wanted)?,
        Value::Bytea(bytes) => Literal::Bytes(bytes.clone()),
        Value::Date(date) => Literal::Text(date.to_string()),
        Value::Time(time) => Literal::Text(time.to_string()),
        Value::Timestamp(moment) => Literal::Text(moment.to_string()),
        Value::TimestampTz(moment) => Literal::Text(moment.to_string()),
        Value::Uuid(uuid) => Literal::Text(uuid.to_string()),
    })
}

/// A constant as it is bound at the engine. All that is kept as text is bound as
/// text, in the form in which it is kept.
pub(super) fn value(literal: Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(truth) => Value::Bool(truth),
        Literal::Integer(number) => Value::Int8(number),
        Literal::Float(number) => Value::Float8(Float8::new(number)),
        Literal::Numeric(text) | Literal::Text(text) => Value::Text(text),
        Literal::Bytes(bytes) => Value::Bytea(bytes),
    }
}

/// A default of a column, as the judge knows constants.
pub(super) fn default(value: &Value, sql_type: SqlType) -> Literal {
    // What stands in a column has its form already.
    literal(value, BaseType::from(sql_type)).unwrap_or(Literal::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_what_its_place_needs_and_others_stay_what_they_are() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(declared(&text("1")), None);
        assert_eq!(declared(&Value::Int4(1)), Some(BaseType::Int4));
        assert_eq!(
            literal(&text(" 12 "), BaseType::Int8),
            Ok(Literal::Integer(12))
        );
        assert_eq!(
            literal(&text("2026-1-2"), BaseType::Date),
            Ok(Literal::Text("2026-01-02".to_owned()))
        );
        assert_eq!(
            literal(
                &Value::Json("{\"b\":1,\"a\":2}".to_owned()),
                BaseType::Jsonb
            ),
            Ok(Literal::Text("{\"a\": 2, \"b\": 1}".to_owned()))
        );
        assert_eq!(
            literal(&text("x"), BaseType::Int8).unwrap_err().state,
            "22P02"
        );
        assert_eq!(literal(&Value::Null, BaseType::Int8), Ok(Literal::Null));
        assert_eq!(
            value(Literal::Numeric("1.50".to_owned())),
            Value::Text("1.50".to_owned())
        );
    }
}
