//! A Host that cannot be dialled, reached through its Element.

use gridmart_fabric::{
    door::DoorLimits,
    frames::dial_frames_over,
    identity::EphemeralKey,
    tls::ClientTls,
    tunnel::{Carried, JointLimits, Tunnel, join},
};
use gridmart_schemas::{
    problem::{Code, Problem},
    role::NodeKind,
    wire::frame::{DATA_BYTES_MAX, Frames, Kind, push},
};

use crate::common::{Grid, OpenDoor, soon};

struct Relayed {
    grid: Grid,
    element: OpenDoor,
    host: OpenDoor,
    program: ClientTls,
}

impl Relayed {
    async fn open() -> Self {
        Self::open_with(DoorLimits::default()).await
    }

    async fn open_with(limits: DoorLimits) -> Self {
        let grid = Grid::new();
        let element = OpenDoor::open(&grid, NodeKind::ComputingElement).await;
        let host = OpenDoor::inner(&grid, NodeKind::ComputeHost, limits);
        let key = EphemeralKey::generate().unwrap();
        let program = ClientTls::ephemeral(grid.authority.root_pem(), &key).unwrap();
        Self {
            grid,
            element,
            host,
            program,
        }
    }

    async fn dial(&self, tls: &ClientTls, ticket: Option<&str>) -> Result<Tunnel, Problem> {
        let endpoints = self.element.endpoints();
        let dial = Tunnel::dial(&endpoints, self.element.expected, tls, "/v1/tunnel", ticket);
        soon("a tunnel", dial).await
    }

    /// A tunnel from the program to the Host's door, joined by the Element.
    async fn tunnel(&mut self) -> Tunnel {
        self.tunnel_from(1).await
    }

    /// The same of the program at 192.0.2.`last`.
    async fn tunnel_from(&mut self, last: u8) -> Tunnel {
        let program = self.program.clone();
        let near = self.dial(&program, Some("program")).await.unwrap();
        let (_, host) = self.grid.client(NodeKind::ComputeHost);
        let far = self.dial(&host, Some("host")).await.unwrap();
        let (one, left) = soon("one end", self.element.tunnels.recv()).await.unwrap();
        let (_, right) = soon("the other end", self.element.tunnels.recv())
            .await
            .unwrap();
        assert!(["program", "host"].contains(&one.as_str()), "{one}");
        tokio::spawn(async move {
            let _ = join(left, right, JointLimits::default(), &Carried::default()).await;
        });
        let usher = self.host.usher.as_ref().unwrap();
        usher.bring(far, ([192, 0, 2, last], 1).into()).unwrap();
        near
    }
}

#[tokio::test]
async fn frames_reach_an_inner_door_through_a_tunnel() {
    let mut relayed = Relayed::open().await;
    let tunnel = relayed.tunnel().await;
    let expected = relayed.host.expected;
    let dial = dial_frames_over(tunnel, expected, &relayed.program, "/v1/calls");
    let (sink, mut source) = soon("dial", dial).await.unwrap();
    let (host_sink, mut host_source) = soon("stream", relayed.host.frames.recv()).await.unwrap();
    let payload: Vec<u8> = (0..=250u8).cycle().take(DATA_BYTES_MAX).collect();
    for _ in 0..40 {
        let mut message = Vec::new();
        push(&mut message, Kind::Stdin, 1, &payload);
        sink.send(message.clone()).await.unwrap();
        let heard = soon("frame", host_source.next()).await.unwrap().unwrap();
        assert!(Frames::of(&heard).next().unwrap().unwrap().payload == payload);
        host_sink.send(message).await.unwrap();
        let heard = soon("answer", source.next()).await.unwrap().unwrap();
        assert!(Frames::of(&heard).next().unwrap().unwrap().payload == payload);
    }
    // The end of one side is the end of the other.
    drop((sink, source));
    assert!(soon("end", host_source.next()).await.is_none());
}

#[tokio::test]
async fn who_stands_between_cannot_pass_for_the_host() {
    let mut relayed = Relayed::open().await;
    let tunnel = relayed.tunnel().await;
    let other = relayed.grid.node(NodeKind::ComputeHost).node();
    let dial = dial_frames_over(
        tunnel,
        (other, NodeKind::ComputeHost),
        &relayed.program,
        "/v1/calls",
    );
    let refused = soon("dial", dial).await.unwrap_err();
    assert_eq!(refused.code, Code::CertificateRefused);
}

#[tokio::test]
async fn a_tunnel_without_its_ticket_is_refused() {
    let relayed = Relayed::open().await;
    let refused = relayed.dial(&relayed.program, None).await.unwrap_err();
    assert_eq!(refused.code, Code::Unauthenticated);
}

#[tokio::test]
async fn an_inner_door_that_ends_cuts_what_is_inside() {
    let mut relayed = Relayed::open().await;
    let tunnel = relayed.tunnel().await;
    let expected = relayed.host.expected;
    let dial = dial_frames_over(tunnel, expected, &relayed.program, "/v1/calls");
    let (_sink, mut source) = soon("dial", dial).await.unwrap();
    let (host_sink, mut host_source) = soon("stream", relayed.host.frames.recv()).await.unwrap();
    tokio::spawn(async move {
        while let Some(Ok(_)) = host_source.next().await {}
        drop(host_sink);
    });
    relayed.host.stop.cancel();
    soon("the door's end", &mut relayed.host.served)
        .await
        .unwrap();
    assert!(!matches!(soon("end", source.next()).await, Some(Ok(_))));
    let usher = relayed.host.usher.as_ref().unwrap();
    let (near, _far) = tokio::io::duplex(10);
    let refused = usher.bring(near, ([192, 0, 2, 1], 1).into()).unwrap_err();
    assert_eq!(refused.code, Code::Unavailable);
}

#[tokio::test]
async fn an_inner_door_counts_the_address_at_the_far_end() {
    let limits = DoorLimits {
        programs_per_address: 1,
        ..DoorLimits::default()
    };
    let mut relayed = Relayed::open_with(limits).await;
    let mut held = Vec::new();
    let mut outcomes = Vec::new();
    for last in [1, 1, 2] {
        let tunnel = relayed.tunnel_from(last).await;
        let expected = relayed.host.expected;
        let dial = dial_frames_over(tunnel, expected, &relayed.program, "/v1/calls");
        let outcome = soon("dial", dial).await;
        outcomes.push(
            outcome
                .map(|ends| held.push(ends))
                .map_err(|told| told.code),
        );
    }
    assert_eq!(outcomes, [Ok(()), Err(Code::Busy), Ok(())]);
}
