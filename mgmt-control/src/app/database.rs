//! Databases: made, found, changed and removed on the Data Elements that keep them,
//! which are asked each time.

use std::collections::BTreeMap;

use gridmart_fabric::rule::Ruling;
use gridmart_schemas::{
    api::database::{DatabaseChangeRequest, DatabaseCreateRequest, DatabaseView, DatabasesView},
    id::{DatabaseId, PersonName},
    problem::{Code, Problem},
    resource::{
        any::AnyElement,
        database::{Database, DatabaseRules, Replica},
        enumeration::AccessProtocolType,
    },
    role::{Desired, Operation},
    scalar::DatabaseName,
    wire::database::{
        DATABASES_MAX, DatabaseChange, DatabaseList, DatabaseMake, DatabaseRemove, DatabasesTold,
    },
};

use super::{
    Control,
    bucket::{FIND_MAX, ask, order},
    context::{Actor, Context},
    found::{Found, Told},
    kept::{DATABASES, Kept},
};
use crate::{
    access::{database::may_some, kept::element_ruling},
    catalogue::{View, node::Node},
    failure::Failure,
};

/// A database that was found, and where.
pub type FoundDatabase = Found<Database>;

impl Told for Database {
    const KEPT: Kept = DATABASES;
    type List = DatabaseList;

    fn list(name: &str) -> Result<DatabaseList, Problem> {
        let name = DatabaseName::new(name)
            .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
        Ok(DatabaseList {
            name: Some(name),
            after: None,
            limit: 1,
        })
    }

    fn all_of(answer: DatabasesTold) -> Vec<Self> {
        answer.databases
    }

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn owner(&self) -> &PersonName {
        &self.owner
    }

    fn may_some(&self, actor: &Actor, operation: Operation) -> Ruling {
        may_some(actor, self, operation)
    }
}

/// Lists the databases that the actor may use; operators see all.
pub async fn database_list(
    control: &Control,
    context: &Context,
    element: Option<&str>,
) -> Result<DatabasesView, Failure> {
    let view = control.catalogue.view();
    let mut shown = DatabasesView::default();
    for node in DATABASES.elements(&view, element)? {
        let mut after = None;
        loop {
            let request = DatabaseList {
                name: None,
                after,
                limit: DATABASES_MAX,
            };
            let Ok(DatabasesTold { databases, more }) =
                ask(control, context, &node, &request, FIND_MAX).await
            else {
                shown.silent.push(node.name.clone());
                break;
            };
            after = databases.last().map(|told| told.name.clone());
            let visible = databases.into_iter().filter(|told| told.is_seen(context));
            shown
                .databases
                .extend(visible.filter_map(|told| view_of(control, context, &node, told).ok()));
            if !more || after.is_none() {
                break;
            }
        }
    }
    Ok(shown)
}

/// Makes a database, which belongs to the actor.
pub async fn database_create(
    control: &Control,
    context: &Context,
    wanted: DatabaseCreateRequest,
) -> Result<DatabaseView, Failure> {
    let DatabaseCreateRequest {
        name,
        element,
        shadows,
        engine,
        shadow_engine,
    } = wanted;
    let view = control.catalogue.view();
    let node = DATABASES.the_element(&view, element.as_deref())?;
    let entry = context.act("database.create", format!("{}/{name}", node.name));
    if let Err(problem) = may_make(&view, context, &node) {
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    let request = DatabaseMake {
        name,
        owner: context.actor.name.clone(),
        shadows,
        engine,
        shadow_engine,
    };
    let made = order(control, context, &node, entry, &request).await?;
    Ok(view_of(control, context, &node, made)?)
}

/// Shows a database.
pub async fn database_view(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<DatabaseView, Failure> {
    let FoundDatabase { node, told } = database_find(control, context, text).await?;
    if !told.is_seen(context) {
        // Whether there is one is nobody's business who may not use it.
        return Err(DATABASES.unknown(text).into());
    }
    Ok(view_of(control, context, &node, told)?)
}

/// Changes what a database's owner allows.
pub async fn database_change(
    control: &Control,
    context: &Context,
    text: &str,
    wanted: DatabaseChangeRequest,
) -> Result<DatabaseView, Failure> {
    let DatabaseChangeRequest { rules } = wanted;
    let found = FoundDatabase::own(control, context, text, "database.change").await?;
    let request = DatabaseChange {
        database: id_of(&found.told)?,
        access: rules.map(|rules| DatabaseRules { rules }),
    };
    let entry = context.act("database.change", found.label());
    let told = order(control, context, &found.node, entry, &request).await?;
    Ok(view_of(control, context, &found.node, told)?)
}

/// Removes a database with all that is in it.
pub async fn database_delete(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<(), Failure> {
    let found = FoundDatabase::own(control, context, text, "database.delete").await?;
    let request = DatabaseRemove {
        database: id_of(&found.told)?,
    };
    let entry = context.act("database.delete", found.label());
    order(control, context, &found.node, entry, &request).await?;
    Ok(())
}

/// Finds the database that `NAME` or `ELEMENT/NAME` means.
pub async fn database_find(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<FoundDatabase, Problem> {
    Found::find(control, context, text).await
}

/// A database's id, which an Element always tells.
pub(super) fn id_of(told: &Database) -> Result<DatabaseId, Problem> {
    let nameless = || {
        Problem::new(
            Code::Internal,
            "An Element has told of a database without id.",
        )
    };
    told.database().ok_or_else(nameless)
}

fn may_make(view: &View, context: &Context, node: &Node) -> Result<(), Problem> {
    let ruling = element_ruling(view, &context.actor, node.id, Operation::Write);
    if !ruling.allowed {
        let detail = format!(
            "{} may not keep databases on the Element {}: {}.",
            context.actor.name, node.name, ruling.reason
        );
        return Err(Problem::new(Code::NotAuthorized, detail));
    }
    if node.wish.desired != Desired::Production {
        let detail = format!("The Element {} is stopped.", node.name);
        return Err(Problem::new(Code::NotAccepting, detail));
    }
    Ok(())
}

/// As the actor sees it: what others may is the owner's and operators' to know, which
/// keys differ on a shadow the owner's alone.
pub(super) fn view_of(
    control: &Control,
    context: &Context,
    node: &Node,
    told: Database,
) -> Result<DatabaseView, Problem> {
    let id = id_of(&told)?;
    let mut database = told;
    if !context.actor.is_operator() && database.owner != context.actor.name {
        database.access = DatabaseRules::default();
        for replica in &mut database.replicas.replicas {
            if let Some(filter) = &mut replica.filter {
                filter.rules.clear();
            }
        }
    }
    if database.owner != context.actor.name {
        for replica in &mut database.replicas.replicas {
            if let Some(check) = replica
                .state
                .as_mut()
                .and_then(|state| state.check.as_mut())
            {
                check.differences.clear();
            }
        }
    }
    Ok(DatabaseView {
        id,
        element: node.id,
        element_name: node.name.clone(),
        endpoint: endpoint_of(control, node, &database),
        host_names: host_names(control, &database),
        database,
    })
}

/// Names of the Hosts that have a copy.
fn host_names(control: &Control, database: &Database) -> BTreeMap<String, String> {
    let view = control.catalogue.view();
    let replicas = database.replicas.replicas.iter().filter_map(Replica::node);
    replicas
        .map(|host| (host.to_string(), view.name_of(host)))
        .collect()
}

/// Where a database is reached with PostgreSQL's protocol, as its Element has told.
fn endpoint_of(control: &Control, node: &Node, database: &Database) -> Option<String> {
    let known = control
        .catalogue
        .snapshot()
        .elements
        .get(&node.id)
        .cloned()?;
    let AnyElement::Data(element) = &known.description else {
        return None;
    };
    let doors = &element.info.access_protocols;
    let door = doors
        .iter()
        .find(|door| door.kind == AccessProtocolType::Postgresql)?;
    Some(format!("{}/{}", door.endpoint.as_str(), database.name))
}
