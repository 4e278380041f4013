//! Where two logs part, decided from what they tell of themselves.
//!
//! An epoch has one core, so entries of one epoch at one position are the same.
//! Logs that know the same begins of epochs are the same as far as both reach;
//! they part where one begins an epoch that the other does not know.

use gridmart_schemas::data::{EpochBegin, LogPoint, Position};

/// A log in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Begins of epochs, oldest first.
    pub epochs: Vec<EpochBegin>,
    /// Its last entry.
    pub last: LogPoint,
}

/// The last position that two logs have in common.
pub fn common(one: &History, other: &History) -> Position {
    let mut shared = one.last.position.min(other.last.position);
    for (this, that) in [(one, other), (other, one)] {
        // Before the first begin that the other does not know, both were one.
        let foreign = this
            .epochs
            .iter()
            .find(|begin| !that.epochs.contains(begin));
        if let Some(begin) = foreign {
            shared = shared.min(begin.first.previous());
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::Epoch;
    use proptest::prelude::*;

    use super::*;

    fn history(epochs: &[(i64, i64)], last: (i64, i64)) -> History {
        let epochs = epochs.iter().map(|(epoch, first)| EpochBegin {
            epoch: Epoch::new(*epoch),
            first: Position::new(*first),
        });
        History {
            epochs: epochs.collect(),
            last: LogPoint {
                position: Position::new(last.0),
                epoch: Epoch::new(last.1),
            },
        }
    }

    #[test]
    fn a_shadow_that_lags_has_all_it_has_in_common() {
        let core = history(&[(1, 1)], (100, 1));
        let shadow = history(&[(1, 1)], (40, 1));
        assert_eq!(common(&core, &shadow), Position::new(40));
    }

    #[test]
    fn an_old_core_parts_where_another_was_promoted() {
        let old = history(&[(1, 1)], (50, 1));
        // Promoted at 40, whatever it has written since.
        for last in [(40, 1), (45, 2), (90, 2)] {
            let promoted = history(&[(1, 1), (2, 41)], last);
            assert_eq!(common(&old, &promoted), Position::new(40), "{last:?}");
            assert_eq!(common(&promoted, &old), Position::new(40), "{last:?}");
        }
    }

    #[test]
    fn two_that_were_promoted_apart_part_at_the_older_promotion() {
        let one = history(&[(1, 1), (2, 41)], (60, 2));
        let other = history(&[(1, 1), (3, 31)], (60, 3));
        assert_eq!(common(&one, &other), Position::new(30));
    }

    /// A log's epochs entry by entry, and the begins of its epochs.
    type Whole = (Vec<i64>, Vec<(i64, i64)>);

    proptest! {
        /// Against logs that are kept whole: cores are promoted from any copy.
        #[test]
        fn it_is_what_whole_logs_have_in_common(
            steps in prop::collection::vec((0_usize..4, 0_usize..4, 0_usize..12), 1..20),
        ) {
            let mut logs: Vec<Whole> = vec![(Vec::new(), vec![(1, 1)])];
            let mut epoch = 1;
            for (from, cut, writes) in steps {
                epoch += 1;
                let (mut log, mut epochs) = logs[from % logs.len()].clone();
                log.truncate(log.len().saturating_sub(cut));
                let length = i64::try_from(log.len()).unwrap();
                epochs.retain(|(_, first)| *first <= length);
                epochs.push((epoch, length + 1));
                log.extend(std::iter::repeat_n(epoch, writes));
                logs.push((log, epochs));
            }
            let brief = |(log, epochs): &Whole| {
                let last = i64::try_from(log.len()).unwrap();
                history(epochs, (last, log.last().copied().unwrap_or_default()))
            };
            for one in &logs {
                for other in &logs {
                    let pairs = one.0.iter().zip(&other.0);
                    let truth = pairs.take_while(|(a, b)| a == b).count();
                    let told = common(&brief(one), &brief(other)).number();
                    // An epoch that began and wrote nothing may tell less, never more.
                    prop_assert!(told <= i64::try_from(truth).unwrap());
                    if one.1.iter().all(|begin| other.1.contains(begin)) {
                        prop_assert_eq!(told, i64::try_from(truth).unwrap());
                    }
                }
            }
        }
    }
}
