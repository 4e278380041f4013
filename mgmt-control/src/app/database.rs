//! Databases: made, found, changed and removed on the Data Elements that keep them,
//! which are asked each time.

use std::sync::Arc;

use gridmart_schemas::{
    api::database::{DatabaseChangeRequest, DatabaseCreateRequest, DatabaseView, DatabasesView},
    id::DatabaseId,
    problem::{Code, Problem},
    resource::{
        any::AnyElement,
        database::{Database, DatabaseRules},
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
    context::Context,
    kept::DATABASES,
};
use crate::{
    access::{database::may_some, kept::element_ruling},
    catalogue::{View, node::Node},
    failure::Failure,
};

/// A database that was found, and where.
pub struct FoundDatabase {
    /// Its Element.
    pub node: Arc<Node>,
    /// What the Element says of it.
    pub told: Database,
}

impl FoundDatabase {
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.node.name, self.told.name)
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
            let visible = databases.into_iter().filter(|told| sees(context, told));
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

fn sees(context: &Context, told: &Database) -> bool {
    context.actor.is_operator()
        || [Operation::Read, Operation::Write]
            .into_iter()
            .any(|operation| may_some(&context.actor, told, operation).allowed)
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
    if !sees(context, &told) {
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
    let found = own_database(control, context, text, "database.change").await?;
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
    let found = own_database(control, context, text, "database.delete").await?;
    let request = DatabaseRemove {
        database: id_of(&found.told)?,
    };
    let entry = context.act("database.delete", found.label());
    order(control, context, &found.node, entry, &request).await?;
    Ok(())
}

/// A database of the actor's; operators may all.
pub(super) async fn own_database(
    control: &Control,
    context: &Context,
    text: &str,
    action: &'static str,
) -> Result<FoundDatabase, Failure> {
    let found = database_find(control, context, text).await?;
    if context.actor.is_operator() || found.told.owner == context.actor.name {
        return Ok(found);
    }
    let problem = if sees(context, &found.told) {
        Problem::new(
            Code::NotAuthorized,
            format!(
                "The database {text} belongs to {}; its owner and operators may do this.",
                found.told.owner
            ),
        )
    } else {
        DATABASES.unknown(text)
    };
    let entry = context.act(action, found.label());
    control.audit_refusal(entry, problem.code.as_str()).await;
    Err(problem.into())
}

/// Finds the database that `NAME` or `ELEMENT/NAME` means.
pub async fn database_find(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<FoundDatabase, Problem> {
    let (element, name) = match text.split_once('/') {
        Some((element, name)) => (Some(element), name),
        None => (None, text),
    };
    let name = DatabaseName::new(name)
        .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
    let view = control.catalogue.view();
    let request = DatabaseList {
        name: Some(name),
        after: None,
        limit: 1,
    };
    let asked = DATABASES
        .elements(&view, element)?
        .into_iter()
        .map(async |node| {
            let told = ask(control, context, &node, &request, FIND_MAX).await;
            (node, told)
        });
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    for (node, told) in futures_util::future::join_all(asked).await {
        match told {
            Ok(told) => found.extend(told.databases.into_iter().map(|told| FoundDatabase {
                node: Arc::clone(&node),
                told,
            })),
            Err(problem) if element.is_some() => return Err(problem),
            Err(_) => silent.push(node.name.clone()),
        }
    }
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(FoundDatabase::label).collect();
        let detail = format!(
            "{text:?} means several databases: {}. Say which.",
            names.join(", ")
        );
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    found.pop().ok_or_else(|| DATABASES.away(text, &silent))
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
        database,
    })
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
