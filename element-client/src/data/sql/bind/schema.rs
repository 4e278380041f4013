//! CREATE, ALTER and DROP, for owners.

use std::sync::Arc;

use sqlparser::ast::{
    self, AlterTableOperation, ColumnOption, ColumnOptionDef, CreateTableOptions,
    HiveDistributionStyle, ObjectType, ReferentialAction, RenameTableNameKind, TableConstraint,
};

use super::{
    super::{
        catalog::{Column, Entry, SchemaChange, Table, name_check},
        limits::COLUMNS_MAX,
        refusal::{Judgement, Refusal},
        tree::{ColumnUse, Expression, Kind, Literal, RelationId},
        types::BaseType,
    },
    Binder, Names, Place, Scope, folded, names, parts_of, table_name, views,
};

/// A change of the schema, and what its text needs beyond what the schema keeps.
#[derive(Debug)]
pub(in crate::data::sql) struct SchemaPlan {
    pub(in crate::data::sql) change: SchemaChange,
    /// What PostgreSQL answers for it.
    pub(in crate::data::sql) tag: &'static str,
    /// CHECK conditions over `RelationId::ROW`.
    pub(in crate::data::sql) checks: Vec<Expression>,
    pub(in crate::data::sql) references: Vec<Reference>,
    /// Terms of an index: position of the column, whether downwards.
    pub(in crate::data::sql) terms: Vec<(usize, bool)>,
    /// What is dropped.
    pub(in crate::data::sql) dropped: Option<ObjectType>,
}

/// A foreign key.
#[derive(Debug)]
pub(in crate::data::sql) struct Reference {
    pub(in crate::data::sql) columns: Vec<usize>,
    pub(in crate::data::sql) table: Arc<str>,
    pub(in crate::data::sql) referred: Vec<Arc<str>>,
    pub(in crate::data::sql) on_delete: Option<&'static str>,
    pub(in crate::data::sql) on_update: Option<&'static str>,
}

impl SchemaPlan {
    pub(super) fn new(change: SchemaChange, tag: &'static str) -> Self {
        Self {
            change,
            tag,
            checks: Vec::new(),
            references: Vec::new(),
            terms: Vec::new(),
            dropped: None,
        }
    }
}

/// What is gathered while a table is read.
#[derive(Default)]
struct Draft {
    columns: Vec<Column>,
    primary_key: Vec<usize>,
    unique_keys: Vec<Vec<usize>>,
    checks: Vec<ast::Expr>,
    references: Vec<Reference>,
}

impl Binder<'_> {
    /// A change of the schema; `None` where it is no such statement.
    pub(in crate::data::sql) fn schema(
        &mut self,
        statement: &ast::Statement,
    ) -> Judgement<Option<SchemaPlan>> {
        let known = matches!(
            statement,
            ast::Statement::CreateTable(_)
                | ast::Statement::CreateIndex(_)
                | ast::Statement::CreateView(_)
                | ast::Statement::AlterTable(_)
                | ast::Statement::Drop { .. }
        );
        if !known {
            return Ok(None);
        }
        if !self.rules.is_everything() {
            return Err(Refusal::forbidden(
                "permission denied: only an owner changes the schema of a database",
            ));
        }
        let plan = self.schema_plan(statement)?;
        if let Some(plan) = &plan {
            views::require_standing(self.catalog, plan)?;
        }
        Ok(plan)
    }

    fn schema_plan(&mut self, statement: &ast::Statement) -> Judgement<Option<SchemaPlan>> {
        match statement {
            ast::Statement::CreateTable(table) => self.create_table(table).map(Some),
            ast::Statement::CreateIndex(index) => self.create_index(index).map(Some),
            ast::Statement::CreateView(view) => self.create_view(view).map(Some),
            ast::Statement::AlterTable(table) => self.alter_table(table).map(Some),
            ast::Statement::Drop {
                object_type,
                if_exists,
                names,
                cascade,
                restrict: _,
                purge,
                temporary,
                table,
            } => {
                if *cascade || *purge || *temporary || table.is_some() {
                    return Err(Refusal::unsupported("this form of DROP"));
                }
                self.drop(*object_type, *if_exists, names).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn create_table(&mut self, create: &ast::CreateTable) -> Judgement<SchemaPlan> {
        let (name, columns, constraints, if_not_exists) = plain_table(create)?;
        let name = new_name(name)?;
        if self.catalog.entry(&name).is_some() {
            return exists(&name, if_not_exists, "CREATE TABLE");
        }
        let mut draft = Draft::default();
        for column in columns {
            self.draft_column(column, &mut draft)?;
        }
        for constraint in constraints {
            self.draft_constraint(constraint, &mut draft)?;
        }
        if draft.columns.len() > COLUMNS_MAX {
            return Err(Refusal::too_much("columns", COLUMNS_MAX));
        }
        if draft.primary_key.is_empty() {
            let message = format!(
                "table \"{name}\" has no primary key: give it one, its rows could not be told apart on shadows"
            );
            return Err(Refusal::new("42P16", message));
        }
        for index in &draft.primary_key {
            if let Some(column) = draft.columns.get_mut(*index) {
                column.nullable = false;
            }
        }
        let Draft {
            columns,
            primary_key,
            unique_keys,
            checks,
            references,
        } = draft;
        let table = Table {
            name: name.into(),
            columns,
            primary_key,
            unique_keys,
        };
        let checks = self.checks(&table, &checks)?;
        let mut plan = SchemaPlan::new(SchemaChange::CreateTable(table), "CREATE TABLE");
        (plan.checks, plan.references) = (checks, references);
        Ok(plan)
    }

    fn draft_column(&mut self, column: &ast::ColumnDef, draft: &mut Draft) -> Judgement<()> {
        let ast::ColumnDef {
            name,
            data_type,
            options,
        } = column;
        let name = folded(name)?;
        name_check(&name)?;
        if draft.columns.iter().any(|known| *known.name == *name) {
            return Err(Refusal::new(
                "42701",
                format!("column \"{name}\" specified more than once"),
            ));
        }
        let index = draft.columns.len();
        let column_type = names::data_type(data_type)?;
        let mut bound = Column {
            name: name.into(),
            column_type,
            nullable: true,
            default: None,
        };
        for ColumnOptionDef { name: _, option } in options {
            match option {
                ColumnOption::Null => {}
                ColumnOption::NotNull => bound.nullable = false,
                ColumnOption::Default(value) => bound.default = Some(self.default(value, &bound)?),
                ColumnOption::PrimaryKey(key)
                    if key.columns.is_empty() && key.characteristics.is_none() =>
                {
                    primary_key_set(draft, vec![index])?;
                }
                ColumnOption::Unique(key)
                    if key.columns.is_empty() && key.characteristics.is_none() =>
                {
                    draft.unique_keys.push(vec![index]);
                }
                ColumnOption::Check(check) => draft.checks.push(check.expr.as_ref().clone()),
                ColumnOption::ForeignKey(key) => {
                    let reference = self.reference(key, vec![index])?;
                    draft.references.push(reference);
                }
                _ => {
                    return Err(Refusal::unsupported(format!(
                        "this option of column \"{}\"",
                        bound.name
                    )));
                }
            }
        }
        draft.columns.push(bound);
        Ok(())
    }

    fn draft_constraint(
        &mut self,
        constraint: &TableConstraint,
        draft: &mut Draft,
    ) -> Judgement<()> {
        match constraint {
            TableConstraint::PrimaryKey(key)
                if key.characteristics.is_none() && key.include.is_empty() =>
            {
                let columns = key_columns(&key.columns, &draft.columns)?;
                primary_key_set(draft, columns)
            }
            TableConstraint::Unique(key)
                if key.characteristics.is_none()
                    && key.include.is_empty()
                    && key.nulls_distinct == ast::NullsDistinctOption::None =>
            {
                let columns = key_columns(&key.columns, &draft.columns)?;
                draft.unique_keys.push(columns);
                Ok(())
            }
            TableConstraint::Check(check) => {
                draft.checks.push(check.expr.as_ref().clone());
                Ok(())
            }
            TableConstraint::ForeignKey(key) => {
                let mut columns = Vec::with_capacity(key.columns.len());
                for name in &key.columns {
                    columns.push(position(&folded(name)?, &draft.columns)?);
                }
                let reference = self.reference(key, columns)?;
                draft.references.push(reference);
                Ok(())
            }
            _ => Err(Refusal::unsupported("this constraint")),
        }
    }

    fn default(&mut self, value: &ast::Expr, column: &Column) -> Judgement<Literal> {
        let names = Names::default();
        let scope = Scope {
            names: &names,
            around: None,
        };
        let value = self.expression(value, Place::plain(&scope, "DEFAULT"))?;
        let value = self.settled(value, column.column_type.into())?;
        let value = self.implicit(value, column.column_type.into())?;
        match value.kind {
            Kind::Literal(constant) => Ok(constant),
            _ => Err(Refusal::unsupported("a DEFAULT that is no constant")),
        }
    }

    fn reference(
        &mut self,
        key: &ast::ForeignKeyConstraint,
        columns: Vec<usize>,
    ) -> Judgement<Reference> {
        let ast::ForeignKeyConstraint {
            name: _,
            index_name,
            columns: _,
            foreign_table,
            referred_columns,
            on_delete,
            on_update,
            match_kind,
            characteristics,
        } = key;
        if index_name.is_some() || match_kind.is_some() || characteristics.is_some() {
            return Err(Refusal::unsupported("this form of REFERENCES"));
        }
        let name = table_name(foreign_table)?;
        let table = self
            .catalog
            .table(&name)
            .ok_or_else(|| Refusal::no_table(&name))?;
        let mut referred = Vec::new();
        for column in referred_columns {
            let column = folded(column)?;
            referred.push(
                table
                    .column(&column)
                    .ok_or_else(|| Refusal::no_column(&column))?,
            );
        }
        if referred.is_empty() {
            referred.clone_from(&table.primary_key);
        }
        let is_key = table.primary_key == referred || table.unique_keys.contains(&referred);
        if !is_key || referred.len() != columns.len() {
            let message =
                format!("there is no unique key of the referenced columns of table \"{name}\"");
            return Err(Refusal::new("42830", message));
        }
        let referred = referred
            .iter()
            .filter_map(|index| table.columns.get(*index))
            .map(|column| column.name.clone());
        Ok(Reference {
            columns,
            table: table.name.clone(),
            referred: referred.collect(),
            on_delete: on_delete.map(action),
            on_update: on_update.map(action),
        })
    }

    fn checks(&mut self, table: &Table, checks: &[ast::Expr]) -> Judgement<Vec<Expression>> {
        let columns = table.columns.iter().enumerate().map(|(index, column)| {
            let used = ColumnUse {
                relation: RelationId::ROW,
                index,
                name: column.name.clone(),
                telling: false,
            };
            (
                column.name.clone(),
                Expression::new(Kind::Column(used), column.column_type.into()),
            )
        });
        let names = Names::of_relation(&table.name, RelationId::ROW, columns, None)?;
        let scope = Scope {
            names: &names,
            around: None,
        };
        let mut bound = Vec::with_capacity(checks.len());
        for check in checks {
            let check = self.filter(Some(check), &scope, "CHECK")?;
            let is_foreign = |inner: &Expression| {
                matches!(
                    inner.kind,
                    Kind::Scalar(_)
                        | Kind::Exists { .. }
                        | Kind::InQuery { .. }
                        | Kind::Context(_)
                        | Kind::Parameter(_)
                )
            };
            if check.as_ref().is_some_and(|check| check.any(&is_foreign)) {
                return Err(Refusal::unsupported("a CHECK over more than its row"));
            }
            bound.extend(check);
        }
        Ok(bound)
    }

    fn create_index(&mut self, create: &ast::CreateIndex) -> Judgement<SchemaPlan> {
        let ast::CreateIndex {
            name,
            table_name: table,
            using,
            columns,
            unique,
            concurrently,
            r#async,
            if_not_exists,
            include,
            nulls_distinct,
            with,
            predicate,
            index_options,
            alter_options,
        } = create;
        let plain = !concurrently
            && !r#async
            && include.is_empty()
            && nulls_distinct.is_none()
            && with.is_empty();
        let plain =
            plain && predicate.is_none() && index_options.is_empty() && alter_options.is_empty();
        if !plain || !matches!(using, None | Some(ast::IndexType::BTree)) {
            return Err(Refusal::unsupported("this form of CREATE INDEX"));
        }
        let name = new_name(
            name.as_ref()
                .ok_or_else(|| Refusal::unsupported("an index without a name"))?,
        )?;
        if self.catalog.has_index(&name) || self.catalog.entry(&name).is_some() {
            return exists(&name, *if_not_exists, "CREATE INDEX");
        }
        let table = self.table_of(table)?;
        let mut terms = Vec::with_capacity(columns.len());
        for ast::IndexColumn {
            column,
            operator_class,
        } in columns
        {
            let (expression, descending, nulls_first) = super::query::key_parts(column)?;
            let ast::Expr::Identifier(ident) = expression else {
                return Err(Refusal::unsupported("an index over expressions"));
            };
            if operator_class.is_some() || nulls_first != descending {
                return Err(Refusal::unsupported("this term of an index"));
            }
            terms.push((position(&folded(ident)?, &table.columns)?, descending));
        }
        let key = unique.then(|| terms.iter().map(|(index, _)| *index).collect());
        let change = SchemaChange::CreateIndex {
            name,
            table: table.name.to_string(),
            unique: key,
        };
        let mut judged = SchemaPlan::new(change, "CREATE INDEX");
        judged.terms = terms;
        Ok(judged)
    }

    fn table_of(&self, name: &ast::ObjectName) -> Judgement<Arc<Table>> {
        let name = table_name(name)?;
        self.catalog
            .table(&name)
            .cloned()
            .ok_or_else(|| Refusal::no_table(&name))
    }

    #[expect(
        clippy::too_many_lines,
        reason = "every change of a table is looked at"
    )]
    fn alter_table(&mut self, alter: &ast::AlterTable) -> Judgement<SchemaPlan> {
        let ast::AlterTable {
            name,
            if_exists: false,
            only: false,
            operations,
            location: None,
            on_cluster: None,
            table_type: None,
            end_token: _,
        } = alter
        else {
            return Err(Refusal::unsupported("this form of ALTER TABLE"));
        };
        let [operation] = operations.as_slice() else {
            return Err(Refusal::unsupported("several changes in one ALTER TABLE"));
        };
        let table = self.table_of(name)?;
        let named = table.name.to_string();
        let change = match operation {
            AlterTableOperation::AddColumn {
                column_keyword: _,
                if_not_exists: false,
                column_def,
                column_position: None,
            } => {
                return self.add_column(&table, column_def);
            }
            AlterTableOperation::DropColumn {
                has_column_keyword: _,
                column_names,
                if_exists: false,
                drop_behavior: None,
            } => {
                let [column] = column_names.as_slice() else {
                    return Err(Refusal::unsupported("several columns in one DROP COLUMN"));
                };
                let column = folded(column)?;
                let index = position(&column, &table.columns)?;
                if table.primary_key.contains(&index)
                    || table.unique_keys.iter().any(|key| key.contains(&index))
                {
                    return Err(Refusal::unsupported("dropping a column of a key"));
                }
                SchemaChange::DropColumn {
                    table: named,
                    column,
                }
            }
            AlterTableOperation::RenameColumn {
                old_column_name,
                new_column_name,
            } => {
                let (from, to) = (folded(old_column_name)?, folded(new_column_name)?);
                position(&from, &table.columns)?;
                name_check(&to)?;
                if table.column(&to).is_some() {
                    return Err(Refusal::new(
                        "42701",
                        format!("column \"{to}\" already exists"),
                    ));
                }
                SchemaChange::RenameColumn {
                    table: named,
                    from,
                    to,
                }
            }
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(to),
            } => {
                let to = new_name(to)?;
                if self.catalog.entry(&to).is_some() || self.catalog.has_index(&to) {
                    return Err(Refusal::new(
                        "42P07",
                        format!("relation \"{to}\" already exists"),
                    ));
                }
                SchemaChange::RenameTable { from: named, to }
            }
            _ => return Err(Refusal::unsupported("this change of a table")),
        };
        Ok(SchemaPlan::new(change, "ALTER TABLE"))
    }

    fn add_column(&mut self, table: &Table, column: &ast::ColumnDef) -> Judgement<SchemaPlan> {
        let mut draft = Draft {
            columns: table.columns.clone(),
            ..Draft::default()
        };
        self.draft_column(column, &mut draft)?;
        let keys = !draft.primary_key.is_empty() || !draft.unique_keys.is_empty();
        if keys || !draft.checks.is_empty() || !draft.references.is_empty() {
            return Err(Refusal::unsupported(
                "a key, CHECK or REFERENCES of an added column",
            ));
        }
        let column = draft
            .columns
            .pop()
            .ok_or_else(|| Refusal::syntax("ADD COLUMN"))?;
        if !column.nullable && column.default.is_none() {
            return Err(Refusal::unsupported(
                "adding a NOT NULL column without a DEFAULT",
            ));
        }
        let change = SchemaChange::AddColumn {
            table: table.name.to_string(),
            column,
        };
        Ok(SchemaPlan::new(change, "ALTER TABLE"))
    }

    fn drop(
        &mut self,
        object: ObjectType,
        if_exists: bool,
        names: &[ast::ObjectName],
    ) -> Judgement<SchemaPlan> {
        let [name] = names else {
            return Err(Refusal::unsupported("several names in one DROP"));
        };
        let (tag, state) = match object {
            ObjectType::Table => ("DROP TABLE", "42P01"),
            ObjectType::View => ("DROP VIEW", "42P01"),
            ObjectType::Index => ("DROP INDEX", "42704"),
            other => return Err(Refusal::unsupported(format!("DROP {other}"))),
        };
        let name = table_name(name)?;
        let found = match (object, self.catalog.entry(&name)) {
            (ObjectType::Table, Some(Entry::Table(_)))
            | (ObjectType::View, Some(Entry::View(_))) => true,
            (ObjectType::Table | ObjectType::View, Some(_)) => {
                return Err(Refusal::new(
                    "42809",
                    format!("\"{name}\" is of another kind: use the other DROP"),
                ));
            }
            (ObjectType::Index, _) => self.catalog.has_index(&name),
            _ => false,
        };
        if !found {
            return if if_exists {
                Ok(SchemaPlan::new(SchemaChange::Nothing, tag))
            } else {
                Err(Refusal::new(state, format!("\"{name}\" does not exist")))
            };
        }
        let mut plan = SchemaPlan::new(SchemaChange::Drop(name), tag);
        plan.dropped = Some(object);
        Ok(plan)
    }
}

pub(super) fn exists(name: &str, if_not_exists: bool, tag: &'static str) -> Judgement<SchemaPlan> {
    if if_not_exists {
        return Ok(SchemaPlan::new(SchemaChange::Nothing, tag));
    }
    Err(Refusal::new(
        "42P07",
        format!("relation \"{name}\" already exists"),
    ))
}

pub(super) fn new_name(name: &ast::ObjectName) -> Judgement<String> {
    let mut parts = parts_of(name)?;
    let fits = parts.len() == 1 || (parts.len() == 2 && parts[0] == "public");
    let name = parts.pop().filter(|_| fits);
    let name = name
        .ok_or_else(|| Refusal::new("3F000", "public is the only schema: leave the schema out"))?;
    name_check(&name)?;
    Ok(name)
}

fn position(name: &str, columns: &[Column]) -> Judgement<usize> {
    columns
        .iter()
        .position(|column| *column.name == *name)
        .ok_or_else(|| Refusal::no_column(name))
}

fn primary_key_set(draft: &mut Draft, columns: Vec<usize>) -> Judgement<()> {
    if !draft.primary_key.is_empty() {
        return Err(Refusal::new(
            "42P16",
            "multiple primary keys for a table are not allowed",
        ));
    }
    draft.primary_key = columns;
    Ok(())
}

fn key_columns(columns: &[ast::IndexColumn], known: &[Column]) -> Judgement<Vec<usize>> {
    let mut found = Vec::with_capacity(columns.len());
    for ast::IndexColumn {
        column,
        operator_class,
    } in columns
    {
        let (expression, false, false) = super::query::key_parts(column)? else {
            return Err(Refusal::unsupported("a key that is sorted"));
        };
        let ast::Expr::Identifier(ident) = expression else {
            return Err(Refusal::unsupported("a key over expressions"));
        };
        if operator_class.is_some() {
            return Err(Refusal::unsupported("an operator class"));
        }
        let index = position(&folded(ident)?, known)?;
        let comparable = known
            .get(index)
            .is_some_and(|column| BaseType::from(column.column_type).is_comparable());
        if found.contains(&index) || !comparable {
            return Err(Refusal::new(
                "42701",
                "a key names each column once, and none that cannot be compared",
            ));
        }
        found.push(index);
    }
    Ok(found)
}

fn action(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::SetDefault => "SET DEFAULT",
    }
}

/// What of CREATE TABLE is known; whatever else is said is refused.
type PlainTable<'a> = (
    &'a ast::ObjectName,
    &'a [ast::ColumnDef],
    &'a [TableConstraint],
    bool,
);

fn plain_table(create: &ast::CreateTable) -> Judgement<PlainTable<'_>> {
    let ast::CreateTable {
        or_replace: false,
        temporary: false,
        unlogged: false,
        external: false,
        dynamic: false,
        global: None,
        if_not_exists,
        transient: false,
        volatile: false,
        iceberg: false,
        snapshot: false,
        name,
        columns,
        constraints,
        hive_distribution: HiveDistributionStyle::NONE,
        hive_formats: _,
        table_options: CreateTableOptions::None,
        file_format: None,
        location: None,
        query: None,
        without_rowid: false,
        like: None,
        clone: None,
        version: None,
        comment: None,
        on_commit: None,
        on_cluster: None,
        primary_key: None,
        order_by: None,
        partition_by: None,
        cluster_by: None,
        clustered_by: None,
        inherits: None,
        partition_of: None,
        for_values: None,
        strict: false,
        copy_grants: false,
        enable_schema_evolution: None,
        change_tracking: None,
        data_retention_time_in_days: None,
        max_data_extension_time_in_days: None,
        default_ddl_collation: None,
        with_aggregation_policy: None,
        with_row_access_policy: None,
        with_storage_lifecycle_policy: None,
        with_tags: None,
        external_volume: None,
        with_connection: None,
        base_location: None,
        catalog: None,
        catalog_sync: None,
        storage_serialization_policy: None,
        target_lag: None,
        warehouse: None,
        refresh_mode: None,
        initialize: None,
        require_user: false,
        diststyle: None,
        distkey: None,
        sortkey: None,
        backup: None,
        multiset: None,
        fallback: None,
        with_data: None,
    } = create
    else {
        return Err(Refusal::unsupported("this form of CREATE TABLE"));
    };
    Ok((name, columns, constraints, *if_not_exists))
}
