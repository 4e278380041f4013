//! What one kind of Element adds to what every Element is.

use std::{net::SocketAddr, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{Request, Response},
    identity::{DoorName, IdentityCell, NodeIdentity, PeerIdentity},
    stream::Incoming,
    telemetry::Metrics,
};
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    problem::Problem,
    resource::{
        any::{AnyElement, AnyElementState, AnyHost, AnyHostState, OtherKind},
        common::CommonInfo,
        element_doc::{CommonConfiguration, HostEntry, JoinTokens},
    },
    role::NodeKind,
    scalar::{Seconds, Uri},
    wire::{
        control_element::Deployment,
        desired::{ElementDesired, Wish},
        element_host::{HeldLease, HostHello},
    },
};
use serde_json::value::RawValue;

use super::{Element, door::unknown_path};
use crate::{config::Config, info_base::LibDocument, run::ElementError};

/// A Host's description, as the Host tables of one kind of Element hold it.
pub(crate) trait TableHost:
    Clone + PartialEq + Into<AnyHost> + TryFrom<AnyHost, Error = OtherKind> + Send + Sync + 'static
{
    /// What changes with every heartbeat.
    type State: Into<AnyHostState> + TryFrom<AnyHostState, Error = OtherKind> + Send + Sync;

    /// `urn:uuid:…`.
    fn id(&self) -> &Uri;

    /// As the Host table keeps it.
    fn without_state(&self) -> Self;
}

/// An information base, as far as all kinds have the same in it.
pub(crate) trait ElementDocument: LibDocument + PartialEq {
    /// What its Host table holds.
    type Host: TableHost;

    /// What the Element says that it is.
    fn common_info(&self) -> &CommonInfo;
    /// The port of the door at the last start.
    fn door_port(&self) -> Option<u16>;
    /// Notes where the door is: its port, and its addresses for programs.
    fn set_door(&mut self, port: u16, endpoints: Vec<Uri>);
    /// Notes what was said at this start.
    fn set_up(&mut self, _config: &Config) {}
    /// How it watches its Hosts.
    fn common_configuration(&self) -> &CommonConfiguration;
    /// How long a Host bears with a caller whose connection is lost.
    fn reattach_grace(&self) -> Seconds;
    /// What the Element should be.
    fn set_wish(&mut self, wish: Wish);
    /// The Host table.
    fn hosts(&self) -> &[HostEntry<Self::Host>];
    /// The Host table, to be changed.
    fn hosts_mut(&mut self) -> &mut Vec<HostEntry<Self::Host>>;
    /// Hosts have come to the table, or describe themselves in another way.
    fn hosts_changed(&mut self) {}
    /// Tokens with which Hosts may join.
    fn join_tokens(&self) -> &JoinTokens;
    /// Tokens with which Hosts may join, to be changed.
    fn join_tokens_mut(&mut self) -> &mut JoinTokens;
    /// Shows what should be beyond the Element and its Hosts.
    fn show_offers(&mut self, _desired: &ElementDesired) {}

    /// Gives the entry of a Host.
    fn host(&self, id: &Uri) -> Option<&HostEntry<Self::Host>> {
        self.hosts().iter().find(|entry| entry.host.id() == id)
    }
}

/// What a kind's Host table holds.
pub(crate) type HostOf<G> = <<G as Goods>::Document as ElementDocument>::Host;
/// What a kind's Hosts tell with each heartbeat.
pub(crate) type HostStateOf<G> = <HostOf<G> as TableHost>::State;

/// From what goods are made at the Element's start.
pub(crate) struct Opening<'a, D> {
    /// The data folder.
    pub(crate) folder: &'a Path,
    /// What the Element was told at its start.
    pub(crate) config: &'a Config,
    /// The information base as it is.
    pub(crate) document: &'a D,
    /// Where metrics are registered.
    pub(crate) registry: &'a Metrics,
    /// Its key and certificate, for doors of the goods' own.
    pub(crate) identity: &'a Arc<IdentityCell>,
}

/// A Host of the Host table, as it was at the last end.
pub(crate) struct KnownHost<H> {
    pub(crate) id: NodeId,
    pub(crate) host: H,
    pub(crate) wish: Wish,
    pub(crate) revoked: bool,
}

/// What one kind of Element adds.
///
/// Hooks that give no future never wait, but those that say that they block. A
/// hook may use all of the Element, except that it must not take `applying` and
/// `telling`, which may be held when it is called.
pub(crate) trait Goods: Sized + Send + Sync + 'static {
    /// The Element's kind.
    const KIND: NodeKind;
    /// The kind of its Hosts.
    const HOST_KIND: NodeKind;
    /// The Element in words; “a” stands before it.
    const ELEMENT: &'static str;
    /// Its Hosts in words.
    const HOSTS: &'static str;
    /// Name of the information base in the data folder.
    const LIB_FILE: &'static str;
    /// Whether programs are joined here to Hosts that cannot be dialled.
    const RELAYS: bool;
    /// The information base.
    type Document: ElementDocument;

    /// The information base of a new Element.
    fn first_document(
        config: &Config,
        identity: &NodeIdentity,
    ) -> Result<Self::Document, ElementError>;
    /// Opens what they keep.
    fn open(opening: &Opening<'_, Self::Document>) -> Result<Self, ElementError>;

    /// Takes up what was there at the last end, before the door opens.
    fn take_up(
        element: &Arc<Element<Self>>,
        hosts: Vec<KnownHost<HostOf<Self>>>,
        desired: &ElementDesired,
    );
    /// What runs beside the streams until the Element ends.
    fn tasks(_element: &Arc<Element<Self>>) -> Vec<BoxFuture<'static, ()>> {
        Vec::new()
    }
    /// A second has passed.
    fn on_tick(element: &Arc<Element<Self>>);
    /// Shows in the metrics how the Element is.
    fn observe(element: &Element<Self>, state: &AnyElementState);
    /// Brings to the disk what may wait for it; blocks.
    fn flush(&self) {}
    /// The Element ends: streams of their own are closed.
    fn close(&self) {}
    /// Where doors of their own listen, by name.
    fn doors(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The names that its certificate has to carry for those who come to its doors
    /// by them.
    fn door_names(&self) -> Vec<DoorName> {
        Vec::new()
    }

    /// The Element's description, without State.
    fn describe(element: &Element<Self>) -> AnyElement;
    /// The Element's State now, a fact for so long.
    fn state(element: &Element<Self>, validity: Seconds) -> AnyElementState;
    /// The applications as the Element holds them.
    fn deployments(_element: &Element<Self>) -> Vec<Deployment> {
        Vec::new()
    }

    /// Other things should be; they are recorded already.
    fn on_desired(element: &Arc<Element<Self>>, desired: &ElementDesired);
    /// Drops from the disk what should not be any more; blocks.
    fn keep_only(&self, _desired: &ElementDesired) {}

    /// A Host of the Host table says hello.
    fn on_host_met(element: &Arc<Element<Self>>, id: NodeId, host: &HostOf<Self>);
    /// A Host's stream stands. Gives the leases that it should end.
    fn on_host_arrived(
        element: &Arc<Element<Self>>,
        id: NodeId,
        host: HostOf<Self>,
        hello: HostHello,
    ) -> Vec<LeaseId>;
    /// A Host has come with this key (`SubjectPublicKeyInfo`, PEM), with which
    /// it signs what it states.
    fn on_host_key(_element: &Arc<Element<Self>>, _id: NodeId, _spki_pem: &str) {}
    /// A Host's heartbeat.
    fn on_host_heard(
        element: &Arc<Element<Self>>,
        id: NodeId,
        state: &HostStateOf<Self>,
        leases: &[HeldLease],
    );
    /// A Host describes itself anew.
    fn on_host_changed(
        element: &Arc<Element<Self>>,
        id: NodeId,
        host: HostOf<Self>,
        deployments: &[Deployment],
    );
    /// A Host's stream is lost; that says nothing of the Host.
    fn on_host_lost(element: &Arc<Element<Self>>, id: NodeId);
    /// A Host does not answer a probe.
    fn on_host_down(element: &Arc<Element<Self>>, id: NodeId);

    /// A request of the controller that not every Element knows.
    fn on_controller_request(
        _element: &Arc<Element<Self>>,
        incoming: Incoming,
    ) -> impl Future<Output = Result<Box<RawValue>, Problem>> + Send {
        std::future::ready(Err(incoming.unknown()))
    }
    /// A request of a Host that not every Element knows.
    fn on_host_request(
        _element: &Arc<Element<Self>>,
        _host: NodeId,
        incoming: Incoming,
    ) -> impl Future<Output = Result<Box<RawValue>, Problem>> + Send {
        std::future::ready(Err(incoming.unknown()))
    }
    /// A notice of a Host that not every Element knows.
    fn on_host_notice(
        _element: &Arc<Element<Self>>,
        _host: NodeId,
        incoming: Incoming,
    ) -> Result<(), Problem> {
        Err(incoming.unknown())
    }
    /// Somebody comes to the door with what not every Element knows.
    fn on_visit(
        _element: &Arc<Element<Self>>,
        _peer: PeerIdentity,
        _remote: SocketAddr,
        request: Request,
    ) -> impl Future<Output = Result<Response, Problem>> + Send {
        std::future::ready(Err(unknown_path(&request)))
    }
}
