//! What of an object a request wants (RFC 9110, 14.1.2): one range, or all.

/// See the module. Ranges are half open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: nothing else was asked for, or several ranges, or what is no range.
    Whole,
    /// From this byte to before that one.
    Range(u64, u64),
    /// Nothing of it is there.
    Beyond,
}

/// Reads the header of a request for something of so many bytes.
pub(super) fn part_of(header: Option<&str>, size: u64) -> Part {
    let range = header.and_then(|text| text.trim().strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
            Part::Beyond
        }
        (Some(first), Some(last)) => Part::Range(first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => Part::Range(first, size),
        (None, Some(0)) if first.is_empty() => Part::Beyond,
        (None, Some(_)) if first.is_empty() && size == 0 => Part::Beyond,
        (None, Some(last)) if first.is_empty() => Part::Range(size.saturating_sub(last), size),
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        for (header, part) in [
            (None, Part::Whole),
            (Some("bytes=0-0"), Part::Range(0, 1)),
            (Some("bytes=2-"), Part::Range(2, 10)),
            (Some("bytes=2-99"), Part::Range(2, 10)),
            (Some("bytes=-3"), Part::Range(7, 10)),
            (Some("bytes=-99"), Part::Range(0, 10)),
            (Some("bytes=10-"), Part::Beyond),
            (Some("bytes=99999999999999999999999-"), Part::Beyond),
            (Some("bytes=-0"), Part::Beyond),
            (Some("bytes=5-2"), Part::Whole),
            (Some("bytes=0-1,3-4"), Part::Whole),
            (Some("bytes=-"), Part::Whole),
            (Some("bytes=+1-2"), Part::Whole),
            (Some("lines=1-2"), Part::Whole),
        ] {
            assert_eq!(part_of(header, 10), part, "{header:?}");
        }
        assert_eq!(part_of(Some("bytes=0-"), 0), Part::Beyond);
        assert_eq!(part_of(Some("bytes=-1"), 0), Part::Beyond);
    }
}
