//! The S3 door of a running Element: where it is, and serving at it.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::identity::DoorName;
use gridmart_schemas::{
    resource::{enumeration::AccessProtocolType, se::AccessProtocol, se_doc::SeDocument},
    scalar::{LocalId, Uri},
    storage::Redundancy,
};
use parking_lot::Mutex;

use super::{
    door::{self, S3Limits, WHAT},
    lifecycle,
    start::{Parts, answering},
    store::Store,
};
use crate::{
    element::goods::Opening,
    public::{
        door::{Listening, PublicDoor},
        people::People,
    },
    run::ElementError,
    storage::{Se, keys::SealingKey, state::host_counts},
};

/// Its name among the Element's doors for data.
const LOCAL_ID: &str = "s3";

/// See the module.
pub(in crate::storage) struct S3Standing {
    /// Taken by whoever serves at it.
    door: Mutex<Option<PublicDoor>>,
    /// `HOST:PORT` by which programs reach it.
    pub(in crate::storage) endpoint: String,
    is_secure: bool,
    /// By which programs may reach it, over TLS.
    pub(in crate::storage) names: Vec<DoorName>,
    pub(in crate::storage) sealing: Arc<SealingKey>,
    pub(in crate::storage) people: Arc<People>,
    lifecycle_day: Option<Duration>,
}

/// The port of the last start.
fn last_port(document: &SeDocument) -> Option<u16> {
    let doors = &document.element.info.access_protocols;
    let door = doors
        .iter()
        .find(|door| door.kind == AccessProtocolType::S3)?;
    let (_, port) = door.endpoint.as_str().rsplit_once(':')?;
    port.parse().ok()
}

impl S3Standing {
    /// Binds the door. Blocks.
    pub(in crate::storage) fn open(
        opening: &Opening<'_, SeDocument>,
        sealing: SealingKey,
    ) -> Result<Self, ElementError> {
        let listening = Listening {
            identity: opening.identity,
            listen: opening.config.s3_listen,
            last_port: last_port(opening.document),
            what: WHAT,
            option: "--s3-listen",
        };
        let door = PublicDoor::open(&listening, S3Limits::default().bounds())?;
        let (endpoint, names) = door.reached(opening.config);
        Ok(Self {
            endpoint,
            is_secure: door.is_secure(),
            names,
            door: Mutex::new(Some(door)),
            sealing: Arc::new(sealing),
            people: Arc::default(),
            lifecycle_day: opening.config.lifecycle_day,
        })
    }

    /// Where it is, as programs are told.
    pub(in crate::storage) fn url(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", self.endpoint)
    }

    fn protocol(&self) -> Option<AccessProtocol> {
        let id = LocalId::new(LOCAL_ID).ok()?;
        let url: Uri = self.url().parse().ok()?;
        Some(AccessProtocol::new(id, AccessProtocolType::S3, url))
    }
}

impl Se {
    /// Has the Element's description name the S3 door.
    pub(in crate::storage) fn s3_show(&self) {
        let Some(protocol) = self.goods.s3.protocol() else {
            return;
        };
        if self
            .base
            .read()
            .element
            .info
            .access_protocols
            .contains(&protocol)
        {
            return;
        }
        let shown = self.base.update(|document| {
            let doors = &mut document.element.info.access_protocols;
            doors.retain(|door| door.kind != AccessProtocolType::S3);
            doors.push(protocol);
            Ok(())
        });
        if let Err(error) = shown {
            tracing::error!(%error, "the S3 door is not in SEDoc.xml");
        }
    }
}

/// Serves at the door until the Element ends. Before the log of the metadata is
/// assured everybody is told to come again.
pub(in crate::storage) async fn serve(se: Arc<Se>) {
    let Some(door) = se.goods.s3.door.lock().take() else {
        return;
    };
    let (ruled, pooled) = (Arc::clone(&se), Arc::clone(&se));
    let parts = Parts {
        store: Store::Log(Arc::clone(&se.goods.log)),
        sealing: Arc::clone(&se.goods.s3.sealing),
        people: Arc::clone(&se.goods.s3.people),
        transfers: Arc::clone(&se.goods.transfers),
        rules: Arc::new(move || ruled.base.read().element.access.rules.clone()),
        redundancy: Arc::new(move || {
            let hosts = host_counts(&pooled.goods.pool.lock()).all;
            Redundancy::default_for(hosts).0
        }),
    };
    tracing::info!(address = %door.local_addr(), tls = door.is_secure(), "the S3 door is open");
    let over = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(lifecycle::keep(
        parts.store.clone(),
        se.goods.s3.lifecycle_day,
    )));
    let answering = answering(parts, S3Limits::default());
    door::serve(door, answering, se.stop.clone()).await;
    drop(over);
}
