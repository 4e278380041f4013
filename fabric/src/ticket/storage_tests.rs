use gridmart_schemas::{
    id::{BlockId, Incarnation, NodeId, StripeId, VersionId},
    problem::Code,
    storage::BlockRoot,
    wire::block::BLOCKS_MAX,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    tests::{grid, lease, now},
    *,
};
use crate::identity::Key;

fn block() -> BlockId {
    BlockId {
        stripe: StripeId::generate(),
        position: 23,
    }
}

fn put() -> BlockClaims {
    let grid = grid();
    let Times { nbf, iat, exp } = Times::starting(now(), LIFE_MAX);
    BlockClaims {
        iss: grid.element.issuer(),
        sub: "alice".parse().unwrap(),
        aud: grid.host,
        presenter: grid.presenter.clone(),
        version: VersionId::generate(),
        transfer: None,
        operation: BlockOperation::Put,
        bytes: 1 << 20,
        cut: BlockCut {
            element: 1,
            host: 2,
        },
        nbf,
        iat,
        exp,
        jti: Uuid::now_v7(),
    }
}

/// A Host that signs, and the Element's keys to believe it.
fn host() -> (SigningKey, VerifyingKeys) {
    let host = SigningKey::new(grid().host, &Key::generate().unwrap());
    let mut keys = VerifyingKeys::default();
    keys.insert(host.issuer(), host.spki_pem()).unwrap();
    (host, keys)
}

fn receipt(blocks: usize) -> ReceiptClaims {
    let grid = grid();
    let Times { nbf, iat, exp } = Times::of_receipt(now());
    let block = |_| ReceiptBlock {
        id: block(),
        root: BlockRoot::new([0xab; 32]),
    };
    ReceiptClaims {
        iss: grid.host,
        aud: grid.element.issuer(),
        presenter: grid.presenter.clone(),
        incarnation: Incarnation::generate(),
        version: VersionId::generate(),
        cut: None,
        blocks: (0..blocks).map(block).collect(),
        nbf,
        iat,
        exp,
    }
}

fn judge_block(ticket: &str) -> Result<BlockClaims, Code> {
    let grid = grid();
    grid.keys
        .verify_block(ticket, grid.host, &grid.presenter, now())
        .map_err(|problem| problem.code)
}

#[test]
fn good_block_tickets_and_receipts_are_believed() {
    let grid = grid();
    let claims = put();
    let ticket = grid.element.sign_block(&claims).unwrap();
    assert_eq!(judge_block(&ticket), Ok(claims));
    let (host, keys) = host();
    let claims = receipt(BLOCKS_MAX);
    let signed = host.sign_receipt(&claims).unwrap();
    assert!(signed.len() <= RECEIPT_BYTES_MAX, "{}", signed.len());
    let read = keys.verify_receipt(&signed, grid.element.issuer(), &grid.presenter, now());
    assert_eq!(read, Ok(claims));
}

#[test]
fn a_block_ticket_permits_one_thing_on_one_version() {
    let claims = put();
    let permit = |operation, version| {
        claims
            .permit(operation, block(), version)
            .map_err(|problem| problem.code)
    };
    assert_eq!(permit(BlockOperation::Put, claims.version), Ok(()));
    assert_eq!(
        permit(BlockOperation::Get, claims.version),
        Err(Code::NotAuthorized)
    );
    assert_eq!(
        permit(BlockOperation::Put, VersionId::generate()),
        Err(Code::TicketForeign)
    );
}

#[test]
fn they_serve_one_audience_and_one_key() {
    let grid = grid();
    let ticket = grid.element.sign_block(&put()).unwrap();
    let (host, keys) = host();
    let signed = host.sign_receipt(&receipt(1)).unwrap();
    let element = grid.element.issuer();
    let stranger = NodeId::generate();
    let foreign = Key::generate().unwrap();
    let block = |audience, presenter| {
        grid.keys
            .verify_block(&ticket, audience, presenter, now())
            .unwrap_err()
            .code
    };
    let receipt = |audience, presenter| {
        keys.verify_receipt(&signed, audience, presenter, now())
            .unwrap_err()
            .code
    };
    assert_eq!(block(stranger, &grid.presenter), Code::TicketForeign);
    assert_eq!(receipt(stranger, &grid.presenter), Code::TicketForeign);
    assert_eq!(block(grid.host, foreign.hash()), Code::TicketKeyMismatch);
    assert_eq!(receipt(element, foreign.hash()), Code::TicketKeyMismatch);
}

#[test]
fn their_times_are_judged() {
    let grid = grid();
    let ticket = grid.element.sign_block(&put()).unwrap();
    let (host, keys) = host();
    let signed = host.sign_receipt(&receipt(1)).unwrap();
    let block = |seconds: i64| {
        let now = now() + time::Duration::seconds(seconds);
        grid.keys
            .verify_block(&ticket, grid.host, &grid.presenter, now)
            .map(|_| ())
            .map_err(|problem| problem.code)
    };
    let receipt = |seconds: i64| {
        let now = now() + time::Duration::seconds(seconds);
        keys.verify_receipt(&signed, grid.element.issuer(), &grid.presenter, now)
            .map(|_| ())
            .map_err(|problem| problem.code)
    };
    assert_eq!((block(-60), receipt(-60)), (Ok(()), Ok(())));
    assert_eq!(block(-61), Err(Code::TicketExpired));
    assert_eq!(receipt(-61), Err(Code::TicketExpired));
    assert_eq!(block(359), Ok(()));
    assert_eq!(block(360), Err(Code::TicketExpired));
    let day = RECEIPT_LIFE.as_secs().cast_signed();
    assert_eq!(receipt(day + 59), Ok(()));
    assert_eq!(receipt(day + 60), Err(Code::TicketExpired));
    // A ticket does not live as long as a receipt, whoever signed it.
    let Times { nbf, iat, exp } = Times::of_receipt(now());
    let long = BlockClaims {
        nbf,
        iat,
        exp,
        ..put()
    };
    let long = grid.element.sign_block(&long).unwrap();
    assert_eq!(judge_block(&long), Err(Code::TicketInvalid));
    let exp = exp + 1;
    let long = ReceiptClaims {
        exp,
        ..self::receipt(1)
    };
    let long = host.sign_receipt(&long).unwrap();
    let refused = keys.verify_receipt(&long, grid.element.issuer(), &grid.presenter, now());
    assert_eq!(refused.unwrap_err().code, Code::TicketInvalid);
}

#[test]
fn no_kind_passes_for_another() {
    let grid = grid();
    let (host, mut keys) = host();
    let element = grid.element.issuer();
    keys.insert(element, grid.element.spki_pem()).unwrap();
    let kinds = [
        grid.element.sign_lease(&lease()).unwrap(),
        grid.element.sign_block(&put()).unwrap(),
        host.sign_receipt(&receipt(1)).unwrap(),
    ];
    let is = |ticket: &str| {
        let presenter = &grid.presenter;
        [
            keys.verify_lease(ticket, grid.host, presenter, now())
                .is_ok(),
            keys.verify_block(ticket, grid.host, presenter, now())
                .is_ok(),
            keys.verify_receipt(ticket, element, presenter, now())
                .is_ok(),
        ]
    };
    for (at, ticket) in kinds.iter().enumerate() {
        let expected: [bool; 3] = std::array::from_fn(|kind| kind == at);
        assert_eq!(is(ticket), expected, "{at}");
    }
}

#[test]
fn an_issuer_states_for_itself_alone() {
    let grid = grid();
    let (host, keys) = host();
    let forged = ReceiptClaims {
        iss: NodeId::generate(),
        ..receipt(1)
    };
    assert_eq!(host.sign_receipt(&forged).unwrap_err().code, Code::Internal);
    // Another Host's key, in this one's name.
    let other = SigningKey::new(grid.host, &Key::generate().unwrap());
    let signed = other.sign_receipt(&receipt(1)).unwrap();
    let refused = keys.verify_receipt(&signed, grid.element.issuer(), &grid.presenter, now());
    assert_eq!(refused.unwrap_err().code, Code::TicketInvalid);
    let huge = host.sign_receipt(&receipt(4 * BLOCKS_MAX));
    assert_eq!(huge.unwrap_err().code, Code::Internal);
}

proptest! {
    #[test]
    fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), byte in 0x21u8..0x7f) {
        let ticket = grid().element.sign_block(&put()).unwrap();
        let mut changed = ticket.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        prop_assert!(judge_block(std::str::from_utf8(&changed).unwrap()).is_err());
    }
}
