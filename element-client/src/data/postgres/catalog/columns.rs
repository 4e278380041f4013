//! The columns of a question's answer: their names and types, as PostgreSQL would have
//! them, as far as they can be told from the question.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, UnaryOperator, Value,
};

use super::{
    rewrite::named,
    shape::{Element, SHAPES, Type},
};

/// A column.
pub(super) type Output = (String, Type);

/// How deep sub-queries are looked into.
const DEPTH_MAX: usize = 16;

/// The columns of a query.
pub(super) fn outputs(query: &Query) -> Vec<Output> {
    of_query(query, DEPTH_MAX)
}

fn of_query(query: &Query, depth: usize) -> Vec<Output> {
    if depth == 0 {
        return Vec::new();
    }
    of_set(&query.body, depth - 1)
}

fn of_set(set: &SetExpr, depth: usize) -> Vec<Output> {
    match set {
        SetExpr::Select(select) => of_select(select, depth),
        SetExpr::Query(query) => of_query(query, depth),
        SetExpr::SetOperation { left, .. } => of_set(left, depth),
        SetExpr::Values(values) => {
            let first = values.rows.first().map_or(0, |row| row.content.len());
            (1..=first)
                .map(|at| (format!("column{at}"), Type::Text))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn of_select(select: &Select, depth: usize) -> Vec<Output> {
    let mut found = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expression) => {
                let kind = type_of(expression, select, depth).unwrap_or(Type::Text);
                found.push((name_of(expression), kind));
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let kind = type_of(expr, select, depth).unwrap_or(Type::Text);
                found.push((folded(alias), kind));
            }
            SelectItem::Wildcard(_) => {
                for (_, columns) in sources(select, depth) {
                    found.extend(columns);
                }
            }
            SelectItem::QualifiedWildcard(kind, _) => {
                let wanted = kind.to_string();
                for (name, columns) in sources(select, depth) {
                    if wanted == name || wanted == format!("{name}.*") {
                        found.extend(columns);
                    }
                }
            }
            SelectItem::ExprWithAliases { .. } => {}
        }
    }
    found
}

pub(super) fn folded(name: &sqlparser::ast::Ident) -> String {
    if name.quote_style.is_some() {
        name.value.clone()
    } else {
        name.value.to_lowercase()
    }
}

/// What a FROM has: each with its name and columns.
fn sources(select: &Select, depth: usize) -> Vec<(String, Vec<Output>)> {
    let tables = select.from.iter().flat_map(|from| {
        std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
    });
    tables.filter_map(|table| source(table, depth)).collect()
}

fn source(table: &TableFactor, depth: usize) -> Option<(String, Vec<Output>)> {
    match table {
        TableFactor::Table {
            name, alias, args, ..
        } => {
            let plain = plain_name(&name.to_string());
            let columns = if args.is_some() {
                vec![(plain.clone(), series_type(&plain))]
            } else {
                let known = SHAPES.get(&plain)?;
                known
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), *kind))
                    .collect()
            };
            Some(renamed(alias.as_ref(), plain, columns))
        }
        TableFactor::Function { name, alias, .. } => {
            let plain = plain_name(&name.to_string());
            let columns = vec![(plain.clone(), series_type(&plain))];
            Some(renamed(alias.as_ref(), plain, columns))
        }
        TableFactor::Derived {
            subquery, alias, ..
        } => {
            let columns = of_query(subquery, depth);
            Some(renamed(alias.as_ref(), String::new(), columns))
        }
        _ => None,
    }
}

fn series_type(name: &str) -> Type {
    if name == "generate_series" {
        Type::Int4
    } else {
        Type::Text
    }
}

fn renamed(
    alias: Option<&TableAlias>,
    name: String,
    mut columns: Vec<Output>,
) -> (String, Vec<Output>) {
    let Some(alias) = alias else {
        return (name, columns);
    };
    for (column, named) in columns.iter_mut().zip(&alias.columns) {
        column.0 = folded(&named.name);
    }
    (folded(&alias.name), columns)
}

/// A name as it is here: without the schema of the catalog.
pub(super) fn plain_name(name: &str) -> String {
    let name = name.replace('"', "").to_lowercase();
    match name.strip_prefix("pg_catalog.") {
        Some(rest) => rest.to_owned(),
        None => name.replace('.', "_"),
    }
}

fn name_of(expression: &Expr) -> String {
    match expression {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(names) => names.last().map_or_else(String::new, folded),
        Expr::Function(function) => {
            let name = function.name.0.last().map(ToString::to_string);
            name.unwrap_or_default().to_lowercase()
        }
        Expr::Cast {
            expr, data_type, ..
        } => match name_of(expr) {
            name if name == "?column?" => data_type.to_string().to_lowercase(),
            name => name,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name_of(inner),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        Expr::Array(_) => "array".to_owned(),
        Expr::Subquery(query) => outputs(query)
            .into_iter()
            .next()
            .map_or_else(|| "?column?".to_owned(), |(name, _)| name),
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(sqlparser::ast::AccessExpr::Dot(Expr::Identifier(name))) => folded(name),
            _ => name_of(root),
        },
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => "bool".to_owned(),
        _ => "?column?".to_owned(),
    }
}

fn type_of(expression: &Expr, select: &Select, depth: usize) -> Option<Type> {
    if depth == 0 {
        return None;
    }
    let inner = |expression: &Expr| type_of(expression, select, depth - 1);
    match expression {
        Expr::Nested(one) | Expr::Collate { expr: one, .. } => inner(one),
        Expr::Identifier(name) => column(select, None, &folded(name), depth),
        Expr::CompoundIdentifier(names) => {
            let (name, before) = names.split_last()?;
            column(
                select,
                before.last().map(folded).as_deref(),
                &folded(name),
                depth,
            )
        }
        Expr::Cast { data_type, .. } => cast(data_type),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. }
        | Expr::Exists { .. }
        | Expr::UnaryOp {
            op: UnaryOperator::Not,
            ..
        } => Some(Type::Bool),
        Expr::UnaryOp { expr, .. } => inner(expr),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr => inner(left).or_else(|| inner(right)),
            BinaryOperator::StringConcat => Some(Type::Text),
            _ => Some(Type::Bool),
        },
        Expr::Value(value) => match &value.value {
            Value::Boolean(_) => Some(Type::Bool),
            Value::Number(..) => Some(Type::Int4),
            Value::Null | Value::Placeholder(_) => None,
            _ => Some(Type::Text),
        },
        Expr::Case {
            conditions,
            else_result,
            ..
        } => conditions
            .iter()
            .find_map(|when| inner(&when.result))
            .or_else(|| else_result.as_deref().and_then(inner)),
        Expr::Subquery(query) => of_query(query, depth - 1).first().map(|(_, kind)| *kind),
        Expr::Array(_) => Some(Type::Array(Element::Text)),
        Expr::Function(function) => function_type(function, inner, depth),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut chain = access_chain.clone();
            let root = named(Expr::clone(root), &mut chain);
            match chain.last() {
                Some(sqlparser::ast::AccessExpr::Dot(_)) => Some(Type::Int4),
                _ => inner(&root)?.element(),
            }
        }
        Expr::Substring { .. } | Expr::Trim { .. } => Some(Type::Text),
        Expr::Position { .. } => Some(Type::Int4),
        _ => None,
    }
}

fn column(select: &Select, table: Option<&str>, name: &str, depth: usize) -> Option<Type> {
    if depth == 0 {
        return None;
    }
    let mut sources = sources(select, depth - 1).into_iter();
    sources.find_map(|(source, columns)| {
        if table.is_some_and(|table| table != source) {
            return None;
        }
        let mut columns = columns.into_iter();
        columns
            .find(|(known, _)| known == name)
            .map(|(_, kind)| kind)
    })
}

pub(super) fn cast(data_type: &DataType) -> Option<Type> {
    if let DataType::Array(_) = data_type {
        let name = data_type.to_string();
        let element = plain_name(name.trim_end_matches("[]"));
        return Some(Type::named(&element).unwrap_or(Type::Text).array());
    }
    let name = plain_name(&data_type.to_string());
    let name = name.split('(').next().unwrap_or("");
    Type::named(name)
}

/// The arguments that are expressions.
pub(super) fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return Vec::new();
    };
    let found = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    });
    found.collect()
}

fn function_type(
    function: &Function,
    inner: impl Fn(&Expr) -> Option<Type>,
    depth: usize,
) -> Option<Type> {
    let name = plain_name(&function.name.to_string());
    let first = || arguments(function).first().and_then(|first| inner(first));
    Some(match name.as_str() {
        "count"
        | "row_number"
        | "rank"
        | "sum"
        | "pg_table_size"
        | "pg_relation_size"
        | "pg_total_relation_size"
        | "pg_database_size" => Type::Int8,
        "array" => match &function.args {
            FunctionArguments::Subquery(query) => {
                let first = of_query(query, depth - 1);
                first.first().map_or(Type::Text, |(_, kind)| *kind).array()
            }
            _ => Type::Array(Element::Text),
        },
        "array_agg" => first().unwrap_or(Type::Text).array(),
        "unnest" => return first()?.element(),
        "current_schemas" => Type::Array(Element::Name),
        "generate_subscripts"
        | "generate_series"
        | "array_upper"
        | "array_lower"
        | "array_length"
        | "cardinality"
        | "pg_backend_pid"
        | "information_schema__pg_expandarray"
        | "length" => Type::Int4,
        "bool_and" | "bool_or" | "every" | "pg_is_in_recovery" | "pg_relation_is_publishable" => {
            Type::Bool
        }
        "min" | "max" | "coalesce" | "nullif" => return first(),
        "current_database"
        | "current_schema"
        | "current_user"
        | "session_user"
        | "current_catalog"
        | "current_role"
        | "user"
        | "pg_get_userbyid"
        | "pg_encoding_to_char" => Type::Name,
        "to_regclass" | "to_regtype" => Type::Oid,
        "json_build_object" => Type::Json,
        name if name.starts_with("has_") || name.ends_with("_is_visible") => Type::Bool,
        _ => Type::Text,
    })
}
