//! Types that meet: which one both sides take, and how a value gets there.

use gridmart_schemas::data::SqlType;

use super::{
    super::{
        refusal::{Judgement, Refusal},
        tree::{CastMode, Expression, Kind, Literal},
        types::{BaseType, Family},
    },
    Binder, literal,
};

impl Binder<'_> {
    /// A value in the type that its place wants, where nothing can be lost.
    pub(super) fn implicit(
        &mut self,
        value: Expression,
        wanted: BaseType,
    ) -> Judgement<Expression> {
        let value = self.settled(value, wanted)?;
        let given = value.sql_type;
        if given == wanted {
            return Ok(value);
        }
        if given.widens_to(wanted) {
            return Ok(cast_node(value, wanted.into(), CastMode::Cast));
        }
        Err(Refusal::mismatch(format!(
            "a value of type {given} stands where {wanted} is needed: cast it"
        )))
    }

    /// A value in the type of the column it is put into.
    pub(super) fn assigned(
        &mut self,
        value: Expression,
        column: SqlType,
        name: &str,
    ) -> Judgement<Expression> {
        let wanted = BaseType::from(column);
        let value = self.settled(value, wanted)?;
        let given = value.sql_type;
        let allowed = given == wanted
            || given.widens_to(wanted)
            || (given.is_number() && wanted.is_number())
            || (given.family() == Family::Moment && wanted.family() == Family::Moment)
            || (given == BaseType::Timestamp || given == BaseType::TimestampTz)
                && wanted == BaseType::Time
            || wanted.is_text();
        if !allowed || !is_castable(given, wanted) {
            let message = format!(
                "column \"{name}\" is of type {wanted} but expression is of type {given}: cast it"
            );
            return Err(Refusal::mismatch(message));
        }
        Ok(cast_node(value, column, CastMode::Assignment))
    }

    /// A cast that is asked for.
    pub(super) fn cast(&mut self, value: Expression, wanted: SqlType) -> Judgement<Expression> {
        let base = BaseType::from(wanted);
        let value = self.settled(value, base)?;
        let given = value.sql_type;
        if !is_castable(given, base) {
            let message = format!("cannot cast type {given} to {base}");
            return Err(Refusal::new("42846", message));
        }
        Ok(cast_node(value, wanted, CastMode::Cast))
    }

    /// A truth value.
    pub(super) fn truth(&mut self, value: Expression, place: &str) -> Judgement<Expression> {
        let value = self.settled(value, BaseType::Bool)?;
        if value.sql_type != BaseType::Bool {
            let message = format!(
                "argument of {place} must be type boolean, not type {}",
                value.sql_type
            );
            return Err(Refusal::mismatch(message));
        }
        Ok(value)
    }

    /// An open constant or parameter takes the type; whatever has one keeps it.
    pub(super) fn settled(
        &mut self,
        mut value: Expression,
        wanted: BaseType,
    ) -> Judgement<Expression> {
        if !value.is_open() || wanted == BaseType::Unknown {
            return Ok(value);
        }
        match &mut value.kind {
            Kind::Literal(constant) => {
                if let Literal::Text(text) = constant {
                    *constant = literal::read(text, wanted)?;
                }
                value.sql_type = wanted;
            }
            Kind::Parameter(index) => {
                let known = self.parameter(*index)?;
                value.sql_type = *known.get_or_insert(wanted);
            }
            _ => {
                return Err(Refusal::mismatch(
                    "the type of an expression cannot be told: cast it",
                ));
            }
        }
        Ok(value)
    }

    /// What is open still becomes text, as in PostgreSQL.
    pub(super) fn settled_as_text(&mut self, value: Expression) -> Judgement<Expression> {
        self.settled(value, BaseType::Text)
    }

    /// Two values to be compared, in one type.
    pub(super) fn compared(
        &mut self,
        left: Expression,
        right: Expression,
        operator: &str,
    ) -> Judgement<(Expression, Expression)> {
        let missing = |left: BaseType, right: BaseType| {
            let message =
                format!("operator does not exist: {left} {operator} {right}: cast one side");
            Refusal::new("42883", message)
        };
        let (left, right) = match (left.is_open(), right.is_open()) {
            (true, true) => (self.settled_as_text(left)?, self.settled_as_text(right)?),
            (true, false) => (self.settled(left, right.sql_type)?, right),
            (false, true) => {
                let wanted = left.sql_type;
                (left, self.settled(right, wanted)?)
            }
            (false, false) => (left, right),
        };
        let (given, other) = (left.sql_type, right.sql_type);
        let common = operand_type(given, other).filter(|common| common.is_comparable());
        let common = common.ok_or_else(|| missing(given, other))?;
        Ok((self.implicit(left, common)?, self.implicit(right, common)?))
    }

    /// Values that stand for each other, in one type: branches of CASE, rows of
    /// VALUES, sides of UNION.
    pub(super) fn unified(
        &mut self,
        values: Vec<Expression>,
        place: &str,
    ) -> Judgement<Vec<Expression>> {
        let common = common_type(values.iter().map(|value| value.sql_type), place)?;
        values
            .into_iter()
            .map(|value| self.implicit(value, common))
            .collect()
    }
}

/// The type that all of them become; all open: text.
pub(super) fn common_type(
    types: impl Iterator<Item = BaseType>,
    place: &str,
) -> Judgement<BaseType> {
    let mut common = BaseType::Unknown;
    for given in types {
        common = common_of_two(common, given).ok_or_else(|| {
            Refusal::mismatch(format!(
                "{place} types {common} and {given} cannot be matched: cast one"
            ))
        })?;
    }
    Ok(if common == BaseType::Unknown {
        BaseType::Text
    } else {
        common
    })
}

/// The type in which an operator takes both sides.
pub(super) fn operand_type(left: BaseType, right: BaseType) -> Option<BaseType> {
    // Of float4 and an exact number PostgreSQL's operators make a float8.
    if left.is_number()
        && right.is_number()
        && left != right
        && (left.is_float() || right.is_float())
    {
        return Some(BaseType::Float8);
    }
    common_of_two(left, right)
}

fn common_of_two(left: BaseType, right: BaseType) -> Option<BaseType> {
    if left.is_text() && right.is_text() {
        return Some(if left == right { left } else { BaseType::Text });
    }
    if left == BaseType::Unknown || left.widens_to(right) {
        return Some(right);
    }
    (right == BaseType::Unknown || right.widens_to(left)).then_some(left)
}

/// Casts that are known.
fn is_castable(from: BaseType, to: BaseType) -> bool {
    use BaseType::{Bool, Bytea, Date, Int4, Json, Jsonb, Time, Timestamp, TimestampTz};
    if from == to || (from.is_number() && to.is_number()) || from.widens_to(to) {
        return true;
    }
    match (from, to) {
        // What bytes are as text depends on a setting; json would have to be checked.
        (Bytea, _) | (_, Bytea | Json | Jsonb) => false,
        _ if from.is_text() || to.is_text() => true,
        _ => matches!(
            (from, to),
            (Bool, Int4)
                | (Int4, Bool)
                | (Timestamp | TimestampTz, Date | Time)
                | (TimestampTz, Timestamp)
        ),
    }
}

pub(super) fn cast_node(value: Expression, to: SqlType, mode: CastMode) -> Expression {
    let base = BaseType::from(to);
    if let Kind::Literal(constant) = &value.kind
        && to.bounds().is_none()
        && let Some(converted) = literal::converted(constant, value.sql_type, base)
    {
        return Expression::new(Kind::Literal(converted), base);
    }
    if value.sql_type == base && to.bounds().is_none() {
        return value;
    }
    Expression::new(
        Kind::Cast {
            operand: Box::new(value),
            to,
            mode,
        },
        base,
    )
}
