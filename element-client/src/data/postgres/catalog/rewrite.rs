//! A question, written anew for SQLite.
//!
//! Arrays are texts of JSON there. Functions that give rows in a list of columns
//! (`unnest`, `generate_subscripts`, `_pg_expandarray`) are joined as tables instead,
//! which is the same as long as they are of one array.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{
        AccessExpr, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
        FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, Select,
        SelectItem, SetExpr, Subscript, TableFactor, UnaryOperator, Value, VisitMut as _,
        VisitorMut,
    },
    dialect::SQLiteDialect,
    parser::Parser,
};

use super::columns::{arguments, folded, plain_name};
use crate::data::postgres::wire::backend::Fault;

/// Columns whose first element has the number 0.
const VECTORS: &[&str] = &[
    "indkey",
    "indclass",
    "indoption",
    "indcollation",
    "proargtypes",
];
/// Functions of one array that give rows.
const SETS: &[&str] = &[
    "unnest",
    "generate_subscripts",
    "information_schema__pg_expandarray",
];
/// What the array of a list of columns is joined as.
const SET: &str = "gm_set";

/// Writes a question anew.
pub(super) fn rewritten(mut query: Query) -> Result<String, Fault> {
    let mut writer = Writer::default();
    let _: ControlFlow<()> = query.visit(&mut writer);
    match writer.refused {
        Some(fault) => Err(fault),
        None => Ok(query.to_string()),
    }
}

#[derive(Default)]
struct Writer {
    refused: Option<Fault>,
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments
        .into_iter()
        .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

fn not(expression: Expr, negated: bool) -> Expr {
    if !negated {
        return expression;
    }
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(Expr::Nested(Box::new(expression))),
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// Takes an expression out of its place.
fn take(place: &mut Expr) -> Expr {
    std::mem::replace(place, null())
}

/// A query of our own text; it is read by the same parser.
fn parsed(sql: &str) -> Option<Query> {
    let mut parser = Parser::new(&SQLiteDialect {}).try_with_sql(sql).ok()?;
    parser.parse_query().ok().map(|query| *query)
}

fn elements(array: Expr) -> Option<Query> {
    let mut query = parsed("SELECT value FROM json_each(gm_array(0))")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return None;
    };
    let from = select.from.first_mut()?;
    put_argument(&mut from.relation, call("gm_array", vec![array]));
    Some(query)
}

fn put_argument(table: &mut TableFactor, argument: Expr) {
    let argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(argument));
    match table {
        TableFactor::Table {
            args: Some(args), ..
        } => args.args = vec![argument],
        TableFactor::Function { args, .. } => *args = vec![argument],
        _ => {}
    }
}

impl VisitorMut for Writer {
    type Break = ();

    fn post_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        let plain = plain_name(&relation.to_string());
        *relation = ObjectName::from(vec![Ident::with_quote('"', plain)]);
        ControlFlow::Continue(())
    }

    fn post_visit_value(&mut self, value: &mut sqlparser::ast::ValueWithSpan) -> ControlFlow<()> {
        let written = match &value.value {
            Value::EscapedStringLiteral(text) | Value::NationalStringLiteral(text) => {
                Some(Value::SingleQuotedString(text.clone()))
            }
            Value::DollarQuotedString(text) => Some(Value::SingleQuotedString(text.value.clone())),
            Value::SingleQuotedString(_) | Value::Number(..) | Value::Boolean(_) | Value::Null => {
                None
            }
            Value::Placeholder(name) => Some(Value::Placeholder(name.replacen('$', "?", 1))),
            other => {
                self.refuse(&format!("the constant {other}"));
                None
            }
        };
        if let Some(written) = written {
            value.value = written;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(derived) = table_of_function(factor) {
            *factor = derived;
        }
        if let TableFactor::Derived { lateral: true, .. } = factor {
            self.refuse("LATERAL");
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        sets_join(select);
        for item in &mut select.projection {
            // Ours has other names for what has none.
            if let SelectItem::UnnamedExpr(Expr::Nested(inner)) = item {
                *item = SelectItem::UnnamedExpr(take(inner));
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        // SQLite takes no parentheses around what is united.
        unwrap_sets(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        self.expression(expression);
        ControlFlow::Continue(())
    }
}

fn unwrap_sets(set: &mut SetExpr) {
    if let SetExpr::SetOperation { left, right, .. } = set {
        for side in [left, right] {
            if let SetExpr::Query(query) = side.as_mut()
                && query.order_by.is_none()
                && query.limit_clause.is_none()
                && query.with.is_none()
            {
                let body = std::mem::replace(
                    query.body.as_mut(),
                    SetExpr::Values(sqlparser::ast::Values {
                        explicit_row: false,
                        value_keyword: false,
                        rows: Vec::new(),
                    }),
                );
                **side = body;
            }
            unwrap_sets(side);
        }
    }
}

/// `generate_series(1, 3) AS s(r)` as a query of our own.
fn table_of_function(factor: &TableFactor) -> Option<TableFactor> {
    let (name, given, alias) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            ..
        } => (name, &args.args, alias),
        TableFactor::Function {
            name, args, alias, ..
        } => (name, args, alias),
        _ => return None,
    };
    let name = plain_name(&name.to_string());
    let given: Vec<Expr> = given
        .iter()
        .filter_map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
            _ => None,
        })
        .collect();
    let array = match name.as_str() {
        "generate_series" => call("gm_series", given),
        "unnest" => given.into_iter().next()?,
        _ => return None,
    };
    let mut query = elements(array)?;
    let mut alias = alias.clone();
    let column = alias.as_ref().map(|alias| {
        let column = alias.columns.first().map(|column| folded(&column.name));
        column.unwrap_or_else(|| folded(&alias.name))
    });
    if let SetExpr::Select(select) = query.body.as_mut() {
        let value = Expr::Identifier(Ident::new("value"));
        select.projection = vec![SelectItem::ExprWithAlias {
            expr: value,
            alias: Ident::with_quote('"', column.unwrap_or(name)),
        }];
    }
    if let Some(alias) = &mut alias {
        alias.columns.clear();
    }
    Some(TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias,
        sample: None,
    })
}

/// Joins the array whose elements a list of columns gives as rows.
fn sets_join(select: &mut Select) {
    let mut array = None;
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(expression)
        | SelectItem::ExprWithAlias {
            expr: expression, ..
        }) = item
        else {
            continue;
        };
        let mut sets = Sets {
            array: array.take(),
            others: false,
        };
        let _: ControlFlow<()> = expression.visit(&mut sets);
        array = sets.array;
    }
    let Some(array) = array else {
        return;
    };
    let Some(mut query) = parsed("SELECT 0 FROM json_each(gm_array(0)) AS gm_set") else {
        return;
    };
    if let SetExpr::Select(own) = query.body.as_mut()
        && let Some(mut from) = own.from.pop()
    {
        put_argument(&mut from.relation, call("gm_array", vec![array]));
        select.from.push(from);
    }
}

impl Writer {
    fn refuse(&mut self, what: &str) {
        let shown: String = what.chars().take(120).collect();
        let message = format!("{shown} is not supported in questions about the catalog");
        self.refused
            .get_or_insert_with(|| Fault::new("0A000", message));
    }

    fn expression(&mut self, expression: &mut Expr) {
        match expression {
            Expr::CompoundIdentifier(names)
                if names
                    .first()
                    .is_some_and(|first| folded(first) == "pg_catalog") =>
            {
                names.remove(0);
            }
            Expr::Collate { expr, .. } => *expression = take(expr),
            Expr::Array(array) => {
                *expression = call("json_array", std::mem::take(&mut array.elem));
            }
            Expr::Cast { .. } => self.cast(expression),
            Expr::BinaryOp { .. } => self.operator(expression),
            Expr::AnyOp { .. } | Expr::AllOp { .. } => self.any(expression),
            Expr::CompoundFieldAccess { .. } => self.access(expression),
            Expr::Like { escape_char, .. } => {
                // PostgreSQL has one where none is said.
                escape_char.get_or_insert_with(|| Box::new(text("\\")));
            }
            Expr::ILike {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => {
                *expression = Expr::Like {
                    negated: *negated,
                    any: false,
                    expr: Box::new(call("lower", vec![take(expr)])),
                    pattern: Box::new(call("lower", vec![take(pattern)])),
                    escape_char: escape_char.take().or_else(|| Some(Box::new(text("\\")))),
                };
            }
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut given = vec![take(expr)];
                given.extend(substring_from.take().map(|from| *from));
                given.extend(substring_for.take().map(|length| *length));
                *expression = call("substr", given);
            }
            Expr::Position { expr, r#in } => {
                *expression = call("instr", vec![take(r#in), take(expr)]);
            }
            Expr::Trim {
                expr, trim_what, ..
            } => {
                let mut given = vec![take(expr)];
                given.extend(trim_what.take().map(|what| *what));
                *expression = call("trim", given);
            }
            Expr::Function(function) => self.function(function.clone(), expression),
            _ => {}
        }
    }

    fn function(&mut self, mut function: Function, place: &mut Expr) {
        let name = plain_name(&function.name.to_string());
        let name = match name.as_str() {
            "array" => {
                if let FunctionArguments::Subquery(query) = function.args {
                    *place = collected(*query).unwrap_or_else(null);
                }
                return;
            }
            "array_agg" => "json_group_array",
            "bool_and" | "every" => "min",
            "bool_or" => "max",
            "json_build_object" => "json_object",
            "unnest" | "generate_subscripts" | "information_schema__pg_expandarray" => &name,
            "set_config" | "pg_sleep" | "pg_cancel_backend" | "pg_terminate_backend" => {
                self.refuse(&name);
                return;
            }
            other => other,
        };
        function.name = ObjectName::from(vec![Ident::new(name)]);
        if let FunctionArguments::None = function.args {
            function.args = FunctionArguments::List(FunctionArgumentList {
                duplicate_treatment: None,
                args: Vec::new(),
                clauses: Vec::new(),
            });
        }
        *place = Expr::Function(function);
    }

    fn cast(&mut self, expression: &mut Expr) {
        let Expr::Cast {
            expr, data_type, ..
        } = expression
        else {
            return;
        };
        let inner = take(expr);
        if let DataType::Array(_) = data_type {
            *expression = call("gm_array", vec![inner]);
            return;
        }
        let name = plain_name(&data_type.to_string());
        let name = name.split('(').next().unwrap_or("").trim().to_owned();
        let is_constant = matches!(
            &inner,
            Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_) | Value::Placeholder(_))
        );
        *expression = match name.as_str() {
            "regclass" if is_constant => call("gm_regclass", vec![inner]),
            "regclass" => call("gm_regclass_text", vec![inner]),
            "regtype" if is_constant => call("to_regtype", vec![inner]),
            "regtype" => call("format_type", vec![inner, null()]),
            "regproc" => call("replace", vec![inner, text("pg_catalog."), text("")]),
            "regrole" => call("pg_get_userbyid", vec![inner]),
            "regnamespace" if is_constant => inner,
            "regnamespace" => Expr::Nested(Box::new(inner)),
            "oid" | "int" | "integer" | "int2" | "int4" | "int8" | "smallint" | "bigint"
            | "xid" => cast_to(inner, "INTEGER"),
            "text" | "name" | "varchar" | "char" | "character varying" | "cstring" => {
                cast_to(inner, "TEXT")
            }
            "bool" | "boolean" => match &inner {
                Expr::Value(value) => match &value.value {
                    Value::SingleQuotedString(said) => {
                        number(["t", "true", "on", "1"].contains(&said.as_str()).into())
                    }
                    _ => inner,
                },
                _ => inner,
            },
            "float4" | "float8" | "numeric" | "real" => cast_to(inner, "REAL"),
            "information_schema_sql_identifier"
            | "information_schema_character_data"
            | "information_schema_cardinal_number"
            | "information_schema_yes_or_no" => inner,
            other => {
                self.refuse(&format!("a cast to {other}"));
                inner
            }
        };
    }

    fn operator(&mut self, expression: &mut Expr) {
        let Expr::BinaryOp { left, op, right } = expression else {
            return;
        };
        let name = match &*op {
            BinaryOperator::PGCustomBinaryOperator(parts) => {
                parts.last().cloned().unwrap_or_default()
            }
            other => other.to_string(),
        };
        let mut like = |negated, folds: bool| {
            let (left, right) = (take(left), take(right));
            let fold = |one| if folds { call("lower", vec![one]) } else { one };
            Expr::Like {
                negated,
                any: false,
                expr: Box::new(fold(left)),
                pattern: Box::new(fold(right)),
                escape_char: Some(Box::new(text("\\"))),
            }
        };
        *expression = match name.as_str() {
            "~~" => like(false, false),
            "!~~" => like(true, false),
            "~~*" => like(false, true),
            "!~~*" => like(true, true),
            "~" | "~*" | "!~" | "!~*" => {
                let folds = number(name.ends_with('*').into());
                let matched = call("gm_regexp", vec![take(left), take(right), folds]);
                not(matched, name.starts_with('!'))
            }
            "=" | "<>" | "!=" | "<" | ">" | "<=" | ">=" | "||" | "+" | "-" | "*" | "/" | "%"
            | "&" | "|" | "AND" | "OR" => {
                if let BinaryOperator::PGCustomBinaryOperator(_) = op {
                    *op = BinaryOperator::Eq;
                    if name != "=" {
                        self.refuse(&format!("OPERATOR({name})"));
                    }
                }
                return;
            }
            other => {
                self.refuse(&format!("the operator {other}"));
                return;
            }
        };
    }

    /// `= ANY` and `<> ALL`, of arrays and of queries.
    fn any(&mut self, expression: &mut Expr) {
        let (left, negated, right) = match expression {
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } => (left, false, right),
            Expr::AllOp {
                left,
                compare_op: BinaryOperator::NotEq,
                right,
            } => (left, true, right),
            other => {
                let shown = other.to_string();
                self.refuse(&shown);
                return;
            }
        };
        let left = take(left);
        let mut right = take(right);
        while let Expr::Nested(inner) = &mut right {
            right = take(inner);
        }
        let subquery = match right {
            Expr::Subquery(query) => Some(query),
            array => elements(array).map(Box::new),
        };
        if let Some(subquery) = subquery {
            *expression = Expr::InSubquery {
                expr: Box::new(left),
                subquery,
                negated,
            };
        }
    }

    fn access(&mut self, expression: &mut Expr) {
        let Expr::CompoundFieldAccess { root, access_chain } = expression else {
            return;
        };
        let mut chain = std::mem::take(access_chain);
        let mut inner = named(take(root), &mut chain);
        while let Expr::Nested(nested) = &mut inner {
            inner = take(nested);
        }
        let name = match &inner {
            Expr::Identifier(name) => folded(name),
            Expr::CompoundIdentifier(names) => names.last().map_or_else(String::new, folded),
            _ => String::new(),
        };
        let first = i64::from(!VECTORS.iter().any(|vector| name.ends_with(vector)));
        let mut value = inner;
        for access in chain {
            value = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    call("gm_element", vec![value, index, number(first)])
                }
                AccessExpr::Dot(Expr::Identifier(field)) if folded(&field) == "x" => value,
                // The number of an element, of a function that gives rows.
                AccessExpr::Dot(Expr::Identifier(field)) if folded(&field) == "n" => {
                    let given = match &value {
                        Expr::Function(function) => {
                            arguments(function).into_iter().cloned().collect()
                        }
                        _ => Vec::new(),
                    };
                    call("gm_place", given)
                }
                other => {
                    self.refuse(&format!("the access {other}"));
                    value
                }
            };
        }
        *expression = value;
    }
}

/// `table.column[1]`: the names before the first place are one name.
pub(super) fn named(root: Expr, chain: &mut Vec<AccessExpr>) -> Expr {
    let mut names = match root {
        Expr::Identifier(name) => vec![name],
        Expr::CompoundIdentifier(names) => names,
        other => return other,
    };
    while let Some(AccessExpr::Dot(Expr::Identifier(name))) = chain.first() {
        names.push(name.clone());
        chain.remove(0);
    }
    if names.len() == 1 {
        return Expr::Identifier(names.remove(0));
    }
    Expr::CompoundIdentifier(names)
}

fn cast_to(inner: Expr, name: &str) -> Expr {
    let data_type = match name {
        "INTEGER" => DataType::Integer(None),
        "REAL" => DataType::Real,
        _ => DataType::Text,
    };
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(inner),
        data_type,
        format: None,
    }
}

/// `ARRAY(SELECT …)`
fn collected(mut inner: Query) -> Option<Expr> {
    let name = "gm_one";
    if let SetExpr::Select(select) = inner.body.as_mut()
        && let Some(item) = select.projection.first_mut()
        && let SelectItem::UnnamedExpr(one) | SelectItem::ExprWithAlias { expr: one, .. } = item
    {
        *item = SelectItem::ExprWithAlias {
            expr: one.clone(),
            alias: Ident::new(name),
        };
    }
    let mut query = parsed("SELECT json_group_array(gm_one) FROM (SELECT 0 AS gm_one)")?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(from) = select.from.first_mut()
        && let TableFactor::Derived { subquery, .. } = &mut from.relation
    {
        **subquery = inner;
    }
    Some(Expr::Subquery(Box::new(query)))
}

/// Finds functions that give rows, and puts the joined array in their place.
struct Sets {
    array: Option<Expr>,
    others: bool,
}

impl VisitorMut for Sets {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expression else {
            return ControlFlow::Continue(());
        };
        let name = plain_name(&function.name.to_string());
        let is_place = name == "gm_place" || name == "generate_subscripts";
        if !SETS.contains(&name.as_str()) && name != "gm_place" {
            return ControlFlow::Continue(());
        }
        let Some(array) = arguments(function).first().map(|array| (*array).clone()) else {
            return ControlFlow::Continue(());
        };
        let vector = matches!(
            &array,
            Expr::CompoundIdentifier(names)
                if names.last().is_some_and(|name| VECTORS.contains(&folded(name).as_str()))
        );
        let column = |name: &str| Expr::CompoundIdentifier(vec![Ident::new(SET), Ident::new(name)]);
        let same = self.array.as_ref().is_none_or(|known| *known == array);
        *expression = if is_place {
            // Of vectors the first place is 0, but for who counts them by rows.
            let first = i64::from(name == "gm_place" || !vector);
            Expr::Nested(Box::new(Expr::BinaryOp {
                left: Box::new(column("key")),
                op: BinaryOperator::Plus,
                right: Box::new(number(first)),
            }))
        } else if same {
            column("value")
        } else {
            // Beside the first array, another one of the same length.
            self.others = true;
            call("gm_element", vec![array.clone(), column("key"), number(0)])
        };
        if self.array.is_none() {
            self.array = Some(array);
        }
        ControlFlow::Continue(())
    }
}
