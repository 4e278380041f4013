//! Operators. Chains of them are bound in a loop: they lean to the left as deep as
//! they are long.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::{
    super::{
        function::{self, Function},
        refusal::{Judgement, Refusal},
        tree::{Arithmetic, Comparison, Expression, Kind, Literal},
        types::BaseType,
    },
    Binder, Place,
    convert::operand_type,
};

impl Binder<'_> {
    pub(super) fn chain(&mut self, expression: &Expr, place: Place<'_>) -> Judgement<Expression> {
        let mut links: Vec<(&BinaryOperator, &Expr, &Expr)> = Vec::new();
        let mut first = expression;
        while let Expr::BinaryOp { left, op, right } = first {
            links.push((op, right, first));
            first = left;
        }
        let mut value = self.expression(first, place)?;
        for (operator, right, whole) in links.into_iter().rev() {
            self.counted()?;
            let right = self.expression(right, place)?;
            value = self
                .binary(operator, value, right)
                .map_err(|refusal| refusal.at(self.place_of(whole)))?;
        }
        Ok(value)
    }

    fn binary(
        &mut self,
        operator: &BinaryOperator,
        left: Expression,
        right: Expression,
    ) -> Judgement<Expression> {
        use BinaryOperator as Op;
        match operator {
            Op::And => {
                let (left, right) = (self.truth(left, "AND")?, self.truth(right, "AND")?);
                Ok(joined(left, right, true))
            }
            Op::Or => {
                let (left, right) = (self.truth(left, "OR")?, self.truth(right, "OR")?);
                Ok(joined(left, right, false))
            }
            Op::Eq => self.comparison(Comparison::Equal, "=", left, right),
            Op::NotEq => self.comparison(Comparison::NotEqual, "<>", left, right),
            Op::Lt => self.comparison(Comparison::Less, "<", left, right),
            Op::LtEq => self.comparison(Comparison::LessOrEqual, "<=", left, right),
            Op::Gt => self.comparison(Comparison::Greater, ">", left, right),
            Op::GtEq => self.comparison(Comparison::GreaterOrEqual, ">=", left, right),
            Op::Plus => self.arithmetic(Arithmetic::Add, "+", left, right),
            Op::Minus => self.arithmetic(Arithmetic::Subtract, "-", left, right),
            Op::Multiply => self.arithmetic(Arithmetic::Multiply, "*", left, right),
            Op::Divide => self.arithmetic(Arithmetic::Divide, "/", left, right),
            Op::Modulo => self.arithmetic(Arithmetic::Modulo, "%", left, right),
            Op::StringConcat => self.concatenation(left, right),
            other => Err(Refusal::unsupported(format!("the operator {other}"))),
        }
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        sign: &str,
        left: Expression,
        right: Expression,
    ) -> Judgement<Expression> {
        if left.sql_type == BaseType::Date || right.sql_type == BaseType::Date {
            return self.date_arithmetic(operator, sign, left, right);
        }
        let missing = missing(sign, left.sql_type, right.sql_type);
        let common =
            operand_type(left.sql_type, right.sql_type).filter(|common| common.is_number());
        let common = common.ok_or_else(|| missing.clone())?;
        if operator == Arithmetic::Modulo && common.is_float() {
            return Err(missing);
        }
        let (left, right) = (self.implicit(left, common)?, self.implicit(right, common)?);
        let kind = Kind::Arithmetic {
            operator,
            left: Box::new(left),
            right: Box::new(right),
        };
        Ok(Expression::new(kind, common))
    }

    fn date_arithmetic(
        &mut self,
        operator: Arithmetic,
        sign: &str,
        left: Expression,
        right: Expression,
    ) -> Judgement<Expression> {
        let (given, other) = (left.sql_type, right.sql_type);
        let is_days = |sql_type| matches!(sql_type, BaseType::Int2 | BaseType::Int4);
        let (function, left, right): (&'static Function, _, _) = match operator {
            Arithmetic::Add if is_days(other) => (&function::DATE_ADD, left, right),
            Arithmetic::Add if is_days(given) => (&function::DATE_ADD, right, left),
            Arithmetic::Subtract if is_days(other) => (&function::DATE_SUBTRACT, left, right),
            Arithmetic::Subtract if matches!(other, BaseType::Date | BaseType::Unknown) => {
                (&function::DATE_BETWEEN, left, right)
            }
            Arithmetic::Subtract if given == BaseType::Unknown => {
                (&function::DATE_BETWEEN, left, right)
            }
            _ => return Err(missing(sign, given, other)),
        };
        self.call(function, vec![left, right])
    }

    fn concatenation(&mut self, left: Expression, right: Expression) -> Judgement<Expression> {
        let (given, other) = (left.sql_type, right.sql_type);
        if !left.is_open() && !right.is_open() && !given.is_text() && !other.is_text() {
            return Err(missing("||", given, other));
        }
        let (left, right) = (self.shown(left)?, self.shown(right)?);
        self.call(&function::CONCAT, vec![left, right])
    }

    /// A value as text, as concatenation takes it.
    pub(super) fn shown(&mut self, value: Expression) -> Judgement<Expression> {
        let value = self.settled_as_text(value)?;
        if value.sql_type == BaseType::Bytea {
            return Err(Refusal::unsupported("bytea as text"));
        }
        self.cast(value, BaseType::Text.into())
    }

    /// A call whose arguments widen to what the function takes.
    pub(super) fn call(
        &mut self,
        function: &'static Function,
        arguments: Vec<Expression>,
    ) -> Judgement<Expression> {
        let last = function.arguments.last().copied().unwrap_or(BaseType::Text);
        let wanted = |index: usize| function.arguments.get(index).copied().unwrap_or(last);
        let convert = |(index, value)| self.implicit(value, wanted(index));
        let arguments = arguments
            .into_iter()
            .enumerate()
            .map(convert)
            .collect::<Judgement<_>>()?;
        Ok(Expression::new(
            Kind::Call {
                function,
                arguments,
            },
            function.result,
        ))
    }

    pub(super) fn unary(
        &mut self,
        operator: UnaryOperator,
        operand: &Expr,
        place: Place<'_>,
    ) -> Judgement<Expression> {
        let operand = self.expression(operand, place)?;
        match operator {
            UnaryOperator::Not => {
                let operand = self.truth(operand, "NOT")?;
                Ok(Expression::boolean(Kind::Not(Box::new(operand))))
            }
            UnaryOperator::Plus if operand.sql_type.is_number() => Ok(operand),
            UnaryOperator::Minus if operand.sql_type.is_number() => Ok(negated(operand)),
            UnaryOperator::Plus | UnaryOperator::Minus => {
                let message = format!(
                    "operator does not exist: {operator} {}: cast the operand",
                    operand.sql_type
                );
                Err(Refusal::new("42883", message))
            }
            other => Err(Refusal::unsupported(format!("the operator {other}"))),
        }
    }
}

fn missing(sign: &str, left: BaseType, right: BaseType) -> Refusal {
    Refusal::new(
        "42883",
        format!("operator does not exist: {left} {sign} {right}: cast one side"),
    )
}

/// AND and OR take any number of sides, so that long conditions stay flat.
fn joined(left: Expression, right: Expression, and: bool) -> Expression {
    let mut sides = match (left.kind, and) {
        (Kind::And(sides), true) | (Kind::Or(sides), false) => sides,
        (kind, _) => vec![Expression::boolean(kind)],
    };
    sides.push(right);
    Expression::boolean(if and {
        Kind::And(sides)
    } else {
        Kind::Or(sides)
    })
}

fn negated(operand: Expression) -> Expression {
    let sql_type = operand.sql_type;
    let constant = match &operand.kind {
        Kind::Literal(Literal::Integer(number)) if *number > 0 => Some(Literal::Integer(-number)),
        Kind::Literal(Literal::Numeric(digits)) if !digits.starts_with('-') => {
            let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
            Some(Literal::Numeric(if zero {
                digits.clone()
            } else {
                format!("-{digits}")
            }))
        }
        _ => None,
    };
    let kind = constant.map_or_else(|| Kind::Negate(Box::new(operand)), Kind::Literal);
    Expression::new(kind, sql_type)
}
