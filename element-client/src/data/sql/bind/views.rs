//! CREATE VIEW, and what of a schema may not be changed because views read it.
//!
//! A view keeps the columns that it was made with, as on PostgreSQL: a change that would
//! take it something, or give it more, is refused.

use sqlparser::ast::{self, CreateTableOptions, ObjectType};

use super::{
    super::{
        catalog::{Catalog, Entry, SchemaChange, View, name_check},
        refusal::{Judgement, Refusal},
        rules::Rules,
        types::BaseType,
    },
    Binder, SchemaPlan, folded, query_alone,
    schema::{exists, new_name},
    view_row,
};

impl Binder<'_> {
    pub(super) fn create_view(&mut self, create: &ast::CreateView) -> Judgement<SchemaPlan> {
        let ast::CreateView {
            or_alter: false,
            or_replace,
            materialized: false,
            secure: false,
            name,
            name_before_not_exists: _,
            columns,
            query,
            options: CreateTableOptions::None,
            cluster_by,
            comment: None,
            with_no_schema_binding: false,
            if_not_exists: false,
            temporary: false,
            copy_grants: false,
            to: None,
            params: None,
        } = create
        else {
            return Err(Refusal::unsupported("this form of CREATE VIEW"));
        };
        if !cluster_by.is_empty() {
            return Err(Refusal::unsupported("this form of CREATE VIEW"));
        }
        let name = new_name(name)?;
        match self.catalog.entry(&name) {
            None => {}
            Some(Entry::View(_)) if *or_replace => {}
            Some(_) => return exists(&name, false, "CREATE VIEW"),
        }
        let mut renamed = Vec::with_capacity(columns.len());
        for column in columns {
            let ast::ViewColumnDef {
                name,
                data_type: None,
                options: None,
            } = column
            else {
                return Err(Refusal::unsupported(
                    "types and options of a view's columns",
                ));
            };
            renamed.push(folded(name)?);
        }
        let bound = query_alone(self, query)?;
        if !self.parameters.is_empty() {
            return Err(Refusal::new("42P02", "a view has no parameters"));
        }
        let given = bound
            .outputs
            .iter()
            .skip(renamed.len())
            .map(|output| &output.name);
        let mut seen: Vec<&String> = renamed.iter().chain(given).collect();
        for name in &seen {
            name_check(name)?;
        }
        seen.sort_unstable();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::new(
                "42701",
                "a view's columns need different names",
            ));
        }
        let view = View {
            name: name.into(),
            columns: renamed,
            text: query.to_string(),
        };
        // It has to be readable anew from how it is kept.
        self.view_query(&view)?;
        Ok(SchemaPlan::new(
            SchemaChange::CreateView(view),
            "CREATE VIEW",
        ))
    }
}

/// The columns of a view for somebody with these rules; `None` if they do not let it
/// stand.
pub(in crate::data) fn view_columns(
    name: &str,
    catalog: &Catalog,
    rules: &Rules,
) -> Option<Vec<(String, BaseType)>> {
    let Some(Entry::View(view)) = catalog.entry(name) else {
        return None;
    };
    let query = Binder::new(catalog, rules, None, &[])
        .view_query(view)
        .ok()?;
    let outputs = query.outputs.into_iter();
    Some(
        outputs
            .map(|output| (output.name, output.sql_type))
            .collect(),
    )
}

/// Refuses a change after which a view would not be what it is.
pub(super) fn require_standing(catalog: &Catalog, plan: &SchemaPlan) -> Judgement<()> {
    let (changed, is_drop) = match &plan.change {
        SchemaChange::Drop(_) if plan.dropped == Some(ObjectType::Index) => return Ok(()),
        SchemaChange::Nothing | SchemaChange::CreateTable(_) | SchemaChange::CreateIndex { .. } => {
            return Ok(());
        }
        SchemaChange::CreateView(view) if catalog.entry(&view.name).is_none() => return Ok(()),
        SchemaChange::CreateView(view) => {
            require_replaceable(catalog, view)?;
            (Some(&*view.name), false)
        }
        SchemaChange::Drop(name) => (Some(name.as_str()), true),
        SchemaChange::DropColumn { .. } => (None, true),
        SchemaChange::AddColumn { .. }
        | SchemaChange::RenameColumn { .. }
        | SchemaChange::RenameTable { .. } => (None, false),
    };
    let mut after = catalog.clone();
    after.apply(plan.change.clone());
    for (name, entry) in catalog.entries() {
        if matches!(entry, Entry::Table(_)) || changed == Some(name) {
            continue;
        }
        // One that cannot be read now is harmed by nothing.
        let Ok(before) = columns(name, catalog) else {
            continue;
        };
        if columns(name, &after).is_ok_and(|after| after == before) {
            continue;
        }
        return Err(if is_drop {
            let message =
                format!("cannot drop it because view {name} depends on it: drop the view first");
            Refusal::new("2BP01", message)
        } else {
            let message = format!(
                "view {name} reads it, and would not be what it is: this change is not supported \
                 while the view is there, drop it first"
            );
            Refusal::new("0A000", message)
        });
    }
    Ok(())
}

/// A view that is replaced keeps its columns, and may get more after them.
fn require_replaceable(catalog: &Catalog, view: &View) -> Judgement<()> {
    let Ok(before) = columns(&view.name, catalog) else {
        return Ok(());
    };
    let mut after = catalog.clone();
    after.view_add(view.clone());
    let after = columns(&view.name, &after)?;
    if after.starts_with(&before) {
        return Ok(());
    }
    let message = "a view that is replaced keeps its columns, with their names and types, and may \
                   get more after them: drop it and make it anew";
    Err(Refusal::new("42P16", message))
}

fn columns(name: &str, catalog: &Catalog) -> Judgement<Vec<(String, BaseType)>> {
    let row = view_row(name, catalog)?.into_iter();
    Ok(row.map(|column| (column.name, column.sql_type)).collect())
}
