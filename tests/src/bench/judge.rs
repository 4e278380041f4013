//! What it takes to judge a statement and write it anew, without anything that is sent:
//! each time, and when its judgement was kept.

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Instant};

use anyhow::{Context as _, anyhow};
use gridmart_element::data::{
    judgements::{Judgements, Question, SameRules},
    sql::{Catalog, Engine, Kind, Refusal, RuleSet, Rules, Statements, TableRule, judge},
};

use super::{Bench, Figure};

const SCHEMA: &str = "
CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler text);
CREATE TABLE branches (bid int PRIMARY KEY, city text NOT NULL, budget numeric(12, 2));
CREATE VIEW rich AS SELECT aid, bid, abalance FROM accounts WHERE abalance > 1000;
";

/// What is judged, of the simple and of the long.
const STATEMENTS: [(&str, &str); 3] = [
    (
        "a point read",
        "SELECT abalance, filler FROM accounts WHERE aid = $1",
    ),
    (
        "a join in groups",
        "SELECT b.city, count(*), sum(a.abalance) FROM accounts a JOIN branches b ON b.bid = a.bid \
         WHERE a.abalance >= 0 GROUP BY b.city HAVING count(*) > 1 ORDER BY 3 DESC LIMIT 10",
    ),
    (
        "a view and sub-queries",
        "SELECT r.aid, (SELECT max(abalance) FROM accounts) FROM rich r \
         WHERE r.bid IN (SELECT bid FROM branches WHERE city LIKE 'K%')",
    ),
];

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let rounds = u32::try_from(bench.count(20_000, 100))?;
    let catalog = catalog().map_err(|refusal| told(&refusal))?;
    let open = Arc::new(Rules::everything(&catalog));
    let guarded = Arc::new(guarded(&catalog)?);
    let mut figures = Vec::new();
    for (name, text) in STATEMENTS {
        let question = |rules: &Arc<Rules>| Question {
            text: text.to_owned(),
            declared: Vec::new(),
            rules: SameRules(Arc::clone(rules)),
            has_shadows: false,
        };
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let of = |rules| {
                let question = question(rules);
                micros(rounds, || {
                    question
                        .judge(&catalog, engine)
                        .map(drop)
                        .map_err(|refusal| told(&refusal))
                })
            };
            let (without, with) = (of(&open)?, of(&guarded)?);
            figures.push(
                Figure::new(
                    format!("judging {name} under rules, {engine:?}"),
                    with,
                    "µs",
                )
                .beside("without rules", without),
            );
        }
        let kept = Judgements::default();
        let judged = question(&guarded).judge(&catalog, Engine::Postgres);
        kept.keep(
            question(&guarded),
            &judged.map_err(|refusal| told(&refusal))?,
        );
        let again = micros(rounds, || {
            let found = kept.get(&question(&guarded));
            found.map(drop).context("it was not kept")
        })?;
        figures.push(Figure::new(
            format!("judging {name} once more, kept"),
            again,
            "µs",
        ));
    }
    Ok(figures)
}

fn told(refusal: &Refusal) -> anyhow::Error {
    anyhow!("{refusal:?}")
}

/// Microseconds of one, of so many.
fn micros(rounds: u32, mut one: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    for _ in 0..rounds / 10 {
        one()?;
    }
    let began = Instant::now();
    for _ in 0..rounds {
        black_box(one())?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}

fn catalog() -> Result<Catalog, Refusal> {
    let mut catalog = Catalog::new();
    for statement in Statements::split(SCHEMA)?.iter() {
        let rules = Rules::everything(&catalog);
        let judged = judge(statement, &catalog, &rules, &[], Engine::Postgres)?;
        if let Kind::Schema(change) = judged.kind {
            catalog.apply(*change);
        }
    }
    Ok(catalog)
}

/// Somebody who sees some rows, and a column masked.
fn guarded(catalog: &Catalog) -> anyhow::Result<Rules> {
    let mut rule = TableRule {
        rows: Some("abalance >= 0".to_owned()),
        ..TableRule::default()
    };
    let mask = "left(filler, 4)".to_owned();
    rule.masked.insert("filler".to_owned(), mask);
    let granted = BTreeMap::from([
        ("accounts".to_owned(), rule),
        ("branches".to_owned(), TableRule::default()),
        ("rich".to_owned(), TableRule::default()),
    ]);
    let rules = Rules::compile(&RuleSet::Granted(granted.into_iter().collect()), catalog);
    rules
        .map_err(|error| anyhow!("{error:?}"))
        .context("the rules")
}
