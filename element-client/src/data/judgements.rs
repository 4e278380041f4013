//! Judgements that are kept: a text that comes again, of people with the same rules, is
//! judged once for each version of a schema.

use std::sync::Arc;

use hashlink::LruCache;
use parking_lot::Mutex;

use super::sql::{BaseType, Catalog, Engine, Judged, Kind, Refusal, Rules, Statements, judge};

/// Judgements that are kept of one version of a schema.
const KEPT_MAX: usize = 512;
/// Texts of more bytes are judged each time: they rarely come twice.
const TEXT_BYTES_MAX: usize = 4096;

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// One statement.
    pub(super) text: &'a str,
    /// Types of its parameters, as far as they are known.
    pub(super) declared: &'a [Option<BaseType>],
    pub(super) rules: &'a Arc<Rules>,
    /// Whether shadows are asked as well.
    pub(super) has_shadows: bool,
}

/// What a statement is, for whoever runs it.
#[derive(Clone)]
pub(super) struct Judgement {
    /// In the words of the core's engine.
    pub(super) judged: Arc<Judged>,
    /// The same for shadows, where they are on another engine.
    pub(super) for_shadows: Option<Arc<Judged>>,
}

/// Those that are kept.
pub(super) struct Judgements(Mutex<LruCache<Key, Kept>>);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    text: String,
    declared: Vec<Option<BaseType>>,
    /// Where the rules are in memory: as long as they are kept, nothing else is there.
    rules: usize,
    has_shadows: bool,
}

struct Kept {
    judgement: Judgement,
    #[expect(dead_code, reason = "has the rules stay where they are")]
    rules: Arc<Rules>,
}

impl Default for Judgements {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KEPT_MAX)))
    }
}

impl Question<'_> {
    fn is_kept(&self) -> bool {
        self.text.len() <= TEXT_BYTES_MAX
    }

    fn key(&self) -> Key {
        Key {
            text: self.text.to_owned(),
            declared: self.declared.to_vec(),
            rules: Arc::as_ptr(self.rules) as usize,
            has_shadows: self.has_shadows,
        }
    }

    /// Judges it for a core on this engine.
    pub(super) fn judge(&self, catalog: &Catalog, engine: Engine) -> Result<Judgement, Refusal> {
        let judged = self.judged(catalog, engine)?;
        let is_for_shadows = match judged.kind {
            Kind::Read => self.has_shadows,
            // A shadow that comes later may have to know of it as well.
            Kind::Schema(_) => true,
            _ => false,
        };
        // What their engine cannot say, they are not asked.
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
        let statements = Statements::split(self.text)?;
        let mut iter = statements.iter();
        let (Some(only), None) = (iter.next(), iter.next()) else {
            return Err(Refusal::of("42601", "give one statement at a time"));
        };
        judge(only, catalog, self.rules, self.declared, engine)
    }
}

impl Judgements {
    /// What was judged before.
    pub(super) fn get(&self, question: &Question<'_>) -> Option<Judgement> {
        if !question.is_kept() {
            return None;
        }
        let mut kept = self.0.lock();
        kept.get(&question.key()).map(|kept| kept.judgement.clone())
    }

    /// Keeps it, unless it is of this one moment only.
    pub(super) fn keep(&self, question: &Question<'_>, judgement: &Judgement) {
        if !question.is_kept() || !judgement.judged.cacheable {
            return;
        }
        let kept = Kept {
            judgement: judgement.clone(),
            rules: Arc::clone(question.rules),
        };
        self.0.lock().insert(question.key(), kept);
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
        let of = |rules| Question {
            text,
            declared: &[],
            rules,
            has_shadows: false,
        };
        let kept = Judgements::default();
        assert!(kept.get(&of(&open)).is_none());
        let first = of(&open).judge(&catalog, Engine::Sqlite).unwrap();
        kept.keep(&of(&open), &first);
        let again = kept.get(&of(&open)).unwrap();
        assert!(Arc::ptr_eq(&again.judged, &first.judged));
        assert!(kept.get(&of(&clerk)).is_none());
        let hers = of(&clerk).judge(&catalog, Engine::Sqlite).unwrap();
        kept.keep(&of(&clerk), &hers);
        let hers = kept.get(&of(&clerk)).unwrap();
        assert_ne!(hers.judged.text, first.judged.text);
        let with_shadows = Question {
            has_shadows: true,
            ..of(&open)
        };
        assert!(kept.get(&with_shadows).is_none());
        let long = format!("{text} -- {}", "x".repeat(TEXT_BYTES_MAX));
        let long = Question {
            text: &long,
            ..of(&open)
        };
        kept.keep(&long, &first);
        assert!(kept.get(&long).is_none());
    }
}
