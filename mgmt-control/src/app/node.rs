//! Nodes: enrolment, vouching, renewal, revocation.

use std::{net::IpAddr, time::Instant};

use gridmart_fabric::{
    authority::NodeSubject,
    identity::{DoorName, PeerNode},
    join::JoinToken,
    throttle::Guesser,
};
use gridmart_schemas::{
    api::join_token::NodeRow,
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
    scalar::Token,
    wire::{
        desired::Wish,
        enrol::{Certificate, CertificateRenew, EnrolRequest, HostVouch, NAMES_MAX},
    },
};
use time::OffsetDateTime;

use super::{Control, context::Context};
use crate::{
    catalogue::{
        Snapshot, Update,
        audit::AuditEntry,
        node::{JoinTokenRecord, Node},
    },
    failure::Failure,
};

/// The longest name of a node.
const NAME_CHARACTERS_MAX: usize = 64;

// === Joining ===

/// Enrols an Element that has a join token.
pub async fn node_enrol(
    control: &Control,
    from: IpAddr,
    request: EnrolRequest,
) -> Result<Certificate, Failure> {
    let guessers = [Guesser::Address(from.into())];
    control.throttle.admit(&guessers, Instant::now())?;
    let result = enrol(control, from, request).await;
    if let Err(Failure::Refused(problem)) = &result
        && problem.code == Code::JoinTokenInvalid
    {
        control.throttle.on_failure(&guessers, Instant::now());
    }
    result
}

async fn enrol(
    control: &Control,
    from: IpAddr,
    request: EnrolRequest,
) -> Result<Certificate, Failure> {
    let EnrolRequest {
        token,
        kind,
        name,
        csr_pem,
    } = request;
    let name = name_check(&name)?;
    let token: JoinToken = token
        .parse()
        .map_err(|_| Problem::new(Code::JoinTokenInvalid, "This is not a join token."))?;
    let entry = AuditEntry {
        actor: "gridmart".to_owned(),
        action: "node.join",
        target: name.clone(),
        request: None,
        detail: format!("{kind} with token {} from {from}", token.id),
    };
    // Refused before a signature is paid for; decided again when it is used.
    if let Err(problem) = token_check(
        &control.catalogue.snapshot(),
        control.node,
        &token,
        kind,
        OffsetDateTime::now_utc(),
    ) {
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    let id = NodeId::generate();
    let (certificate, not_after) = sign(
        control,
        &csr_pem,
        (id, kind),
        &token.domain,
        control.node,
        Vec::new(),
    )?;
    let controller = control.node;
    let domain = token.domain.clone();
    control
        .administer(entry, move |update| {
            let record = token_check(update.snapshot(), controller, &token, kind, update.now())?;
            update.put_join_token(JoinTokenRecord {
                uses_left: record.uses_left - 1,
                ..record
            })?;
            let joined = update.now();
            put_new(
                update,
                Node {
                    id,
                    kind,
                    domain,
                    name,
                    parent: controller,
                    joined,
                    not_after,
                    revoked: false,
                    wish: Wish::default(),
                },
            )
        })
        .await?;
    tracing::info!(node.id = %id, kind = %kind, "a node has joined");
    Ok(certificate)
}

fn put_new(update: &mut Update<'_>, node: Node) -> Result<(), Failure> {
    update.put_node(node)?;
    Ok(())
}

/// The one place that says whether a join token may be used.
fn token_check(
    catalogue: &Snapshot,
    controller: NodeId,
    token: &JoinToken,
    kind: NodeKind,
    now: OffsetDateTime,
) -> Result<JoinTokenRecord, Problem> {
    let invalid = |detail: &str| Problem::new(Code::JoinTokenInvalid, detail);
    if token.parent != controller {
        return Err(invalid("The join token was made by another node."));
    }
    let record = catalogue
        .join_tokens
        .get(&token.id)
        .filter(|record| token.secret_matches(&record.secret_hash))
        .ok_or_else(|| invalid("The join token is not known here."))?;
    if record.kind != kind || token.kind != kind || token.domain != record.domain {
        return Err(invalid(&format!(
            "The join token is for a {} in {}.",
            record.kind, record.domain
        )));
    }
    if record.expires <= now {
        return Err(Problem::new(
            Code::JoinTokenExpired,
            "The join token's time is over.",
        ));
    }
    if record.uses_left == 0 {
        return Err(Problem::new(
            Code::JoinTokenSpent,
            "The join token has been used as often as it may.",
        ));
    }
    Ok(JoinTokenRecord::clone(record))
}

fn name_check(name: &str) -> Result<String, Problem> {
    Token::new(name)
        .ok()
        .filter(|name| name.as_str().chars().count() <= NAME_CHARACTERS_MAX)
        .map(String::from)
        .ok_or_else(|| {
            Problem::new(
                Code::InvalidRequest,
                format!("A node's name has 1 to {NAME_CHARACTERS_MAX} characters."),
            )
        })
}

/// Which of the names that an Element asks for it gets: none that people know the
/// controller by, or it could take their passwords; but what means each machine
/// itself.
fn granted(own: &[DoorName], names: &[String]) -> Vec<DoorName> {
    let read = names
        .iter()
        .take(NAMES_MAX)
        .filter_map(|name| name.parse().ok());
    let may = |name: &DoorName| name.is_loopback() || !own.contains(name);
    read.filter(may).collect()
}

/// Signs a node's key; nothing of the request but its key counts.
fn sign(
    control: &Control,
    csr_pem: &str,
    (node, kind): (NodeId, NodeKind),
    domain: &str,
    parent: NodeId,
    named: Vec<DoorName>,
) -> Result<(Certificate, OffsetDateTime), Problem> {
    let (mut dns_names, mut ips) = (Vec::new(), Vec::new());
    for name in named {
        match name {
            DoorName::Dns(name) => dns_names.push(name),
            DoorName::Address(address) => ips.push(address),
        }
    }
    let subject = NodeSubject {
        id: node,
        kind,
        domain: domain.to_owned(),
        dns_names,
        ips,
    };
    let now = OffsetDateTime::now_utc().truncate_to_second();
    let chain_pem = control
        .authority
        .sign(csr_pem, &subject, now, control.certificate_lifetime)
        .map_err(|error| {
            Problem::new(
                Code::InvalidRequest,
                format!("The certificate request is refused: {error}."),
            )
        })?;
    let certificate = Certificate {
        node,
        domain: domain.to_owned(),
        chain_pem,
        parent,
    };
    Ok((certificate, now + control.certificate_lifetime))
}

/// Signs the key of a Host for which its Element vouches.
pub async fn host_vouch(
    control: &Control,
    element: &PeerNode,
    request: HostVouch,
) -> Result<Certificate, Failure> {
    let HostVouch { name, csr_pem } = request;
    let name = name_check(&name)?;
    let (parent, domain) = (element.id, element.domain.clone());
    let kind = element.kind.host_kind().ok_or_else(|| {
        Problem::new(
            Code::NotAuthorized,
            format!("A {} has no Hosts to vouch for.", element.kind),
        )
    })?;
    let id = NodeId::generate();
    let (certificate, not_after) =
        sign(control, &csr_pem, (id, kind), &domain, parent, Vec::new())?;
    let entry = AuditEntry {
        actor: parent.to_string(),
        action: "node.join",
        target: name.clone(),
        request: None,
        detail: format!("{kind} {id}, its Element vouches for it"),
    };
    control
        .administer(entry, move |update| {
            let joined = update.now();
            put_new(
                update,
                Node {
                    id,
                    kind,
                    domain,
                    name,
                    parent,
                    joined,
                    not_after,
                    revoked: false,
                    wish: Wish::default(),
                },
            )
        })
        .await?;
    tracing::info!(node.id = %id, element.id = %parent, "a Host has joined");
    Ok(certificate)
}

/// Signs the next certificate of an Element, or of one of its Hosts.
pub async fn certificate_renew(
    control: &Control,
    element: &PeerNode,
    request: CertificateRenew,
) -> Result<Certificate, Failure> {
    let CertificateRenew {
        node: id,
        csr_pem,
        names,
    } = request;
    let may = |node: &Node| node.id == element.id || node.parent == element.id;
    let node = control.catalogue.snapshot().nodes.get(&id).cloned();
    let node = node.filter(|node| may(node)).ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            format!("{id} is none of this Element's nodes."),
        )
    })?;
    if node.revoked {
        return Err(Problem::new(Code::NodeRevoked, format!("{} was revoked.", node.name)).into());
    }
    let has_doors = matches!(node.kind, NodeKind::StorageElement | NodeKind::DataElement);
    let named = if id == element.id && has_doors {
        granted(control.identity.current().door_names(), &names)
    } else {
        Vec::new()
    };
    let (certificate, not_after) = sign(
        control,
        &csr_pem,
        (id, node.kind),
        &node.domain,
        node.parent,
        named,
    )?;
    control
        .catalogue
        .update(move |update| {
            let known = update.snapshot().nodes.get(&id).cloned();
            if let Some(node) = known.filter(|node| !node.revoked) {
                update.put_node(Node {
                    not_after,
                    ..Node::clone(&node)
                })?;
                return Ok(());
            }
            Err(Problem::new(Code::NodeRevoked, "The node was revoked meanwhile.").into())
        })
        .await?;
    Ok(certificate)
}

// === People's view ===

/// Lists all nodes that ever joined.
pub fn node_list(control: &Control) -> Vec<NodeRow> {
    control
        .catalogue
        .snapshot()
        .nodes
        .values()
        .map(|node| row(node))
        .collect()
}

fn row(node: &Node) -> NodeRow {
    NodeRow {
        id: node.id,
        kind: node.kind,
        domain: node.domain.clone(),
        name: node.name.clone(),
        not_after: node.not_after,
        revoked: node.revoked,
    }
}

/// Shuts a node out for good: its stream ends now, its certificate is refused
/// here at once and on all Elements as soon as they hear of it.
pub async fn node_revoke(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<NodeRow, Failure> {
    let id = control.catalogue.view().resource(text)?.id;
    let mut entry = context.act("node.revoke", id.to_string());
    let revoked = control
        .administer(
            {
                text.clone_into(&mut entry.detail);
                entry
            },
            move |update| {
                let known = update.snapshot().nodes.get(&id).cloned();
                let known = known.ok_or_else(|| {
                    Problem::new(Code::NotFound, format!("There is no node {id}."))
                })?;
                let node = Node {
                    revoked: true,
                    ..Node::clone(&known)
                };
                let row = row(&node);
                update.put_node(node)?;
                Ok(row)
            },
        )
        .await?;
    control.revocations.revoke(id);
    control.streams.close(id);
    Ok(revoked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_gets_its_names_but_none_of_the_controller_s() {
        let read = |names: &[&str]| -> Vec<DoorName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let own = read(&["localhost", "127.0.0.1", "::1", "grid.lab", "192.0.2.1"]);
        let get = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            granted(&own, &names)
        };
        assert_eq!(
            get(&["s3.lab", "192.0.2.7"]),
            read(&["s3.lab", "192.0.2.7"])
        );
        assert_eq!(get(&["Grid.Lab", "192.0.2.1"]), []);
        assert_eq!(get(&["localhost", "::1"]), read(&["localhost", "::1"]));
        // Nor one that stands for many, or for a node.
        assert_eq!(get(&["*.lab", "x.control.gridmart.internal", ""]), []);
        let many: Vec<String> = (0..20).map(|number| format!("s{number}.lab")).collect();
        assert_eq!(granted(&own, &many).len(), NAMES_MAX);
    }
}
