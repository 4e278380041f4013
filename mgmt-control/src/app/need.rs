//! What needs a person: the reason, and the action that helps. A pure function
//! over a view, so that it says the same as the lists.

use std::{collections::BTreeMap, time::Duration};

use gridmart_schemas::{
    api::{
        event::{Severity, Topical},
        overview::NeedView,
        resource::Condition,
    },
    id::NodeId,
    problem::Problem,
    resource::enumeration::AppEnvState,
    role::{Desired, NodeKind},
};
use time::OffsetDateTime;

use super::{
    applied::{Target, pending_names},
    resource::{Present, row},
};
use crate::catalogue::{
    View,
    event::{bounded, topical_node},
    node::Node,
};

/// Hosts of one Element that are away are told together from so many on.
const TOGETHER_MIN: usize = 4;
/// A certificate is renewed before half of its life; one that has less than
/// this part of it left needs a look.
const CERTIFICATE_LEFT_PART: u32 = 6;
/// Applications that are told to be broken, at most.
const BROKEN_MAX: usize = 20;

/// All that needs a person, most urgent first.
pub(crate) fn needs(
    view: &View,
    ailment: Option<&Problem>,
    certificate_life: Duration,
) -> Vec<NeedView> {
    let mut needs = Vec::new();
    if let Some(problem) = ailment {
        let subject = Topical {
            kind: NodeKind::Control.as_str().to_owned(),
            id: String::new(),
            name: "controller".to_owned(),
        };
        needs.push(NeedView {
            code: "controller-disk".to_owned(),
            severity: Severity::Critical,
            subject,
            reason: format!("{} {}", problem.detail, problem.hint),
            remedy: None,
        });
    }
    let mut away_hosts: BTreeMap<NodeId, Vec<&Node>> = BTreeMap::new();
    let mut elements = 0;
    for node in view.catalogue.nodes.values() {
        if node.revoked || node.kind == NodeKind::Control {
            continue;
        }
        elements += usize::from(node.kind.is_element());
        let condition = Present::of(view, node).condition();
        if condition == Condition::Away && node.kind.is_host() {
            let is_stopped = node.wish.desired == Desired::Closed;
            // Of an Element that is away nobody knows how its Hosts are.
            if !is_stopped && !is_away(view, node.parent) {
                away_hosts.entry(node.parent).or_default().push(node);
            }
        } else {
            needs.extend(of_node(view, node, condition));
        }
        needs.extend(of_certificate(view, node, certificate_life));
    }
    for (element, hosts) in away_hosts {
        needs.extend(of_away_hosts(view, element, &hosts));
    }
    needs.extend(broken(view));
    if elements == 0 {
        needs.push(nobody_joined());
    }
    // Most urgent first; the order of one urgency stays as it is.
    needs.sort_by_key(|need| std::cmp::Reverse(need.severity));
    needs
}

fn is_away(view: &View, element: NodeId) -> bool {
    let node = view.catalogue.nodes.get(&element);
    node.is_some_and(|node| {
        matches!(
            Present::of(view, node).condition(),
            Condition::Away | Condition::Unknown
        )
    })
}

fn need(
    view: &View,
    node: NodeId,
    code: &str,
    severity: Severity,
    reason: &str,
    remedy: Option<&str>,
) -> NeedView {
    NeedView {
        code: code.to_owned(),
        severity,
        subject: topical_node(&view.catalogue, node),
        reason: bounded(reason),
        remedy: remedy.map(str::to_owned),
    }
}

fn of_node(view: &View, node: &Node, condition: Condition) -> Option<NeedView> {
    let id = node.id;
    let info = || {
        row(view, node)
            .health_info
            .unwrap_or_else(|| "It does not say why.".to_owned())
    };
    match condition {
        Condition::Away if node.wish.desired == Desired::Closed => None,
        Condition::Away => {
            let reason = format!(
                "{} is not heard any more. What runs there goes on; nothing new is placed there. Look whether its machine and its network are up.",
                node.name
            );
            Some(need(
                view,
                id,
                "element-away",
                Severity::Critical,
                &reason,
                None,
            ))
        }
        Condition::Critical => Some(need(
            view,
            id,
            "critical",
            Severity::Critical,
            &info(),
            None,
        )),
        Condition::Warning => Some(need(view, id, "warning", Severity::Warning, &info(), None)),
        Condition::Closed if node.wish.desired == Desired::Production => {
            let reason = format!("{} should serve, and is closed.", node.name);
            let start = Some("ResourceStart");
            Some(need(
                view,
                id,
                "command-pending",
                Severity::Warning,
                &reason,
                start,
            ))
        }
        Condition::Ok | Condition::Draining | Condition::Closed | Condition::Unknown => {
            let target = if node.kind.is_host() {
                Target::Host(id)
            } else {
                Target::Element(id)
            };
            // Who is not heard is told of by that.
            let waits = condition != Condition::Unknown && !pending_names(view, target).is_empty();
            let reason = format!("{} has not applied the last command yet.", node.name);
            waits.then(|| need(view, id, "command-pending", Severity::Info, &reason, None))
        }
    }
}

fn of_certificate(view: &View, node: &Node, life: Duration) -> Option<NeedView> {
    let left = node.not_after - OffsetDateTime::now_utc();
    // Whoever does not come any more has no use for one.
    if left > life / CERTIFICATE_LEFT_PART || !Present::of(view, node).connected {
        return None;
    }
    let reason = format!(
        "The certificate of {} ends in {} min and was not renewed.",
        node.name,
        left.whole_minutes().max(0)
    );
    Some(need(
        view,
        node.id,
        "certificate-ends",
        Severity::Warning,
        &reason,
        None,
    ))
}

fn of_away_hosts(view: &View, element: NodeId, hosts: &[&Node]) -> Vec<NeedView> {
    if hosts.len() >= TOGETHER_MIN {
        let reason = format!(
            "{} Hosts of {} are not heard any more.",
            hosts.len(),
            view.name_of(element)
        );
        let one = need(
            view,
            element,
            "hosts-away",
            Severity::Critical,
            &reason,
            None,
        );
        return vec![one];
    }
    let one = |node: &&Node| {
        let reason = format!(
            "{} is not heard any more. If its machine does not come back, revoke it.",
            node.name
        );
        let revoke = Some("NodeRevoke");
        need(
            view,
            node.id,
            "host-away",
            Severity::Warning,
            &reason,
            revoke,
        )
    };
    hosts.iter().map(one).collect()
}

/// Applications that nodes could not make ready.
fn broken(view: &View) -> Vec<NeedView> {
    let mut met: BTreeMap<_, (usize, String)> = BTreeMap::new();
    for host in view.observed.hosts.values().filter(|host| host.connected) {
        for told in &host.deployments {
            let is_broken = matches!(
                told.state.parse(),
                Ok(AppEnvState::Installedbroken | AppEnvState::Installationfailed)
            );
            if is_broken {
                let (hosts, reason) = met.entry(&told.digest).or_default();
                *hosts += 1;
                if reason.is_empty() {
                    *reason = told.reason.clone().unwrap_or_default();
                }
            }
        }
    }
    let one = |(digest, (hosts, reason))| {
        let known = view.catalogue.applications.get(digest)?;
        let name = format!("{}@{}", known.name, known.version);
        Some(NeedView {
            code: "application-broken".to_owned(),
            severity: Severity::Warning,
            subject: Topical {
                kind: "application".to_owned(),
                id: known.name.clone(),
                name,
            },
            reason: bounded(&format!("It cannot be used on {hosts} Hosts. {reason}")),
            remedy: Some("ApplicationUpload".to_owned()),
        })
    };
    met.into_iter().filter_map(one).take(BROKEN_MAX).collect()
}

fn nobody_joined() -> NeedView {
    NeedView {
        code: "nobody-joined".to_owned(),
        severity: Severity::Info,
        subject: Topical {
            kind: NodeKind::Control.as_str().to_owned(),
            id: String::new(),
            name: "controller".to_owned(),
        },
        reason: "No Element has joined yet: make a join token, and start one with it.".to_owned(),
        remedy: Some("JoinTokenCreate".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{resource::enumeration::HealthState, wire::control_element::Deployment};

    use super::*;
    use crate::catalogue::sample::{HostFacts, Sample, computing_state};

    fn codes(sample: &Sample) -> Vec<(String, String)> {
        let found = needs(&sample.view(), None, Duration::from_hours(24));
        found
            .into_iter()
            .map(|need| (need.code, need.subject.name))
            .collect()
    }

    fn pair(code: &str, name: &str) -> (String, String) {
        (code.to_owned(), name.to_owned())
    }

    #[test]
    fn what_needs_a_person_is_told_once_and_most_urgent_first() {
        let mut sample = Sample::default();
        assert_eq!(codes(&sample), [pair("nobody-joined", "controller")]);
        let [one, two] = ["ce-1", "ce-2"].map(|name| sample.element(name, "lab", 4));
        let hosts: Vec<NodeId> = (0..8)
            .map(|n| {
                let element = if n < 5 { one } else { two };
                sample.host(element, &format!("host-{n}"), HostFacts::default())
            })
            .collect();
        assert!(codes(&sample).is_empty(), "{:?}", codes(&sample));
        sample.hear_host(hosts[0], |heard| heard.connected = false);
        assert_eq!(codes(&sample), [pair("host-away", "host-0")]);
        // What was stopped may be away.
        sample.change_node(hosts[0], |node| node.wish.desired = Desired::Closed);
        assert!(codes(&sample).is_empty());
        for host in &hosts[1..5] {
            sample.hear_host(*host, |heard| heard.connected = false);
        }
        sample.change_node(hosts[5], |node| {
            node.not_after = OffsetDateTime::now_utc() + time::Duration::hours(1);
        });
        assert_eq!(
            codes(&sample),
            [
                pair("hosts-away", "ce-1"),
                pair("certificate-ends", "host-5")
            ]
        );
        // Of an Element that is away its Hosts are not told as well.
        sample.hear_element(one, |heard| heard.connected = false);
        assert_eq!(codes(&sample)[0], pair("element-away", "ce-1"));
        assert_eq!(codes(&sample).len(), 2);
        sample.hear_element(two, |heard| {
            computing_state(heard).common.health_state = HealthState::Critical;
        });
        assert!(codes(&sample).contains(&pair("critical", "ce-2")));
    }

    #[test]
    fn a_broken_application_is_told_with_its_reason() {
        let mut sample = Sample::default();
        let element = sample.element("ce-1", "lab", 4);
        let host = sample.host(element, "host-1", HostFacts::default());
        let digest = sample.application("hello", "1", None);
        sample.hear_host(host, |heard| {
            heard.deployments = vec![Deployment {
                digest,
                state: AppEnvState::Installationfailed.as_str().to_owned(),
                generation: 9,
                serving: Desired::Production,
                reason: Some("no space".to_owned()),
            }];
        });
        let found = needs(&sample.view(), None, Duration::from_hours(24));
        let broken = found
            .iter()
            .find(|need| need.code == "application-broken")
            .unwrap();
        assert_eq!(broken.subject.name, "hello@1");
        assert!(broken.reason.ends_with("no space"), "{}", broken.reason);
    }
}
