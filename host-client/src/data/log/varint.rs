//! SQLite's variable-length numbers: seven bits a byte, high ones first, the
//! ninth byte whole.

/// Adds a number.
pub(super) fn put(buffer: &mut Vec<u8>, number: u64) {
    if number > 0x00FF_FFFF_FFFF_FFFF {
        for shift in (0..8).rev() {
            buffer.push(low_byte(number >> (8 + 7 * shift)) | 0x80);
        }
        buffer.push(low_byte_whole(number));
        return;
    }
    let bits = 64 - number.leading_zeros();
    let groups = bits.div_ceil(7).max(1);
    for group in (1..groups).rev() {
        buffer.push(low_byte(number >> (7 * group)) | 0x80);
    }
    buffer.push(low_byte(number));
}

/// Takes a number from the beginning of `bytes`.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for index in 0..9 {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        if index == 8 {
            return Some(number << 8 | u64::from(*first));
        }
        number = number << 7 | u64::from(first & 0x7F);
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

const fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7F
}

const fn low_byte_whole(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>(), shift in 0_u32..64) {
            let number = number >> shift;
            let mut buffer = Vec::new();
            put(&mut buffer, number);
            let mut rest = buffer.as_slice();
            prop_assert_eq!(take(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }
    }
}
