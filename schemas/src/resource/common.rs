//! What every resource has: the shared parts of its groups, and who may use it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    enumeration::{HealthState, QualityLevel, ServingState},
};
use crate::{
    role::Operation,
    scalar::{Decimal, LocalId, PrincipalName, ScalarError, Text, Token, Uri, UtcTime, collapse},
    xml::xml_record,
};

/// Info that every resource has; changes only when someone reconfigures it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommonInfo {
    /// For people; not unique.
    pub name: Token,
    /// The site it belongs to.
    pub domain: LocalId,
    /// Software that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation_name: Option<Token>,
    /// Version of that software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implementation_version: Option<Token>,
    /// Its doors, most preferred first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Uri>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Token>,
    /// How far its operator trusts it.
    pub quality_level: QualityLevel,
    /// Town or building.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Token>,
    /// Country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Token>,
    /// Degrees north.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<Decimal>,
    /// Degrees east.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<Decimal>,
    /// `mailto:` or web page of who is responsible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Uri>,
}

xml_record!(CommonInfo {
    children {
        name = "Name",
        domain = "Domain",
        implementation_name = "ImplementationName",
        implementation_version = "ImplementationVersion",
        endpoints = "Endpoint",
        capabilities = "Capability",
        quality_level = "QualityLevel",
        place = "Place",
        country = "Country",
        latitude = "Latitude",
        longitude = "Longitude",
        contacts = "Contact",
    }
});

impl CommonInfo {
    /// The least that a resource says of itself.
    pub fn new(name: Token, domain: LocalId) -> Self {
        Self {
            name,
            domain,
            implementation_name: None,
            implementation_version: None,
            endpoints: Vec::new(),
            capabilities: Vec::new(),
            quality_level: QualityLevel::default(),
            place: None,
            country: None,
            latitude: None,
            longitude: None,
            contacts: Vec::new(),
        }
    }
}

/// State that every resource has: observed, with its age on the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommonState {
    /// Does it take work, and do it?
    pub serving_state: ServingState,
    /// Is it well?
    pub health_state: HealthState,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_state_info: Option<Text>,
    /// When the serving process started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<UtcTime>,
}

xml_record!(CommonState {
    children {
        serving_state = "ServingState",
        health_state = "HealthState",
        health_state_info = "HealthStateInfo",
        start_time = "StartTime",
    }
});

impl CommonState {
    /// The least that a resource says of its state.
    pub const fn new(serving_state: ServingState, health_state: HealthState) -> Self {
        Self {
            serving_state,
            health_state,
            health_state_info: None,
            start_time: None,
        }
    }
}

/// Policy that every resource has: announced maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommonPolicy {
    /// Maintenance begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_start: Option<UtcTime>,
    /// Maintenance ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_end: Option<UtcTime>,
    /// What is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_info: Option<Text>,
}

xml_record!(CommonPolicy {
    children {
        downtime_start = "DowntimeStart",
        downtime_end = "DowntimeEnd",
        downtime_info = "DowntimeInfo",
    }
});

/// Who may use a resource. Rules only allow; any one suffices; without a rule
/// nobody may but its operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessControlBase {
    /// How rules are written; absent means `basic`, the only one known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Token>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AccessRule>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AccessControlBase {
    children {
        scheme = "Scheme",
        rules = "Rule",
    }
    open { extensions }
});

impl AccessControlBase {
    /// Only these rules.
    pub fn from_rules(rules: Vec<AccessRule>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }
}

/// One permission. As XML: `<Rule Operations="call logs" Part="…">user:alice</Rule>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessRule {
    /// Whom it allows.
    #[schema(value_type = String)]
    pub who: Who,
    /// What it allows; absent: all that a user may. Never an empty list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// On which part of the resource; absent: the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Text>,
}

xml_record!(AccessRule {
    attributes {
        operations = "Operations",
        part = "Part",
    }
    text { who }
});

impl AccessRule {
    /// Allows all that a user may, on the whole resource.
    pub const fn new(who: Who) -> Self {
        Self {
            who,
            operations: None,
            part: None,
        }
    }
}

/// Whom a rule means; matched exactly and case-sensitively.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Who {
    /// Everybody who is known: `ALL`.
    All,
    /// One person: `user:…`.
    User(PrincipalName),
    /// Everybody with a role: `role:…`.
    Role(PrincipalName),
    /// Everybody of a site: `domain:…`.
    Domain(PrincipalName),
    /// An application on behalf of its callers: `application:…`.
    Application(PrincipalName),
    /// The holder of a certificate: `dn:…`.
    Dn(PrincipalName),
    /// A member of a virtual organisation: `vo:…`.
    Vo(PrincipalName),
}

impl Who {
    /// What a text must look like to be one, for messages.
    pub const EXPECTED: &'static str =
        "ALL, or user:, role:, domain:, application:, dn: or vo: and a name of 1 to 240 characters";

    fn prefix_and_name(&self) -> Option<(&'static str, &PrincipalName)> {
        match self {
            Self::All => None,
            Self::User(name) => Some(("user", name)),
            Self::Role(name) => Some(("role", name)),
            Self::Domain(name) => Some(("domain", name)),
            Self::Application(name) => Some(("application", name)),
            Self::Dn(name) => Some(("dn", name)),
            Self::Vo(name) => Some(("vo", name)),
        }
    }
}

impl FromStr for Who {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        let refusal = || ScalarError::new(Self::EXPECTED, text);
        let collapsed = collapse(text);
        if collapsed == "ALL" {
            return Ok(Self::All);
        }
        let (prefix, name) = collapsed.split_once(':').ok_or_else(refusal)?;
        let kind = match prefix {
            "user" => Self::User,
            "role" => Self::Role,
            "domain" => Self::Domain,
            "application" => Self::Application,
            "dn" => Self::Dn,
            "vo" => Self::Vo,
            _ => return Err(refusal()),
        };
        if name.starts_with(' ') {
            return Err(refusal());
        }
        PrincipalName::new(name).map(kind).map_err(|_| refusal())
    }
}

impl TryFrom<String> for Who {
    type Error = ScalarError;

    fn try_from(text: String) -> Result<Self, ScalarError> {
        text.parse()
    }
}

impl From<Who> for String {
    fn from(who: Who) -> Self {
        who.to_string()
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_and_name() {
            None => f.write_str("ALL"),
            Some((prefix, name)) => write!(f, "{prefix}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_text_form() {
        for good in [
            "ALL",
            "user:alice",
            "role:developer",
            "application:spf",
            "dn:/O=Grid/CN=Ada L",
            "vo:a:b",
            "domain:lab",
        ] {
            assert_eq!(good.parse::<Who>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "all",
            "user:",
            "user: a",
            "User:a",
            "alice",
            "group:x",
            &format!("user:{}", "x".repeat(241)),
        ] {
            assert!(bad.parse::<Who>().is_err(), "{bad}");
        }
    }
}
