//! Controller → Storage or Data Element: access keys, with which programs speak S3 or
//! PostgreSQL's protocol on behalf of a person.

use serde::{Deserialize, Serialize};

use super::{Done, requests};
use crate::{id::PersonName, role::Role, scalar::UtcTime};

/// Make a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKeyMake {
    /// Whose it is.
    pub person: PersonName,
    /// What that person may be now; the Element may not have heard it yet.
    pub role: Role,
    /// The domain that they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What it is for, in the person's words.
    pub label: String,
}

/// Answer to [`AccessKeyMake`]; the secret is told once.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessKeyMade {
    /// The key.
    pub key: AccessKeyTold,
    /// What requests are signed with, or the password.
    pub secret: String,
    /// Where the Element speaks S3, `http://HOST:PORT` or `https://HOST:PORT`; or
    /// PostgreSQL's protocol, `postgresql://HOST:PORT`.
    pub endpoint: String,
    /// The region that programs have to name to S3.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessKeyTold {
    /// Its public part.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created: UtcTime,
}

/// Which keys there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKeyList {
    /// Of whom.
    pub person: PersonName,
}

/// Answer to [`AccessKeyList`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AccessKeysTold {
    /// The keys, by id.
    pub keys: Vec<AccessKeyTold>,
}

/// Make a key worthless.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKeyRemove {
    /// Whose it must be.
    pub person: PersonName,
    /// Which one.
    pub id: String,
}

requests! {
    AccessKeyMake = "access-key-make" => AccessKeyMade,
    AccessKeyList = "access-key-list" => AccessKeysTold,
    AccessKeyRemove = "access-key-remove" => Done,
}
