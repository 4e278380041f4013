//! Nodes with their wishes, and what Elements and Hosts said of themselves.

use rusqlite::{Connection, Row, params};

use super::{During, StoreError, json, moment, number, parsed, to_json, wish};
use crate::catalogue::node::{Element, Host, Node};

/// Reads all nodes.
pub(crate) fn node_list(connection: &Connection) -> Result<Vec<Node>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM node")
        .during("node_list")?;
    let rows = statement.query_map([], node).during("node_list")?;
    rows.collect::<rusqlite::Result<_>>().during("node_list")
}

fn node(row: &Row<'_>) -> rusqlite::Result<Node> {
    Ok(Node {
        id: parsed(row, "id")?,
        kind: parsed(row, "kind")?,
        domain: row.get("domain")?,
        name: row.get("name")?,
        parent: parsed(row, "parent")?,
        joined: moment(row, "joined")?,
        not_after: moment(row, "not_after")?,
        revoked: row.get("revoked")?,
        wish: wish(row)?,
    })
}

/// Writes a node, new or changed.
pub(crate) fn node_put(connection: &Connection, node: &Node) -> Result<(), StoreError> {
    let Node {
        id,
        kind,
        domain,
        name,
        parent,
        joined,
        not_after,
        revoked,
        wish,
    } = node;
    connection
        .prepare_cached(
            "INSERT INTO node (id, kind, domain, name, parent, joined, not_after, revoked,
                               desired, generation, cut_epoch)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET name = ?4, not_after = ?7, revoked = ?8,
                                            desired = ?9, generation = ?10, cut_epoch = ?11",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id.to_string(),
                kind.as_str(),
                domain,
                name,
                parent.to_string(),
                joined.unix_timestamp(),
                not_after.unix_timestamp(),
                revoked,
                wish.desired.as_str(),
                number(wish.generation),
                number(wish.cut_epoch)
            ])
        })
        .during("node_put")
        .map(drop)
}

/// Reads what all Elements said of themselves.
pub(crate) fn element_list(connection: &Connection) -> Result<Vec<Element>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM element")
        .during("element_list")?;
    let rows = statement.query_map([], element).during("element_list")?;
    rows.collect::<rusqlite::Result<_>>().during("element_list")
}

fn element(row: &Row<'_>) -> rusqlite::Result<Element> {
    Ok(Element {
        id: parsed(row, "node")?,
        endpoints: json(row, "endpoints")?,
        description: json(row, "description")?,
    })
}

/// Writes what an Element said of itself.
pub(crate) fn element_put(connection: &Connection, element: &Element) -> Result<(), StoreError> {
    let Element {
        id,
        endpoints,
        description,
    } = element;
    let put = || -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT INTO element (node, endpoints, description) VALUES (?1, ?2, ?3)
                 ON CONFLICT (node) DO UPDATE SET endpoints = ?2, description = ?3",
            )?
            .execute(params![
                id.to_string(),
                to_json(endpoints)?,
                to_json(description)?
            ])
    };
    put().during("element_put").map(drop)
}

/// Reads what all Hosts said of themselves.
pub(crate) fn host_list(connection: &Connection) -> Result<Vec<Host>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM host")
        .during("host_list")?;
    let rows = statement.query_map([], host).during("host_list")?;
    rows.collect::<rusqlite::Result<_>>().during("host_list")
}

fn host(row: &Row<'_>) -> rusqlite::Result<Host> {
    Ok(Host {
        id: parsed(row, "node")?,
        element: parsed(row, "element")?,
        description: json(row, "description")?,
    })
}

/// Writes what a Host said of itself.
pub(crate) fn host_put(connection: &Connection, host: &Host) -> Result<(), StoreError> {
    let Host {
        id,
        element,
        description,
    } = host;
    let put = || -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT INTO host (node, element, description) VALUES (?1, ?2, ?3)
                 ON CONFLICT (node) DO UPDATE SET element = ?2, description = ?3",
            )?
            .execute(params![
                id.to_string(),
                element.to_string(),
                to_json(description)?
            ])
    };
    put().during("host_put").map(drop)
}
