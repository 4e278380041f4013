//! Judging one Element for a question: rules, state, deployment, needs, and
//! whether one of its Hosts passes all of it.

use gridmart_fabric::rule;
use gridmart_schemas::{
    api::explain::Check,
    resource::{common::AccessRule, enumeration::ServingState},
    role::Desired,
    wire::desired::ApplicationWish,
};

use gridmart_fabric::need::Need;

use super::{
    fit::{self, Ground},
    placement::Question,
    verdict::{Checks, Concern, Failed, Faults, Sink},
};
use crate::catalogue::{
    View,
    application::Application,
    node::{Element, Host, Node},
    observed::ElementObserved,
};

/// Names the Host whose failures follow; no failure of its own.
pub(super) const NEAREST_HOST: &str = "nearest-host";

/// An Element that was looked at. Of many only the counts are wanted: the words
/// are made by the same checks again, for those that are told of.
pub(super) struct Judged<'a> {
    pub(super) node: &'a Node,
    pub(super) failed: Failed,
    pub(super) free_slots: u32,
    pub(super) response_ms: u64,
    view: &'a View,
    question: &'a Question<'a>,
    element: &'a Element,
    observed: Option<&'a ElementObserved>,
    nearest: Nearest<'a>,
}

/// The Host of an Element that comes nearest to what is asked.
struct Nearest<'a> {
    host: Option<(&'a Node, &'a Host)>,
    failed: Failed,
    looked_at: u32,
}

/// Makes all checks of one Element.
pub(super) fn judge<'a>(
    view: &'a View,
    question: &'a Question<'a>,
    node: &'a Node,
    element: &'a Element,
) -> Judged<'a> {
    let observed = view.element_observed(node.id).map(AsRef::as_ref);
    let ground = Ground {
        catalogue: &view.catalogue,
        application: question.application,
        node,
        element,
    };
    let state = observed.and_then(|observed| observed.fresh_computing_state(view.now));
    let mut judged = Judged {
        node,
        failed: Failed::default(),
        free_slots: state.map_or(0, |state| state.free_job_slots),
        response_ms: state
            .and_then(|state| state.estimated_response_time)
            .map_or(u64::MAX, gridmart_schemas::scalar::Seconds::as_millis),
        view,
        question,
        element,
        observed,
        nearest: nearest_host(view, question, &ground, observed),
    };
    let mut failed = Failed::default();
    judged.check(&mut failed);
    judged.failed = failed;
    judged
}

impl Judged<'_> {
    /// All checks in words.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = Checks::default();
        self.check(&mut checks);
        checks.made
    }

    /// The failed ones in words.
    pub(super) fn faults(&self) -> Vec<Check> {
        let mut faults = Faults::default();
        self.check(&mut faults);
        faults.0
    }

    fn check(&self, sink: &mut impl Sink) {
        let Self {
            node,
            view,
            question,
            element,
            observed,
            ref nearest,
            ..
        } = *self;
        let ground = Ground {
            catalogue: &view.catalogue,
            application: question.application,
            node,
            element,
        };
        check_rules(&element.description.access().rules, question, "rule", sink);
        check_state(view, question, node, observed, sink);
        if let Some(application) = question.application {
            check_deployment(application, observed, sink);
        }
        check_whole(&ground, question.needs, sink);
        let Some((host_node, host)) = nearest.host else {
            sink.check("host", Concern::Need, false, || {
                ("one that fits".to_owned(), "no Host has joined".to_owned())
            });
            return;
        };
        if nearest.failed.is_none() {
            sink.note("host", true, || {
                ("one that fits".to_owned(), host_node.name.clone())
            });
        } else {
            sink.note(NEAREST_HOST, false, || {
                let needed = format!("one that fits, of {}", nearest.looked_at);
                (needed, host_node.name.clone())
            });
        }
        check_host(view, question, &ground, observed, (host_node, host), sink);
    }
}

/// Checks an `AccessControlBase`: each operation has to be allowed. Elements
/// judge by the same rules, so nobody is sent where they would be refused.
fn check_rules(rules: &[AccessRule], question: &Question<'_>, name: &str, sink: &mut impl Sink) {
    let subject = &question.subject;
    for operation in question.operations {
        let ruling = rule::evaluate(rules, subject, *operation, None);
        sink.check(name, Concern::Rule, ruling.allowed, || {
            (format!("{operation} for {}", subject.person), ruling.reason)
        });
    }
}

fn check_state(
    view: &View,
    question: &Question<'_>,
    node: &Node,
    observed: Option<&ElementObserved>,
    sink: &mut impl Sink,
) {
    let fresh = observed.and_then(|observed| observed.fresh_state(view.now));
    sink.check("connected", Concern::Presence, fresh.is_some(), || {
        ("heard lately".to_owned(), heard(observed, view.now))
    });
    sink.check(
        "desired",
        Concern::State,
        node.wish.desired == Desired::Production,
        || ("production".to_owned(), node.wish.desired.to_string()),
    );
    if let Some(state) = fresh {
        let serving = state.common().serving_state;
        sink.check("serving-state", Concern::State, accepts(serving), || {
            ("production or queueing".to_owned(), serving.to_string())
        });
    }
    if question.avoid.contains(&node.id) {
        sink.check("avoided", Concern::State, false, || {
            (
                "not on the asker's list".to_owned(),
                "it failed for the asker before".to_owned(),
            )
        });
    }
}

const fn accepts(serving: ServingState) -> bool {
    matches!(serving, ServingState::Production | ServingState::Queueing)
}

fn heard(observed: Option<&ElementObserved>, now: std::time::Instant) -> String {
    match observed {
        None => "not heard since the controller started".to_owned(),
        Some(observed) if observed.connected => {
            format!("heard {} s ago", observed.age(now).as_secs())
        }
        Some(observed) => format!(
            "its stream is lost, heard {} s ago",
            observed.age(now).as_secs()
        ),
    }
}

/// The Element must have recorded that it should hold the version, and must
/// not have found that it cannot.
fn check_deployment(
    application: &Application,
    observed: Option<&ElementObserved>,
    sink: &mut impl Sink,
) {
    /// Where a version is of no use (GLUE 2 `AppEnvState`).
    const UNUSABLE: &[&str] = &[
        "notinstallable",
        "installationfailed",
        "installedbroken",
        "pendingremoval",
        "removing",
    ];
    let recorded = observed.and_then(|observed| observed.recorded_wish(application));
    let told = observed.and_then(|observed| {
        observed
            .deployments
            .iter()
            .find(|told| told.digest == application.digest)
    });
    let usable = told.is_none_or(|told| !UNUSABLE.contains(&told.state.as_str()));
    // One that has only just come back has recorded nothing yet.
    let is_back = observed.is_some_and(|observed| observed.recorded.is_some());
    let concern = if is_back {
        Concern::State
    } else {
        Concern::Presence
    };
    sink.check("deployment", concern, recorded.is_some() && usable, || {
        let found = match (recorded, told) {
            (None, _) => "the Element does not hold it (yet)".to_owned(),
            (_, None) => "recorded".to_owned(),
            (_, Some(told)) => match &told.reason {
                Some(reason) => format!("{}: {reason}", told.state),
                None => told.state.clone(),
            },
        };
        (
            format!("{} installed or installable", application.label()),
            found,
        )
    });
}

/// Needs of the Element as a whole.
fn check_whole(ground: &Ground<'_>, needs: &[Need], sink: &mut impl Sink) {
    let mut of_element = needs.iter().filter(|need| need.is_of_element()).peekable();
    if of_element.peek().is_none() {
        return;
    }
    let hosts: Vec<&Host> = ground
        .catalogue
        .live_hosts_of(ground.node.id)
        .map(|(_, host)| host.as_ref())
        .collect();
    for need in of_element {
        fit::check_element(ground, &hosts, need, sink);
    }
}

/// One Host has to pass everything: the first that does is enough; if none
/// does, the nearest one's checks say why.
fn nearest_host<'a>(
    view: &'a View,
    question: &Question<'_>,
    ground: &Ground<'a>,
    observed: Option<&ElementObserved>,
) -> Nearest<'a> {
    let mut nearest = Nearest {
        host: None,
        failed: Failed::default(),
        looked_at: 0,
    };
    for (node, host) in view.catalogue.live_hosts_of(ground.node.id) {
        nearest.looked_at += 1;
        let mut failed = Failed::default();
        check_host(view, question, ground, observed, (node, host), &mut failed);
        if nearest.host.is_none() || failed.distance() < nearest.failed.distance() {
            nearest.host = Some((node, host));
            nearest.failed = failed;
        }
        if failed.is_none() {
            break;
        }
    }
    nearest
}

fn check_host(
    view: &View,
    question: &Question<'_>,
    ground: &Ground<'_>,
    element: Option<&ElementObserved>,
    (node, host): (&Node, &Host),
    sink: &mut impl Sink,
) {
    check_rules(
        &host.description.access().rules,
        question,
        "host-rule",
        sink,
    );
    let observed = view.host_observed(node.id);
    let fresh = observed.and_then(|observed| observed.fresh_state(element, view.now));
    sink.check("host-connected", Concern::Presence, fresh.is_some(), || {
        let found = if fresh.is_some() {
            "heard"
        } else {
            "away, or not heard lately"
        };
        ("heard lately".to_owned(), found.to_owned())
    });
    let wish = match question.application {
        Some(application) => {
            let on_host = ground.catalogue.wish_on_host(application, node.id).desired;
            if node.wish.desired == Desired::Closed {
                Desired::Closed
            } else {
                on_host
            }
        }
        None => node.wish.desired,
    };
    sink.check(
        "host-desired",
        Concern::State,
        wish == Desired::Production,
        || ("production".to_owned(), wish.to_string()),
    );
    if let Some(state) = fresh {
        let serving = state.common().serving_state;
        sink.check(
            "host-serving-state",
            Concern::State,
            accepts(serving),
            || ("production or queueing".to_owned(), serving.to_string()),
        );
    }
    for need in question.needs.iter().filter(|need| !need.is_of_element()) {
        fit::check_host(ground, host, need, sink);
    }
}

impl ElementObserved {
    /// The wish for an application version that the Element has recorded, if
    /// it is as new as the catalogue's.
    pub fn recorded_wish(&self, application: &Application) -> Option<&ApplicationWish> {
        self.recorded
            .as_deref()?
            .applications
            .iter()
            .find(|wish| wish.digest == application.digest)
    }
}
