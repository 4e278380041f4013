//! The one table of public error codes, and the problem details (RFC 9457)
//! that every door answers with.
//!
//! Invariant: whether a request may be tried again, its HTTP status and its
//! hint are properties of the code; nobody decides them anywhere else.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{api::explain::Explanation, id::RequestId};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $retryable:literal, $hint:literal;)+) => {
        /// A stable error code. Clients branch on it; its text never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant),+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Gives the code's text, as it travels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Gives the HTTP status that belongs to the code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// Tells whether the same request may succeed later, unchanged.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable),+ }
            }

            /// Says what to do next.
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint),+ }
            }
        }

        impl FromStr for Code {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}

codes! {
    /// The request is not of the form that the API document states.
    InvalidRequest = "invalid-request", 400, false, "Correct the request; the API document at /openapi.json states its form.";
    /// A document breaks its schema or a rule across its fields.
    InvalidDocument = "invalid-document", 422, false, "Correct the document at the named line; the schemas are in the folder schemas/xsd.";
    /// A body, document or message over its stated size.
    TooLarge = "too-large", 413, false, "Send less; the message states the limit.";
    /// Nobody has said who asks.
    Unauthenticated = "unauthenticated", 401, false, "Sign in with `gridmart login`, or set GRIDMART_TOKEN.";
    /// Name, password or token is wrong.
    CredentialsRefused = "credentials-refused", 401, false, "Check name and password, or make a new API token.";
    /// A request of a browser that does not show that the console made it.
    RequestForged = "request-forged", 403, false, "Reload the console; a program uses an API token (`Authorization: Bearer`), no cookie.";
    /// The role or the rules do not allow it.
    NotAuthorized = "not-authorized", 403, false, "Ask the supplier of the resource for a rule, or an admin for a role.";
    /// Nothing of that id or name, or nothing that the asker may see.
    NotFound = "not-found", 404, false, "List what there is with `gridmart resources`, `gridmart apps` or `gridmart ls`.";
    /// No application of that name or version.
    UnknownApplication = "unknown-application", 404, false, "List applications with `gridmart apps`; upload one with `gridmart upload DIR`.";
    /// That version is there already, with other content.
    VersionExists = "version-exists", 409, false, "Give the changed application a new AppVersion.";
    /// Something of that name exists.
    AlreadyExists = "already-exists", 409, false, "Choose another name.";
    /// Somebody else changed it meanwhile.
    GenerationConflict = "generation-conflict", 409, false, "Read it again and repeat the change.";
    /// What the request names as its condition does not hold.
    PreconditionFailed = "precondition-failed", 412, false, "Read it again; what the request expects of it is not so any more.";
    /// It holds something, and can be removed only when it is empty.
    NotEmpty = "not-empty", 409, false, "Delete what is in it first, older versions included.";
    /// It is kept until a time that its owner has set, or under a legal hold.
    Retained = "retained", 403, false, "Wait until the time that the message names, or ask its owner to take the hold away.";
    /// The object was encrypted by the S3 door.
    Encrypted = "encrypted", 409, false, "Read or copy it through the S3 door, which decrypts it.";
    /// No resource meets what is needed.
    NeedUnmet = "need-unmet", 409, false, "Lower the need that the message names, or add a resource that meets it.";
    /// What could serve it is stopped or not well at present.
    NotAccepting = "not-accepting", 503, true, "Try again later, or start the resource with `gridmart start`.";
    /// The queue has no place left.
    QueueFull = "queue-full", 503, true, "Try again later; MaxWaitingJobs in the Element's Policy is the limit.";
    /// A limit for one person is reached.
    QuotaExceeded = "quota-exceeded", 429, true, "Wait until some of your own calls have ended.";
    /// Too many requests of this kind in a short time.
    RateLimited = "rate-limited", 429, true, "Wait a moment before the next try.";
    /// The ticket is not one, or its signature is not its issuer's.
    TicketInvalid = "ticket-invalid", 401, false, "Ask the controller for access again.";
    /// The ticket's time is over, or has not come.
    TicketExpired = "ticket-expired", 401, false, "Ask the controller for access again; check the machine's clock if it happens at once.";
    /// The ticket is meant for another node or resource.
    TicketForeign = "ticket-foreign", 403, false, "Use the ticket with the Element or Host that it names.";
    /// The ticket belongs to another TLS key.
    TicketKeyMismatch = "ticket-key-mismatch", 403, false, "A ticket serves only the program that asked for it; ask for one of your own.";
    /// What the ticket permits was killed after it was made.
    TicketCut = "ticket-cut", 409, false, "The resource was killed meanwhile; ask the controller for access again.";
    /// The node was revoked.
    NodeRevoked = "node-revoked", 403, false, "Join the node again with a new join token.";
    /// The join token is unknown, or meant for another kind or domain.
    JoinTokenInvalid = "join-token-invalid", 403, false, "Make one with `gridmart token create`.";
    /// The join token's uses are spent.
    JoinTokenSpent = "join-token-spent", 403, false, "Make a new one with `gridmart token create`.";
    /// The join token's time is over.
    JoinTokenExpired = "join-token-expired", 403, false, "Make a new one with `gridmart token create`.";
    /// The other side's certificate is not from the CA that is pinned here.
    CertificateRefused = "certificate-refused", 403, false, "Check that both nodes joined the same controller.";
    /// The door speaks TLS 1.3 only.
    TlsRequired = "tls-required", 400, false, "Use https:// with the controller's CA.";
    /// The package breaks a rule for packages.
    PackageInvalid = "package-invalid", 422, false, "Pack the folder with `gridmart upload DIR`; the message names the entry at fault.";
    /// What arrived is not what its hash says.
    DigestMismatch = "digest-mismatch", 422, true, "Send it again; if it happens again, the copy at the sender is damaged.";
    /// The Host does not answer any more.
    HostDown = "host-down", 502, true, "Call again; a retryable application is called again by itself.";
    /// The Host started anew while the call ran, or since its lease was granted.
    HostRestarted = "host-restarted", 502, true, "Call again; a retryable application is called again by itself.";
    /// The Host cannot be dialled, and did not dial its Element in time.
    RelayFailed = "relay-failed", 504, true, "Try again; the Host's log says why it could not dial its Element.";
    /// The Element cannot be reached.
    ElementDown = "element-down", 502, true, "Try again; `gridmart resources` shows which Elements are there.";
    /// The node is away; the command is recorded and applied when it returns.
    NodeAway = "node-away", 503, true, "Nothing to do: it is applied when the node returns.";
    /// No such lease is in force.
    LeaseUnknown = "lease-unknown", 409, true, "Enter the queue again.";
    /// The lease was ended while it was in use.
    LeaseEnded = "lease-ended", 409, true, "Enter the queue again.";
    /// No such call is known here, or its results have expired.
    UnknownCall = "unknown-call", 404, false, "List calls with `gridmart show APP`.";
    /// Ended by `kill`, or because its caller went away.
    Terminated = "terminated", 409, false, "Call, put or get again if it was not you who ended it.";
    /// A limit of the application's or the owner's Policy was hit.
    LimitExceeded = "limit-exceeded", 409, false, "Raise the limit that the message names, in the AEDoc or the Policy, or ask less.";
    /// The program could not be started.
    StartFailed = "start-failed", 422, false, "Check Executable and its mode in the package; `gridmart logs APP` shows more.";
    /// A package, or a file of a bucket, could not be brought to the Host, or stored from there.
    StagingFailed = "staging-failed", 502, true, "Try again; the message names what was not moved, `gridmart resources` who is away, `gridmart show` of the Host its disk space.";
    /// The machine cannot make the sandbox.
    SandboxUnavailable = "sandbox-unavailable", 503, false, "Install bubblewrap and allow user namespaces, or start the Host with --allow-unsandboxed.";
    /// The sandbox ended while a call ran in it: somebody killed it, or the machine had no memory left.
    SandboxLost = "sandbox-lost", 502, true, "Call again; a retryable application is called again by itself. If it happens again, see the Host's log.";
    /// Some parts of a map failed.
    PartsFailed = "parts-failed", 409, false, "Read the parts' stderr in the report; run them again with `gridmart retry JOB --failed`.";
    /// A message of a kind that this version does not know.
    UnknownMessage = "unknown-message", 501, false, "The other side is newer: update this node.";
    /// Another major version of the protocol.
    VersionUnsupported = "version-unsupported", 505, false, "Update the older of the two nodes.";
    /// No answer in time.
    TimedOut = "timed-out", 504, true, "Try again.";
    /// Too much to do at this moment.
    Busy = "busy", 503, true, "Try again in a moment.";
    /// The service is starting or going down.
    Unavailable = "unavailable", 503, true, "Try again in a moment.";
    /// The node's disk refuses.
    StorageFailed = "storage-failed", 507, true, "See the node's log; make room or repair the disk.";
    /// A block of that id is there, with other content.
    BlockConflict = "block-conflict", 409, false, "Write the data as a new stripe: a block never changes.";
    /// The Host's copy of a block is damaged, and is not served.
    BlockDamaged = "block-damaged", 409, false, "Read another copy of the block, or rebuild it from the others of its stripe.";
    /// Somebody with a newer epoch has written to this ledger.
    StaleEpoch = "stale-epoch", 409, false, "Take a newer epoch: another process of the Element has written meanwhile.";
    /// Records come before these that the ledger does not have.
    LedgerGap = "ledger-gap", 409, true, "Send the records from the position on that the message names, or a snapshot.";
    /// A statement was refused, or has failed.
    StatementRefused = "statement-refused", 422, false, "Correct the statement; the message begins with PostgreSQL's code of the fault (SQLSTATE).";
    /// Too few Hosts can keep it safe at present; nothing was changed.
    StorageDegraded = "storage-degraded", 503, true, "Try again; if it stays so, see with `gridmart resources` which storage Hosts are away.";
    /// A fault of gridmart itself.
    Internal = "internal", 500, true, "See the node's log for the request id.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A newer node may know more codes; its detail still says what happened.
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::Internal))
    }
}

/// Problem details (RFC 9457) with gridmart's own members.
///
/// `detail` says what failed, on what; `hint` what to do next. A 5xx tells the
/// caller only a request id, the cause goes to the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:gridmart:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status that belongs to the code.
    pub status: u16,
    /// What failed, on what.
    pub detail: String,
    /// The stable code.
    #[schema(value_type = String)]
    pub code: Code,
    /// What to do next.
    pub hint: String,
    /// Whether the same request may succeed later, unchanged.
    pub retryable: bool,
    /// Seconds after which the next try counts, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub retry_after: Option<NonZeroU32>,
    /// The request, as every tier's log names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Why: each candidate with what it met and failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub explanation: Option<Box<Explanation>>,
}

impl Problem {
    /// Makes a problem of a code; `detail` says what failed, on what.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:gridmart:problem:{code}"),
            title: code.as_str().replace('-', " "),
            status: code.status(),
            detail: detail.into(),
            code,
            hint: code.hint().to_owned(),
            retryable: code.retryable(),
            retry_after: None,
            request_id: None,
            explanation: None,
        }
    }

    /// Says when the next try counts, in whole seconds, rounded up.
    #[must_use]
    pub fn with_retry_after(mut self, wait: std::time::Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000);
        self.retry_after = NonZeroU32::new(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// Names the request.
    #[must_use]
    pub fn with_request(mut self, request: Option<RequestId>) -> Self {
        self.request_id = self.request_id.or(request);
        self
    }

    /// Adds the reasons.
    #[must_use]
    pub fn with_explanation(mut self, explanation: Explanation) -> Self {
        self.explanation = Some(Box::new(explanation));
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice");
            assert_eq!(code.as_str().parse::<Code>(), Ok(*code));
            assert!((400..600).contains(&code.status()), "{code}");
            assert!(!code.hint().is_empty(), "{code} has no hint");
        }
    }

    #[test]
    fn a_problem_of_a_newer_node_can_be_read() {
        let problem = Problem::new(Code::QueueFull, "The queue of ce1 is full.");
        let mut json = serde_json::to_value(&problem).unwrap();
        json["code"] = "code-from-the-future".into();
        json["novel"] = 1.into();
        let read: Problem = serde_json::from_value(json).unwrap();
        assert_eq!(read.code, Code::Internal);
        assert_eq!(read.detail, problem.detail);
    }
}
