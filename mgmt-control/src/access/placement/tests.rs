use gridmart_schemas::{
    api::explain::Verdict,
    problem::Code,
    resource::{common::AccessRule, enumeration::ServingState, needs::RangeValue},
    role::{Desired, Operation, Role},
    scalar::Seconds,
    wire::control_element::Deployment,
};
use proptest::prelude::*;
use time::OffsetDateTime;

use super::*;
use crate::{
    access::{
        application::{ApplicationQuestion, decide},
        deployment::element_desired,
    },
    app::context::Actor,
    catalogue::sample::{HostFacts, Sample, actor, computing_state, rules},
};

const CALL: &[Operation] = &[Operation::Call];

fn ask(
    sample: &Sample,
    actor: &Actor,
    application: Option<&str>,
    needs: &[&str],
) -> Result<Placement, Problem> {
    let needs: Vec<Need> = needs.iter().map(|text| text.parse().unwrap()).collect();
    let question = ApplicationQuestion {
        actor,
        application,
        needs: &needs,
        operations: CALL,
        avoid: &[],
    };
    decide(&sample.view(), &question).map(|(_, placement)| placement)
}

fn user() -> Actor {
    actor("ursula", Role::User)
}

/// Two Elements in two sites, one Host each, one application.
struct Two {
    sample: Sample,
    lab: NodeId,
    cloud: NodeId,
    lab_host: NodeId,
    cloud_host: NodeId,
    spf: gridmart_schemas::id::Digest,
}

fn two() -> Two {
    let mut sample = Sample::default();
    let lab = sample.element("lab-ce", "lab", 2);
    let cloud = sample.element("cloud-ce", "cloud", 7);
    let lab_host = sample.host(lab, "lab-1", HostFacts::default());
    let cloud_host = sample.host(
        cloud,
        "cloud-1",
        HostFacts {
            memory: 2 << 30,
            cpus: 16,
            platform: "arm64",
        },
    );
    let spf = sample.application("spf", "1.0", Some(("spf", "2.1")));
    Two {
        sample,
        lab,
        cloud,
        lab_host,
        cloud_host,
        spf,
    }
}

#[test]
fn free_slots_then_response_time_rank() {
    let Two {
        mut sample,
        lab,
        cloud,
        ..
    } = two();
    assert_eq!(
        ask(&sample, &user(), Some("spf"), &[]).unwrap().elements,
        [cloud, lab]
    );
    for (id, seconds) in [(lab, 1), (cloud, 5)] {
        sample.hear_element(id, |heard| {
            let state = computing_state(heard);
            state.free_job_slots = 0;
            state.estimated_response_time = Some(Seconds::from_secs(seconds));
        });
    }
    let placement = ask(&sample, &user(), Some("spf@1.0"), &[]).unwrap();
    assert_eq!(placement.elements, [lab, cloud]);
    let verdicts: Vec<_> = placement
        .explanation
        .candidates
        .iter()
        .map(|candidate| candidate.verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Chosen, Verdict::Eligible]);
}

#[test]
fn at_most_three_alternatives() {
    let mut sample = Sample::default();
    for index in 0..7 {
        let id = sample.element(&format!("ce{index}"), "lab", index);
        sample.host(id, &format!("h{index}"), HostFacts::default());
    }
    sample.application("spf", "1.0", None);
    assert_eq!(
        ask(&sample, &user(), Some("spf"), &[])
            .unwrap()
            .elements
            .len(),
        ELEMENTS_MAX
    );
}

#[test]
fn of_many_only_the_nearest_are_told_of_at_length() {
    let mut sample = Sample::default();
    for index in 0..100 {
        let id = sample.element(&format!("ce{index}"), "lab", index);
        sample.host(id, &format!("host{index}"), HostFacts::default());
        if index % 4 == 0 {
            sample.hear_element(id, |heard| heard.connected = false);
        }
    }
    sample.application("spf", "1.0", None);
    let placement = ask(&sample, &user(), Some("spf"), &[]).unwrap();
    let candidates = placement.explanation.candidates;
    assert_eq!(candidates.len(), CANDIDATES_MAX);
    let (whole, brief) = candidates.split_at(TOLD_WHOLE_MAX);
    assert!(whole.iter().all(|candidate| candidate.checks.len() > 4));
    assert!(brief.iter().all(|candidate| candidate.checks.is_empty()));
    // A refusal names what is wrong, however many there are.
    let problem = ask(&sample, &user(), Some("spf"), &["domain=moon"]).unwrap_err();
    let candidates = problem.explanation.unwrap().candidates;
    let (_, brief) = candidates.split_at(TOLD_WHOLE_MAX);
    let names = |check: &Check| (check.name == "domain", check.met);
    assert!(brief.iter().all(|candidate| {
        let checks: Vec<_> = candidate.checks.iter().map(names).collect();
        checks == [(true, false)]
    }));
}

#[test]
fn needs_choose_and_refusals_name_them() {
    let Two {
        sample, lab, cloud, ..
    } = two();
    let table: &[(&[&str], Result<NodeId, &str>)] = &[
        (&["memory>=4GiB"], Ok(lab)),
        (&["cpus>=8"], Ok(cloud)),
        (&["architecture=arm64"], Ok(cloud)),
        (&["architecture=x86_64", "os=linux"], Ok(lab)),
        (&["domain=lab"], Ok(lab)),
        (&["capability=spf/2.0", "domain=cloud"], Ok(cloud)),
        (&["hosts>=1", "domain=lab"], Ok(lab)),
        (
            &["memory>=4GiB", "cpus>=8"],
            Err("memory: needed at least 4 GiB, found 2 GiB"),
        ),
        (
            &["memory>=64GiB"],
            Err(
                "Nearest is cloud-ce with its Host cloud-1: memory: needed at least 64 GiB, found 2 GiB.",
            ),
        ),
        (&["os=windows"], Err("os: needed windows, found linux")),
        (&["domain=moon"], Err("domain: needed moon")),
        (
            &["capability=magic"],
            Err("capability: needed magic, found spf/2.1"),
        ),
        (&["hosts>=2"], Err("hosts: needed at least 2, found 1")),
    ];
    for (needs, expected) in table {
        match (ask(&sample, &user(), Some("spf"), needs), expected) {
            (Ok(placement), Ok(element)) => {
                assert_eq!(placement.elements[0], *element, "{needs:?}");
            }
            (Err(problem), Err(words)) => {
                assert_eq!(problem.code, Code::NeedUnmet, "{needs:?}: {problem}");
                assert!(problem.detail.contains(words), "{needs:?}: {problem}");
                let explanation = problem.explanation.unwrap();
                assert!(
                    explanation
                        .candidates
                        .iter()
                        .all(|candidate| candidate.verdict == Verdict::Unfit)
                );
            }
            (other, _) => panic!("{needs:?}: {other:?}"),
        }
    }
}

#[test]
fn needs_of_the_manifest_count_too() {
    let Two {
        mut sample,
        lab,
        spf,
        ..
    } = two();
    sample.change_application(&spf, |application| {
        application.manifest.needs.individual_physical_memory = Some(RangeValue::at_least(4 << 30));
    });
    assert_eq!(
        ask(&sample, &user(), Some("spf"), &[]).unwrap().elements,
        [lab]
    );
    sample.change_application(&spf, |application| {
        application.manifest.needs.exclusive_execution = Some(true);
    });
    assert_eq!(
        ask(&sample, &user(), Some("spf"), &[]).unwrap_err().code,
        Code::NeedUnmet
    );
}

#[test]
fn capability_alone_finds_the_default_version() {
    let Two { mut sample, .. } = two();
    sample.application("other", "1.0", Some(("paint", "1")));
    sample.application("spf", "2.0", Some(("spf", "3.0")));
    assert!(ask(&sample, &user(), None, &["capability=spf/2.1"]).is_ok());
    assert!(ask(&sample, &user(), None, &["capability=paint"]).is_ok());
    // Version 2.0 is no default, so nobody is moved to it.
    assert_eq!(
        ask(&sample, &user(), None, &["capability=spf/3.0"])
            .unwrap_err()
            .code,
        Code::NeedUnmet
    );
    assert_eq!(
        ask(&sample, &user(), None, &["memory>=1GiB"])
            .unwrap_err()
            .code,
        Code::InvalidRequest
    );
    assert_eq!(
        ask(&sample, &user(), Some("nothing"), &[])
            .unwrap_err()
            .code,
        Code::UnknownApplication
    );
    assert_eq!(
        ask(&sample, &user(), Some("spf@9"), &[]).unwrap_err().code,
        Code::UnknownApplication
    );
    assert!(ask(&sample, &user(), Some("spf@2.0"), &[]).is_ok());
}

#[test]
fn states_that_pass_are_told_apart() {
    type Change = fn(&mut Two);
    let changes: &[(&str, Change)] = &[
        ("element stream", |two| {
            two.sample
                .hear_element(two.lab, |heard| heard.connected = false);
        }),
        ("element stale", |two| {
            two.sample.hear_element(two.lab, |heard| {
                computing_state(heard).validity = Seconds::from_millis(0);
            });
        }),
        ("element wish", |two| {
            two.sample
                .change_node(two.lab, |node| node.wish.desired = Desired::Closed);
        }),
        ("element draining", |two| {
            two.sample.hear_element(two.lab, |heard| {
                heard.state.as_mut().unwrap().common_mut().serving_state = ServingState::Draining;
            });
        }),
        ("host stream", |two| {
            two.sample
                .hear_host(two.lab_host, |heard| heard.connected = false);
        }),
        ("host wish", |two| {
            two.sample
                .change_node(two.lab_host, |node| node.wish.desired = Desired::Closed);
        }),
        ("host closed", |two| {
            two.sample.hear_host(two.lab_host, |heard| {
                heard.state.as_mut().unwrap().common_mut().serving_state = ServingState::Closed;
            });
        }),
        ("deployment", |two| {
            let digest = two.spf.clone();
            two.sample.hear_element(two.lab, |heard| {
                heard.deployments.push(Deployment {
                    digest,
                    state: "installationfailed".to_owned(),
                    generation: 1,
                    serving: Desired::Production,
                    reason: Some("disk full".to_owned()),
                });
            });
        }),
        ("application", |two| {
            let digest = two.spf.clone();
            two.sample.change_application(&digest, |application| {
                application.wish.desired = Desired::Closed;
            });
        }),
        ("application on the Host", |two| {
            let (digest, host) = (two.spf.clone(), two.lab_host);
            let wish = gridmart_schemas::wire::desired::Wish {
                desired: Desired::Closed,
                generation: 99,
                cut_epoch: 0,
            };
            two.sample
                .catalogue
                .put_host_wish_for_tests(&digest, host, wish);
        }),
    ];
    for (name, change) in changes {
        let mut two = two();
        change(&mut two);
        let problem = ask(&two.sample, &user(), Some("spf"), &["domain=lab"]).unwrap_err();
        assert_eq!(problem.code, Code::NotAccepting, "{name}: {problem}");
        assert!(problem.retryable, "{name}");
    }
}

#[test]
fn who_is_only_away_is_worth_a_short_wait_and_who_is_stopped_is_not() {
    type Change = fn(&mut Two);
    let stop: Change = |two| {
        two.sample
            .change_node(two.lab, |node| node.wish.desired = Desired::Closed);
    };
    let lose_element: Change = |two| {
        two.sample
            .hear_element(two.lab, |heard| heard.connected = false);
    };
    let lose_host: Change = |two| {
        two.sample
            .hear_host(two.lab_host, |heard| heard.connected = false);
    };
    let stop_host: Change = |two| {
        two.sample
            .change_node(two.lab_host, |node| node.wish.desired = Desired::Closed);
    };
    let forget_wishes: Change = |two| {
        two.sample
            .hear_element(two.lab, |heard| heard.recorded = None);
    };
    let drop_wish: Change = |two| {
        two.sample.hear_element(two.lab, |heard| {
            heard.recorded = Some(std::sync::Arc::default());
        });
    };
    let cases: &[(&str, bool, &[Change])] = &[
        ("the Element is away", true, &[lose_element]),
        ("the Host is away", true, &[lose_host]),
        ("both are away", true, &[lose_element, lose_host]),
        ("its wishes are on their way", true, &[forget_wishes]),
        ("it does not hold the version", false, &[drop_wish]),
        ("the Element is stopped", false, &[stop]),
        ("stopped and away", false, &[stop, lose_element, lose_host]),
        ("the Host is stopped", false, &[stop_host, lose_element]),
    ];
    let (user, needs) = (user(), ["domain=lab".parse().unwrap()]);
    let question = ApplicationQuestion {
        actor: &user,
        application: Some("spf"),
        needs: &needs,
        operations: CALL,
        avoid: &[],
    };
    for (name, waits, changes) in cases {
        let mut two = two();
        let desired = element_desired(&two.sample.catalogue, two.lab, OffsetDateTime::now_utc());
        two.sample.hear_element(two.lab, |heard| {
            heard.recorded = Some(std::sync::Arc::new(desired));
        });
        assert!(decide(&two.sample.raw_view(), &question).is_ok());
        for change in *changes {
            change(&mut two);
        }
        let problem = decide(&two.sample.raw_view(), &question).unwrap_err();
        assert_eq!(problem.code, Code::NotAccepting, "{name}: {problem}");
        assert_eq!(problem.retry_after.is_some(), *waits, "{name}: {problem}");
    }
}

#[test]
fn a_version_that_the_element_has_not_recorded_is_not_promised() {
    let Two { sample, .. } = two();
    let (user, view) = (user(), sample.raw_view());
    let question = ApplicationQuestion {
        actor: &user,
        application: Some("spf"),
        needs: &[],
        operations: CALL,
        avoid: &[],
    };
    assert_eq!(
        decide(&view, &question).unwrap_err().code,
        Code::NotAccepting
    );
}

#[test]
fn all_rules_have_to_allow() {
    type Close = fn(&mut Two, &[&str]);
    let close: &[(&str, Close)] = &[
        ("element", |two, texts| {
            for id in [two.lab, two.cloud] {
                two.sample
                    .change_element(id, |element| element.access = rules(texts));
            }
        }),
        ("host", |two, texts| {
            for id in [two.lab_host, two.cloud_host] {
                two.sample
                    .change_host(id, |host| host.access = rules(texts));
            }
        }),
        ("application", |two, texts| {
            let digest = two.spf.clone();
            two.sample.change_application(&digest, |application| {
                application.manifest.access = rules(texts);
            });
        }),
    ];
    let person = |name: &str, role| actor(name, role);
    for (name, change) in close {
        let mut closed = two();
        change(&mut closed, &["user:alice", "role:developer"]);
        for (actor, expected) in [
            (person("alice", Role::User), true),
            (person("bob", Role::User), false),
            (person("bob", Role::Developer), true),
            (person("bob", Role::Admin), false),
        ] {
            let answer = ask(&closed.sample, &actor, Some("spf"), &[]);
            assert_eq!(
                answer.is_ok(),
                expected,
                "{name}: {} as {}",
                actor.name,
                actor.role
            );
            if let Err(problem) = answer {
                assert_eq!(problem.code, Code::NotAuthorized, "{name}: {problem}");
            }
        }
        // Without any rule: nobody, but admins may try what is on the shelf.
        let mut bare = two();
        change(&mut bare, &[]);
        assert!(
            ask(&bare.sample, &user(), Some("spf"), &[]).is_err(),
            "{name}"
        );
        let admin = ask(&bare.sample, &person("root", Role::Admin), Some("spf"), &[]);
        assert_eq!(admin.is_ok(), *name == "application", "{name}");
    }
    // Owners may always use their own.
    let mut owned = two();
    close[2].1(&mut owned, &[]);
    assert!(ask(&owned.sample, &person("olga", Role::User), Some("spf"), &[]).is_ok());
}

#[test]
fn every_operation_has_to_be_allowed() {
    let Two {
        mut sample,
        lab,
        cloud,
        ..
    } = two();
    for id in [lab, cloud] {
        sample.change_element(id, |element| {
            let mut rule = AccessRule::new("ALL".parse().unwrap());
            rule.operations = Some(vec![Operation::Call]);
            element.access.rules = vec![rule];
        });
    }
    let (user, view) = (user(), sample.view());
    let mut question = ApplicationQuestion {
        actor: &user,
        application: Some("spf"),
        needs: &[],
        operations: CALL,
        avoid: &[],
    };
    assert!(decide(&view, &question).is_ok());
    question.operations = &[Operation::Call, Operation::Logs];
    assert_eq!(
        decide(&view, &question).unwrap_err().code,
        Code::NotAuthorized
    );
}

#[test]
fn avoided_elements_come_only_when_they_must_not() {
    let Two {
        sample, lab, cloud, ..
    } = two();
    let (user, view) = (user(), sample.view());
    let avoid = [cloud];
    let question = ApplicationQuestion {
        actor: &user,
        application: Some("spf"),
        needs: &[],
        operations: CALL,
        avoid: &avoid,
    };
    assert_eq!(decide(&view, &question).unwrap().1.elements, [lab]);
}

#[test]
fn an_empty_grid_says_so() {
    let mut sample = Sample::default();
    sample.application("spf", "1.0", None);
    let problem = ask(&sample, &user(), Some("spf"), &[]).unwrap_err();
    assert_eq!(problem.code, Code::NeedUnmet);
    let ce = sample.element("ce", "lab", 0);
    let problem = ask(&sample, &user(), Some("spf"), &[]).unwrap_err();
    assert!(problem.detail.contains("no Host has joined"), "{problem}");
    let host = sample.host(ce, "h", HostFacts::default());
    assert!(ask(&sample, &user(), Some("spf"), &[]).is_ok());
    sample.change_node(host, |node| node.revoked = true);
    assert!(ask(&sample, &user(), Some("spf"), &[]).is_err());
}

#[test]
fn elements_that_restrict_uploads_hold_only_what_they_allow() {
    let Two {
        mut sample,
        lab,
        cloud,
        spf,
        ..
    } = two();
    sample.change_element(lab, |element| {
        let mut rule = AccessRule::new("user:pat".parse().unwrap());
        rule.operations = Some(vec![Operation::Upload]);
        element.access.rules.push(rule);
    });
    assert_eq!(
        ask(&sample, &user(), Some("spf"), &[]).unwrap().elements,
        [cloud]
    );
    sample.change_application(&spf, |application| {
        application.owner = "pat".parse().unwrap();
    });
    assert_eq!(
        ask(&sample, &user(), Some("spf"), &[])
            .unwrap()
            .elements
            .len(),
        2
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the grid: an Element is promised exactly if no check failed,
    /// and every refusal names something that failed.
    #[test]
    fn explanations_agree_with_decisions(
        hosts in proptest::collection::vec((0u64..8, 1u32..8, any::<bool>(), any::<bool>(), 0u32..4), 0..8),
        memory in 0u64..8,
        cpus in 1u32..8,
    ) {
        let mut sample = Sample::default();
        for (index, (memory, cpus, connected, open, free)) in hosts.iter().enumerate() {
            let id = sample.element(&format!("ce{index}"), "lab", *free);
            let facts = HostFacts { memory: *memory << 30, cpus: *cpus, platform: "amd64" };
            let host = sample.host(id, &format!("h{index}"), facts);
            sample.hear_host(host, |heard| heard.connected = *connected);
            sample.change_element(id, |element| element.access = rules(if *open { &["ALL"] } else { &["user:x"] }));
        }
        sample.application("spf", "1.0", None);
        let needs = [format!("memory>={memory}GiB"), format!("cpus>={cpus}")];
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let fits = |(have, count, connected, open, _): &(u64, u32, bool, bool, u32)| {
            *have >= memory && *count >= cpus && *connected && *open
        };
        let expected = hosts.iter().filter(|host| fits(host)).count();
        match ask(&sample, &user(), Some("spf"), &needs) {
            Ok(placement) => {
                prop_assert_eq!(placement.elements.len(), expected.min(ELEMENTS_MAX));
                for candidate in &placement.explanation.candidates {
                    let met = candidate.checks.iter().all(|check| check.met);
                    prop_assert_eq!(met, candidate.verdict != Verdict::Unfit);
                    let promised = placement.elements.iter().any(|id| id.to_string() == candidate.id);
                    prop_assert!(met || !promised);
                }
            }
            Err(problem) => {
                prop_assert_eq!(expected, 0);
                let explanation = problem.explanation.unwrap();
                prop_assert_eq!(explanation.candidates.len(), hosts.len());
                for candidate in &explanation.candidates {
                    prop_assert!(candidate.checks.iter().any(|check| !check.met));
                }
            }
        }
    }
}
