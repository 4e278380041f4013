//! Access control lists: the oldest of S3's ways to let others in. A bucket has
//! one, and an object; without one its owner alone is on it.

use gridmart_schemas::id::PersonName;
use s3s::{S3Result, dto, s3_error};
use serde::{Deserialize, Serialize};

use super::caller::Caller;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
/// The most grants of a list, as S3 has it.
const GRANTS_MAX: usize = 100;

/// Who is on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Grantee {
    /// Everybody.
    All,
    /// Everybody who has signed.
    Known,
    /// One person.
    Person(PersonName),
}

/// What a list lets them do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Permission {
    Read,
    Write,
    ReadAcp,
    WriteAcp,
    FullControl,
}

impl Permission {
    const fn word(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }

    fn parse(word: &str) -> S3Result<Self> {
        [
            Self::Read,
            Self::Write,
            Self::ReadAcp,
            Self::WriteAcp,
            Self::FullControl,
        ]
        .into_iter()
        .find(|permission| permission.word() == word)
        .ok_or_else(|| s3_error!(MalformedACLError, "Unknown permission: {word}"))
    }

    fn includes(self, wanted: Self) -> bool {
        self == wanted || self == Self::FullControl
    }
}

/// A list: an owner, and others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acl {
    pub(super) owner: PersonName,
    pub(super) grants: Vec<(Grantee, Permission)>,
}

impl Acl {
    /// The owner alone.
    pub(super) fn private(owner: PersonName) -> Self {
        let grants = vec![(Grantee::Person(owner.clone()), Permission::FullControl)];
        Self { owner, grants }
    }

    /// A list by S3's short names. The bucket's owner counts for objects.
    pub(super) fn canned(
        word: &str,
        owner: PersonName,
        bucket_owner: &PersonName,
    ) -> S3Result<Self> {
        let mut acl = Self::private(owner);
        let bucket_owner = Grantee::Person(bucket_owner.clone());
        let more = match word {
            "private" => Vec::new(),
            "public-read" => vec![(Grantee::All, Permission::Read)],
            "public-read-write" => {
                vec![
                    (Grantee::All, Permission::Read),
                    (Grantee::All, Permission::Write),
                ]
            }
            "authenticated-read" => vec![(Grantee::Known, Permission::Read)],
            "bucket-owner-read" => vec![(bucket_owner, Permission::Read)],
            "bucket-owner-full-control" => vec![(bucket_owner, Permission::FullControl)],
            _ => return Err(s3_error!(InvalidArgument, "Unknown canned ACL: {word}")),
        };
        for grant in more {
            if !acl.grants.contains(&grant) && grant.0 != Grantee::Person(acl.owner.clone()) {
                acl.grants.push(grant);
            }
        }
        Ok(acl)
    }

    /// Whether somebody may do that.
    pub(super) fn allows(&self, caller: &Caller, wanted: Permission) -> bool {
        self.grants.iter().any(|(grantee, permission)| {
            let is_meant = match (grantee, caller) {
                (Grantee::All, _) | (Grantee::Known, Caller::Person { .. }) => true,
                (Grantee::Person(name), Caller::Person { name: caller, .. }) => name == caller,
                (Grantee::Known | Grantee::Person(_), Caller::Anonymous) => false,
            };
            is_meant && permission.includes(wanted)
        })
    }

    /// Whether it lets in more than persons by name.
    pub(super) fn is_public(&self) -> bool {
        self.grants
            .iter()
            .any(|(grantee, _)| matches!(grantee, Grantee::All | Grantee::Known))
    }

    /// The same without what lets in everybody.
    pub(super) fn without_public(mut self) -> Self {
        self.grants
            .retain(|(grantee, _)| matches!(grantee, Grantee::Person(_)));
        self
    }

    /// Reads a list that S3's XML carries. It must name the owner who is.
    pub(super) fn from_policy(
        policy: &dto::AccessControlPolicy,
        owner: &PersonName,
    ) -> S3Result<Self> {
        let told = policy.owner.as_ref().and_then(|owner| owner.id.as_deref());
        if told.is_some_and(|told| told != owner.as_str()) {
            return Err(s3_error!(
                AccessDenied,
                "The owner of a list cannot be changed."
            ));
        }
        let grants = policy.grants.as_deref().unwrap_or_default();
        if grants.len() > GRANTS_MAX {
            return Err(s3_error!(
                MalformedACLError,
                "At most {GRANTS_MAX} grants are taken."
            ));
        }
        let grants = grants.iter().map(|grant| {
            let grantee = grant.grantee.as_ref().map(grantee_read).transpose()?;
            let permission = grant
                .permission
                .as_ref()
                .map(|word| Permission::parse(word.as_str()));
            grantee.zip(permission.transpose()?).ok_or_else(|| {
                s3_error!(
                    MalformedACLError,
                    "A grant needs a grantee and a permission."
                )
            })
        });
        Ok(Self {
            owner: owner.clone(),
            grants: grants.collect::<S3Result<_>>()?,
        })
    }

    /// Reads the headers `x-amz-grant-…`; none if there are none.
    pub(super) fn from_headers(
        headers: &GrantHeaders<'_>,
        owner: &PersonName,
    ) -> S3Result<Option<Self>> {
        let mut grants = Vec::new();
        for (header, permission) in headers {
            for text in header.unwrap_or_default().split(',').map(str::trim) {
                if !text.is_empty() {
                    grants.push((grantee_of_header(text)?, *permission));
                }
            }
        }
        if grants.len() > GRANTS_MAX {
            return Err(s3_error!(
                InvalidArgument,
                "At most {GRANTS_MAX} grants are taken."
            ));
        }
        Ok((!grants.is_empty()).then(|| Self {
            owner: owner.clone(),
            grants,
        }))
    }

    /// The grants as S3's XML has them: those for many come first.
    pub(super) fn to_grants(&self) -> Vec<dto::Grant> {
        let mut grants: Vec<_> = self.grants.iter().collect();
        grants.sort_by_key(|(grantee, _)| matches!(grantee, Grantee::Person(_)));
        grants
            .into_iter()
            .map(|(grantee, permission)| dto::Grant {
                grantee: Some(grantee_write(grantee)),
                permission: Some(dto::Permission::from_static(permission.word())),
            })
            .collect()
    }

    /// Its owner as S3's XML has it.
    pub(super) fn to_owner(&self) -> dto::Owner {
        owner(&self.owner)
    }
}

/// The headers that grant, and what each does.
pub(super) type GrantHeaders<'a> = [(Option<&'a str>, Permission); 5];

/// A person as S3's answers name an owner.
pub(super) fn owner(person: &PersonName) -> dto::Owner {
    dto::Owner {
        display_name: Some(person.to_string()),
        id: Some(person.to_string()),
    }
}

fn person(text: &str) -> S3Result<Grantee> {
    text.parse()
        .map(Grantee::Person)
        .map_err(|_| s3_error!(InvalidArgument, "Invalid id"))
}

fn group(uri: &str) -> S3Result<Grantee> {
    match uri {
        ALL_USERS => Ok(Grantee::All),
        AUTHENTICATED_USERS => Ok(Grantee::Known),
        _ => Err(s3_error!(InvalidArgument, "Invalid group uri")),
    }
}

fn unresolvable() -> s3s::S3Error {
    s3_error!(
        UnresolvableGrantByEmailAddress,
        "The e-mail address you provided does not match any account on record."
    )
}

fn grantee_read(grantee: &dto::Grantee) -> S3Result<Grantee> {
    match grantee.type_.as_str() {
        "Group" => group(grantee.uri.as_deref().unwrap_or_default()),
        "CanonicalUser" => person(grantee.id.as_deref().unwrap_or_default()),
        "AmazonCustomerByEmail" => Err(unresolvable()),
        _ => Err(s3_error!(MalformedACLError, "Unknown type of grantee")),
    }
}

/// `id="…"`, `uri="…"` or `emailAddress="…"`.
fn grantee_of_header(text: &str) -> S3Result<Grantee> {
    let (kind, value) = text
        .split_once('=')
        .ok_or_else(|| s3_error!(InvalidArgument, "Argument format not recognized"))?;
    let value = value.trim().trim_matches('"');
    match kind.trim() {
        "id" => person(value),
        "uri" => group(value),
        "emailAddress" => Err(unresolvable()),
        _ => Err(s3_error!(InvalidArgument, "Argument format not recognized")),
    }
}

fn grantee_write(grantee: &Grantee) -> dto::Grantee {
    let blank = |word: &'static str| dto::Grantee {
        display_name: None,
        email_address: None,
        id: None,
        type_: dto::Type::from_static(word),
        uri: None,
    };
    match grantee {
        Grantee::All => dto::Grantee {
            uri: Some(ALL_USERS.to_owned()),
            ..blank("Group")
        },
        Grantee::Known => dto::Grantee {
            uri: Some(AUTHENTICATED_USERS.to_owned()),
            ..blank("Group")
        },
        Grantee::Person(name) => dto::Grantee {
            display_name: Some(name.to_string()),
            id: Some(name.to_string()),
            ..blank("CanonicalUser")
        },
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::role::Role;

    use super::*;

    fn known(name: &str) -> Caller {
        Caller::Person {
            name: name.parse().unwrap(),
            role: Role::User,
        }
    }

    #[test]
    fn short_names_let_in_whom_they_say() {
        use Permission::{Read, Write, WriteAcp};
        let (ada, bob) = ("ada".parse().unwrap(), "bob".parse().unwrap());
        let may = |word: &str, caller: &Caller, wanted| {
            Acl::canned(word, PersonName::clone(&ada), &bob)
                .unwrap()
                .allows(caller, wanted)
        };
        assert!(may("private", &known("ada"), WriteAcp) && !may("private", &known("bob"), Read));
        assert!(may("public-read", &Caller::Anonymous, Read));
        assert!(!may("public-read", &Caller::Anonymous, Write));
        assert!(may("public-read-write", &Caller::Anonymous, Write));
        assert!(may("authenticated-read", &known("eve"), Read));
        assert!(!may("authenticated-read", &Caller::Anonymous, Read));
        assert!(may("bucket-owner-read", &known("bob"), Read));
        assert!(!may("bucket-owner-read", &known("bob"), Write));
        assert!(may("bucket-owner-full-control", &known("bob"), WriteAcp));
        assert!(Acl::canned("open", ada.clone(), &bob).is_err());
        let open = Acl::canned("public-read", ada.clone(), &bob).unwrap();
        assert!(open.is_public() && open.clone().without_public() == Acl::private(ada));
    }

    #[test]
    fn headers_and_xml_make_the_same_list() {
        let ada: PersonName = "ada".parse().unwrap();
        let headers = [
            (
                Some(r#"uri="http://acs.amazonaws.com/groups/global/AllUsers", id="bob""#),
                Permission::Read,
            ),
            (None, Permission::Write),
            (None, Permission::ReadAcp),
            (None, Permission::WriteAcp),
            (Some("id=ada"), Permission::FullControl),
        ];
        let acl = Acl::from_headers(&headers, &ada).unwrap().unwrap();
        assert_eq!(acl.grants.len(), 3);
        let policy = dto::AccessControlPolicy {
            owner: Some(acl.to_owner()),
            grants: Some(acl.to_grants()),
        };
        assert_eq!(Acl::from_policy(&policy, &ada).unwrap(), acl);
        assert!(Acl::from_policy(&policy, &"bob".parse().unwrap()).is_err());
        let bad = [(Some("emailAddress=a@b"), Permission::Read); 5];
        assert!(Acl::from_headers(&bad, &ada).is_err());
    }
}
