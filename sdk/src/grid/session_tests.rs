//! Leases that end at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use gridmart_schemas::{
    id::{Incarnation, LeaseId, NodeId},
    problem::{Code, Problem},
    wire::queue::Lease,
};
use tokio::sync::watch;

use super::session::{LeaseState, end_together};

fn lease() -> watch::Sender<LeaseState> {
    let lease = Lease {
        lease: LeaseId::generate(),
        host: NodeId::generate(),
        host_name: "host".to_owned(),
        endpoints: Vec::new(),
        relay: None,
        slots: 1,
        ticket: String::new(),
        expires_in: 300,
        overdue_after_ms: 1000,
        incarnation: Incarnation::generate(),
    };
    let state = LeaseState {
        lease,
        recalled: false,
        over: None,
    };
    watch::Sender::new(state)
}

/// Somebody who looks at all leases at the moment of being woken for one.
struct Onlooker {
    leases: Vec<watch::Receiver<LeaseState>>,
    woken: AtomicUsize,
    in_force: AtomicUsize,
}

impl Wake for Onlooker {
    fn wake(self: Arc<Self>) {
        let in_force = self
            .leases
            .iter()
            .filter(|lease| lease.borrow().over.is_none());
        self.in_force.fetch_add(in_force.count(), Ordering::SeqCst);
        self.woken.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_hears_of_one_end_finds_none_in_force_that_ends_with_it() {
    let leases = [lease(), lease(), lease()];
    let onlooker = Arc::new(Onlooker {
        leases: leases.iter().map(watch::Sender::subscribe).collect(),
        woken: AtomicUsize::new(0),
        in_force: AtomicUsize::new(0),
    });
    let waker = Waker::from(Arc::clone(&onlooker));
    let mut context = Context::from_waker(&waker);
    let mut heard = onlooker.leases.clone();
    let mut waiting: Vec<_> = heard
        .iter_mut()
        .map(|lease| Box::pin(lease.changed()))
        .collect();
    for changed in &mut waiting {
        assert!(changed.as_mut().poll(&mut context).is_pending());
    }
    end_together(&leases, &Problem::new(Code::LeaseEnded, "over"));
    assert_eq!(onlooker.woken.load(Ordering::SeqCst), 3);
    assert_eq!(onlooker.in_force.load(Ordering::SeqCst), 0);
    for changed in &mut waiting {
        assert!(changed.as_mut().poll(&mut context).is_ready());
    }
}
