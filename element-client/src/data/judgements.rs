//! Judgements that are kept: a text that comes again, of people with the same rules, is
//! judged once for each version of a schema.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use hashlink::LruCache;
use parking_lot::Mutex;

use super::sql::{BaseType, Catalog, Engine, Judged, Kind, Refusal, Rules, Statements, judge};

/// Judgements that are kept of one version of a schema.
const KEPT_MAX: usize = 512;
/// Texts of more bytes are judged each time: they rarely come twice.
const TEXT_BYTES_MAX: usize = 4096;

/// What is asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// One statement.
    pub text: String,
    /// Types of its parameters, as far as they are known.
    pub declared: Vec<Option<BaseType>>,
    /// What its person may see and do.
    pub rules: SameRules,
    /// Whether there are shadows, which may be on SQLite where the core is not.
    pub has_shadows: bool,
}

/// Rules that are the same where they are the same in memory.
#[derive(Clone)]
pub struct SameRules(pub Arc<Rules>);

impl PartialEq for SameRules {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SameRules {}

impl Hash for SameRules {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// What a statement is, for whoever runs it.
#[derive(Clone)]
pub struct Judgement {
    /// In the words of the core's engine.
    pub judged: Arc<Judged>,
    /// The same for shadows on SQLite, where the core is on another engine.
    pub for_shadows: Option<Arc<Judged>>,
}

/// Those that are kept; with each its rules, so that nothing else comes to their place.
pub struct Judgements(Mutex<LruCache<Question, Judgement>>);

impl Default for Judgements {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl Question {
    fn is_kept(&self) -> bool {
        self.text.len() <= TEXT_BYTES_MAX
    }

    /// Judges it for a core on this engine.
    ///
    /// # Errors
    /// What is not one statement of the SQL that is spoken here, or asks for what its person
    /// may not see or do.
    pub fn judge(&self, catalog: &Catalog, engine: Engine) -> Result<Judgement, Refusal> {
        let judged = self.judged(catalog, engine)?;
        let is_for_shadows = match judged.kind {
            Kind::Read => self.has_shadows,
            // A shadow that comes later may have to know of it as well.
            Kind::Schema(_) => true,
            _ => false,
        };
        // What SQLite cannot say, those on it are not asked.
        let for_shadows = (engine != Engine::Sqlite && is_for_shadows)
            .then(|| self.judged(catalog, Engine::Sqlite))
            .and_then(Result::ok)
            .map(Arc::new);
        Ok(Judgement {
            judged: Arc::new(judged),
            for_shadows,
        })
    }

    fn judged(&self, catalog: &Catalog, engine: Engine) -> Result<Judged, Refusal> {
        let statements = Statements::split(&self.text)?;
        let mut iter = statements.iter();
        let (Some(only), None) = (iter.next(), iter.next()) else {
            return Err(Refusal::of("42601", "give one statement at a time"));
        };
        judge(only, catalog, &self.rules.0, &self.declared, engine)
    }
}

impl Judgements {
    /// What was judged before.
    pub fn get(&self, question: &Question) -> Option<Judgement> {
        let kept = question.is_kept().then(|| self.0.lock());
        kept?.get(question).cloned()
    }

    /// Keeps it, unless it is of this one moment only.
    pub fn keep(&self, question: Question, judgement: &Judgement) {
        if question.is_kept() && judgement.judged.cacheable {
            self.0.lock().insert(question, judgement.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::sql::{Column, Mode, RuleSet, Table, TableRule},
        *,
    };

    fn catalog() -> Catalog {
        let mut catalog = Catalog::new();
        let column = |name: &str| Column {
            name: name.into(),
            column_type: BaseType::Text.into(),
            nullable: true,
            default: None,
        };
        catalog.table_add(Table {
            name: "people".into(),
            columns: vec![column("name"), column("pay")],
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
        });
        catalog
    }

    #[test]
    fn a_text_is_judged_once_for_all_with_the_same_rules_and_for_nobody_else() {
        let catalog = catalog();
        let open = Arc::new(Rules::everything(&catalog));
        let masked = BTreeMap::from([("pay".to_owned(), "'?'".to_owned())]);
        let rule = TableRule {
            mode: Mode::Read,
            masked,
            ..TableRule::default()
        };
        let granted = RuleSet::Granted(BTreeMap::from([("people".to_owned(), rule)]));
        let clerk = Arc::new(Rules::compile(&granted, &catalog).unwrap());
        let text = "SELECT pay FROM people WHERE name = $1";
        let of = |rules: &Arc<Rules>| Question {
            text: text.to_owned(),
            declared: Vec::new(),
            rules: SameRules(Arc::clone(rules)),
            has_shadows: false,
        };
        let kept = Judgements::default();
        assert!(kept.get(&of(&open)).is_none());
        let first = of(&open).judge(&catalog, Engine::Sqlite).unwrap();
        kept.keep(of(&open), &first);
        let again = kept.get(&of(&open)).unwrap();
        assert!(Arc::ptr_eq(&again.judged, &first.judged));
        assert!(kept.get(&of(&clerk)).is_none());
        let hers = of(&clerk).judge(&catalog, Engine::Sqlite).unwrap();
        kept.keep(of(&clerk), &hers);
        let hers = kept.get(&of(&clerk)).unwrap();
        assert_ne!(hers.judged.text, first.judged.text);
        let with_shadows = Question {
            has_shadows: true,
            ..of(&open)
        };
        assert!(kept.get(&with_shadows).is_none());
        let long = Question {
            text: format!("{text} -- {}", "x".repeat(TEXT_BYTES_MAX)),
            ..of(&open)
        };
        kept.keep(long.clone(), &first);
        assert!(kept.get(&long).is_none());
    }
}
