//! The streams between the roles, and from programs to them, each of which can
//! be slow, silent or cut.

use crate::{
    proxy::Proxy,
    supermarket::{Change, Supermarket},
    wait::{LONG, wait_for},
};

/// One stretch of the network: what goes through it, and its proxy.
#[derive(Debug)]
pub(super) struct Wire {
    /// As in `host-1 to its Element`.
    pub(super) name: String,
    pub(super) proxy: Proxy,
}

impl Wire {
    fn before(door: &str, name: String) -> Self {
        let proxy = Proxy::before(door);
        Self { name, proxy }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Wires(pub(super) Vec<Wire>);

impl Wires {
    /// Starts the Element and the Hosts again, behind proxies.
    #[track_caller]
    pub(super) fn lay(market: &Supermarket) -> Self {
        let mut wires = Vec::new();
        for role in super::roles().filter(|role| role != "control") {
            let parent = if role == "ce-1" {
                &market.ready.nodes
            } else {
                &market.ready.element
            };
            let up = Wire::before(parent, format!("{role} to its parent"));
            let door = market.role_address(&role, "door");
            // What the Element is reached by is also where its Hosts dial.
            let down = Wire::before(&door, format!("programs to {role}"));
            let change = Change::none()
                .parent_behind(&up.proxy)
                .advertised_at(&down.proxy);
            market.replace(&role, &change);
            wires.extend([up, down]);
        }
        for wire in &wires {
            wait_connected(market, wire);
        }
        Self(wires)
    }
}

/// A parent's wire is used as soon as its node is there.
fn wait_connected(market: &Supermarket, wire: &Wire) {
    let Some(role) = wire.name.strip_suffix(" to its parent") else {
        return;
    };
    market.wait_resource(role, "connected", |row| row["connected"] == true);
    wait_for(LONG, &format!("{} is in use", wire.name), || {
        if wire.proxy.accepted() > 0 {
            Ok(())
        } else {
            Err("no connection".to_owned())
        }
    });
}
