//! A database of a Data Element (WS-DAI's data resource), with the four groups of
//! a resource: whose it is, which Hosts have a copy, and who may see what of it.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    common::Who,
    enumeration::{DataEngine, ReplicaRole},
    host::ReplicaState,
};
use crate::{
    data::Epoch,
    id::{DatabaseId, NodeId, PersonName},
    role::Operation,
    scalar::{DatabaseName, LocalId, ScalarError, Seconds, Text, Token, Uri, UtcTime},
    xml::xml_record,
};

/// What a database's `LocalID` begins with; its id follows.
const LOCAL_ID_PREFIX: &str = "database-";

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Database {
    /// `database-` and its id: stays while the name may change hands.
    pub local_id: LocalId,
    /// Its name, one on its Element.
    pub name: DatabaseName,
    /// Whose it is.
    pub owner: PersonName,
    /// What it is.
    pub info: DatabaseInfo,
    /// How it is; absent in documents that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DatabaseState>,
    /// Its copies.
    #[serde(default)]
    pub replicas: Replicas,
    /// Who may see what of it, besides its owner.
    #[serde(default)]
    pub access: DatabaseRules,
}

xml_record!(Database {
    children {
        local_id = "LocalID",
        name = "Name",
        owner = "Owner",
        info = "Info",
        state = "State",
        replicas = "Replicas" [default],
        access = "AccessControlBase" [default],
    }
});

impl Database {
    /// A database of nobody but its owner, on SQLite.
    pub fn new(
        database: DatabaseId,
        name: DatabaseName,
        owner: PersonName,
        replicas: Vec<Replica>,
    ) -> Result<Self, ScalarError> {
        Ok(Self {
            local_id: LocalId::new(&format!("{LOCAL_ID_PREFIX}{database}"))?,
            name,
            owner,
            info: DatabaseInfo {
                engine: DataEngine::Sqlite,
                extensions: Extensions::default(),
            },
            state: None,
            replicas: Replicas {
                epoch: None,
                replicas,
            },
            access: DatabaseRules::default(),
        })
    }

    /// The database's id; `None` if the `LocalID` is not one that [`Self::new`]
    /// makes, which a document that was read never holds.
    pub fn database(&self) -> Option<DatabaseId> {
        let id = self.local_id.as_str().strip_prefix(LOCAL_ID_PREFIX)?;
        id.parse::<DatabaseId>()
            .ok()
            .filter(|read| read.to_string() == id)
    }

    /// Which core this is: who holds an older epoch writes no more.
    pub fn epoch(&self) -> Epoch {
        let told = self.replicas.epoch.map(i64::try_from);
        told.map_or(Epoch::FIRST, |epoch| Epoch::new(epoch.unwrap_or(i64::MAX)))
    }

    /// The same on another engine.
    #[must_use]
    pub fn kept_by(mut self, engine: DataEngine) -> Self {
        self.info.engine = engine;
        self
    }

    /// What keeps its copy on a Host: what is said of that copy, or else of the
    /// database.
    pub fn engine_on(&self, host: NodeId) -> &DataEngine {
        let said = self.replica(host).and_then(|copy| copy.engine.as_ref());
        said.unwrap_or(&self.info.engine)
    }

    /// What its copy on a Host is, if there is one.
    pub fn replica(&self, host: NodeId) -> Option<&Replica> {
        let mut replicas = self.replicas.replicas.iter();
        replicas.find(|replica| replica.node() == Some(host))
    }

    /// The Host of its core.
    pub fn core(&self) -> Option<NodeId> {
        let mut replicas = self.replicas.replicas.iter();
        replicas
            .find(|replica| replica.role == ReplicaRole::Core)
            .and_then(Replica::node)
    }

    /// The Hosts of its shadows.
    pub fn shadows(&self) -> impl Iterator<Item = NodeId> {
        let replicas = self.replicas.replicas.iter();
        replicas
            .filter(|replica| replica.role == ReplicaRole::Shadow)
            .filter_map(Replica::node)
    }
}

/// What a database is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabaseInfo {
    /// What keeps it.
    #[schema(value_type = String)]
    pub engine: DataEngine,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DatabaseInfo {
    children {
        engine = "Engine",
    }
    open { extensions }
});

/// How a database is, as its core's Host tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabaseState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact.
    pub validity: Seconds,
    /// The last committed entry of its log.
    pub log_position: u64,
    /// Which core this is: it grows with each change of core.
    pub epoch: u64,
    /// Shadows.
    pub shadow_count: u32,
    /// Shadows that have all that their core had told.
    pub fresh_shadow_count: u32,
    /// Bytes that the core takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_size: Option<u64>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DatabaseState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    children {
        log_position = "LogPosition",
        epoch = "Epoch",
        shadow_count = "ShadowCount",
        fresh_shadow_count = "FreshShadowCount",
        used_size = "UsedSize",
    }
    open { extensions }
});

/// Where the copies of a database are: one core at most, each Host once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Replicas {
    /// Grows with each change of core, before the new core is told; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
}

xml_record!(Replicas {
    attributes {
        epoch = "Epoch",
    }
    children {
        replicas = "Replica",
    }
});

/// A copy of a database on a Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Replica {
    /// The Host.
    pub host: Uri,
    /// What its copy is to be.
    pub role: ReplicaRole,
    /// What keeps it; absent: what keeps the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub engine: Option<DataEngine>,
    /// What it holds, if it is a shadow that holds a part of the database only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<ReplicaFilter>,
    /// How it is, as its Host tells; absent in documents that hold no observations, and
    /// while the Host is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ReplicaState>,
}

xml_record!(Replica {
    children {
        host = "Host",
        role = "Role",
        engine = "Engine",
        filter = "Filter",
        state = "State",
    }
});

impl Replica {
    /// A copy on that Host.
    pub fn on(host: NodeId, role: ReplicaRole) -> Self {
        Self {
            host: Uri::from_uuid(host.as_uuid()),
            role,
            engine: None,
            filter: None,
            state: None,
        }
    }

    /// Whether a copy that tells this holds what it is to hold, and nothing else.
    pub fn is_confirmed_by(&self, told: Option<&ReplicaState>) -> bool {
        let wanted = self.filter.as_ref().map(|filter| filter.version);
        told.is_some_and(|told| told.filter_version == wanted)
    }

    /// The Host.
    pub fn node(&self) -> Option<NodeId> {
        self.host.as_str().strip_prefix("urn:uuid:")?.parse().ok()
    }
}

/// What a partial shadow holds: of tables that are not named nothing. It is applied
/// where the core is, so that nothing else travels to the shadow's Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReplicaFilter {
    /// Another one with each change of the rules.
    pub version: u64,
    /// Whether the Host has told that its copy holds nothing else; absent in documents
    /// that hold no observations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<bool>,
    /// The tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ShadowRule>,
}

xml_record!(ReplicaFilter {
    attributes {
        version = "Version",
        confirmed = "Confirmed",
    }
    children {
        rules = "Rule",
    }
});

/// What a partial shadow holds of a table: a rule for nobody in particular, without
/// masks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowRule {
    /// The table.
    pub table: Text,
    /// Columns that it has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<HiddenColumn>,
    /// A condition in SQL over the row's own columns: rows for which it does not hold
    /// are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Text>,
}

xml_record!(ShadowRule {
    attributes {
        table = "Table",
    }
    children {
        columns = "Column",
        rows = "RowCondition",
    }
});

/// A column that a partial shadow has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HiddenColumn {
    /// The column.
    pub name: Token,
}

xml_record!(HiddenColumn {
    children {
        name = "Name",
    }
});

/// Who may see what of a database, besides its owner. Default deny: a table that
/// no rule names for somebody does not exist for them. Of the rules that name
/// somebody and a table, the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabaseRules {
    /// The rules, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<DatabaseRule>,
}

xml_record!(DatabaseRules {
    children {
        rules = "Rule",
    }
});

/// What somebody may see and do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseRule {
    /// Whom it allows.
    #[schema(value_type = String)]
    pub who: Who,
    /// `read`, or `read write`; absent: both. Never an empty list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<Operation>>,
    /// The table; absent: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Text>,
    /// Columns that are not shown as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnRule>,
    /// A condition in SQL over the row's own columns: rows for which it does not
    /// hold are not there. It may use `current_user` and
    /// `gridmart.attribute('domain')`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Text>,
}

xml_record!(DatabaseRule {
    attributes {
        who = "Who",
        operations = "Operations",
        table = "Table",
    }
    children {
        columns = "Column",
        rows = "RowCondition",
    }
});

/// What somebody sees of a column: nothing, or its mask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnRule {
    /// The column.
    pub name: Token,
    /// An expression in SQL over the row's own columns that stands in its place;
    /// absent: the column is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Text>,
}

xml_record!(ColumnRule {
    children {
        name = "Name",
        mask = "Mask",
    }
});
