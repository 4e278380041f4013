//! Patterns of policies: `*` is any text, `?` any character.

/// Whether a text is what a pattern says; takes time at most of the product of
/// their lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` was, and what of the text it covers so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&character) = text.get(seen) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == character => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((back, covered)) = star else {
                    return false;
                };
                star = Some((back, covered + 1));
                at = back + 1;
                seen = covered + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn simple(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                simple(rest, text)
                    || text
                        .split_first()
                        .is_some_and(|(_, text)| simple(pattern, text))
            }
            (Some((wanted, rest)), Some((found, text))) => {
                (*wanted == b'?' || wanted == found) && simple(rest, text)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_does_what_the_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), simple(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
