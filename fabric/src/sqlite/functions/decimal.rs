//! Exact decimal numbers with PostgreSQL's rules about scale.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::scalar::Failure;

/// The most digits before the point, and after it.
const DIGITS_MAX: usize = 1_000;

/// PostgreSQL divides to at least so many significant digits.
const QUOTIENT_DIGITS_MIN: i64 = 16;

/// PostgreSQL reckons in groups of so many digits.
const GROUP: i64 = 4;

/// A decimal number: `unscaled` / 10^`scale`. The scale is what is shown after
/// the point; 1.0 and 1.00 are equal, and shown apart.
#[derive(Debug, Clone)]
pub struct Decimal {
    unscaled: BigInt,
    scale: u32,
}

impl Decimal {
    /// Reads digits with an optional sign, point and exponent; `None` where it
    /// is no number or has more than a thousand digits on one side of its point.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_parse(exponent)?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes().first()? {
            b'-' => (true, &mantissa[1..]),
            b'+' => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        if whole.len() + fraction.len() > 2 * DIGITS_MAX {
            return None;
        }
        let joined = format!("{whole}{fraction}");
        let mut unscaled = BigInt::parse_bytes(joined.as_bytes(), 10)?;
        if negative {
            unscaled = -unscaled;
        }
        let scale = i64::try_from(fraction.len()).ok()? - exponent;
        if scale < 0 {
            unscaled *= power_of_ten(u32::try_from(-scale).ok()?);
        }
        let number = Self {
            unscaled,
            scale: u32::try_from(scale.max(0)).ok()?,
        };
        number.bounded().ok()
    }

    /// A whole number.
    pub fn from_integer(number: i64) -> Self {
        Self {
            unscaled: BigInt::from(number),
            scale: 0,
        }
    }

    /// Digits after the point.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.unscaled.sign() == Sign::NoSign
    }

    /// Minus one, zero or one.
    pub(super) fn sign(&self) -> i64 {
        match self.unscaled.sign() {
            Sign::Minus => -1,
            Sign::NoSign => 0,
            Sign::Plus => 1,
        }
    }

    pub(super) fn negated(&self) -> Self {
        Self {
            unscaled: -&self.unscaled,
            scale: self.scale,
        }
    }

    pub(super) fn sum(&self, other: &Self) -> Result<Self, Failure> {
        let (left, right, scale) = self.aligned(other);
        Self {
            unscaled: left + right,
            scale,
        }
        .bounded()
    }

    pub(super) fn difference(&self, other: &Self) -> Result<Self, Failure> {
        self.sum(&other.negated())
    }

    pub(super) fn product(&self, other: &Self) -> Result<Self, Failure> {
        let scale = self.scale + other.scale;
        let exact = Self {
            unscaled: &self.unscaled * &other.unscaled,
            scale,
        };
        exact.rounded(i64::from(scale.min(1_000))).bounded()
    }

    /// Divided to the scale that PostgreSQL chooses, rounded half away from zero.
    pub(super) fn quotient(&self, other: &Self) -> Result<Self, Failure> {
        if other.is_zero() {
            return Err(Failure::division_by_zero());
        }
        let scale = self.quotient_scale(other);
        // One digit more than asked decides nothing by itself: the division is
        // of whole numbers, and the remainder tells the direction.
        let shift = i64::from(scale) + i64::from(other.scale) - i64::from(self.scale);
        let (mut above, mut below) = (self.unscaled.clone(), other.unscaled.clone());
        if shift >= 0 {
            above *= power_of_ten(u32::try_from(shift).unwrap_or(u32::MAX));
        } else {
            below *= power_of_ten(u32::try_from(-shift).unwrap_or(u32::MAX));
        }
        Self {
            unscaled: divided_half_away(&above, &below),
            scale,
        }
        .bounded()
    }

    /// What is left of a division without fraction; the sign is the dividend's.
    pub(super) fn remainder(&self, other: &Self) -> Result<Self, Failure> {
        if other.is_zero() {
            return Err(Failure::division_by_zero());
        }
        let (left, right, scale) = self.aligned(other);
        Ok(Self {
            unscaled: left % right,
            scale,
        })
    }

    /// Rounded half away from zero to so many digits after the point; negative
    /// counts digits before it.
    pub(super) fn rounded(&self, digits: i64) -> Self {
        self.shortened(digits, divided_half_away)
    }

    /// Cut off after so many digits.
    pub(super) fn truncated(&self, digits: i64) -> Self {
        self.shortened(digits, |above, below| above / below)
    }

    /// The next whole number below (`up` is false) or above.
    pub(super) fn whole(&self, up: bool) -> Self {
        let cut = self.truncated(0);
        let exact = cut.compare(self) == Ordering::Equal;
        let step = match (exact, up, self.sign()) {
            (false, true, 1) => 1,
            (false, false, -1) => -1,
            _ => return cut,
        };
        Self {
            unscaled: cut.unscaled + step,
            scale: 0,
        }
    }

    fn shortened(&self, digits: i64, divide: impl Fn(&BigInt, &BigInt) -> BigInt) -> Self {
        let digits = digits.clamp(-2_000, 2_000);
        let scale = u32::try_from(digits.max(0)).unwrap_or(0);
        let drop = i64::from(self.scale) - digits;
        if drop <= 0 {
            let more = u32::try_from(-drop).unwrap_or(0);
            return Self {
                unscaled: &self.unscaled * power_of_ten(more),
                scale,
            };
        }
        let below = power_of_ten(u32::try_from(drop).unwrap_or(0));
        let mut unscaled = divide(&self.unscaled, &below);
        if digits < 0 {
            unscaled *= power_of_ten(u32::try_from(-digits).unwrap_or(0));
        }
        Self { unscaled, scale }
    }

    /// Fitted into `numeric(precision, scale)`: rounded, and refused if it has
    /// too many digits before the point.
    pub fn fitted(&self, precision: u32, scale: u32) -> Result<Self, Failure> {
        let fitted = self.rounded(i64::from(scale));
        if fitted.unscaled.magnitude() >= power_of_ten(precision.min(2_000)).magnitude() {
            return Err(Failure::new("22003", "numeric field overflow"));
        }
        Ok(fitted)
    }

    /// The whole number it rounds to, if 64 bits hold it.
    pub fn to_integer(&self) -> Option<i64> {
        i64::try_from(&self.rounded(0).unscaled).ok()
    }

    /// By value: 1.0 equals 1.00.
    pub fn compare(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.unscaled.cmp(&other.unscaled);
        }
        let (left, right, _) = self.aligned(other);
        left.cmp(&right)
    }

    fn aligned(&self, other: &Self) -> (BigInt, BigInt, u32) {
        let scale = self.scale.max(other.scale);
        let left = &self.unscaled * power_of_ten(scale - self.scale);
        let right = &other.unscaled * power_of_ten(scale - other.scale);
        (left, right, scale)
    }

    fn bounded(self) -> Result<Self, Failure> {
        let digits = decimal_digits(&self.unscaled);
        let most = u64::try_from(DIGITS_MAX).unwrap_or(u64::MAX);
        if digits > most + u64::from(self.scale) || u64::from(self.scale) > most {
            return Err(Failure::new("22003", "value overflows numeric format"));
        }
        Ok(self)
    }

    fn quotient_scale(&self, other: &Self) -> u32 {
        let (weight, first) = self.leading_group();
        let (other_weight, other_first) = other.leading_group();
        let mut quotient_weight = weight - other_weight;
        if first <= other_first {
            quotient_weight -= 1;
        }
        let wanted = QUOTIENT_DIGITS_MIN - quotient_weight * GROUP;
        let scale = wanted
            .max(i64::from(self.scale))
            .max(i64::from(other.scale));
        u32::try_from(scale.clamp(0, 1_000)).unwrap_or(0)
    }

    /// The position of the first group of four digits that is not zero, counted
    /// from the point, and its value; (0, 0) for zero.
    fn leading_group(&self) -> (i64, i64) {
        if self.is_zero() {
            return (0, 0);
        }
        let digits = self.unscaled.magnitude().to_string();
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let top = length - i64::from(self.scale) - 1;
        let weight = top.div_euclid(GROUP);
        let taken = usize::try_from(top.rem_euclid(GROUP) + 1).unwrap_or(1);
        let mut first: i64 = digits[..taken.min(digits.len())].parse().unwrap_or(0);
        for _ in digits.len()..taken {
            first *= 10;
        }
        (weight, first)
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = self.unscaled.magnitude().to_string();
        if self.sign() < 0 {
            formatter.write_str("-")?;
        }
        let scale = self.scale as usize;
        if scale == 0 {
            return formatter.write_str(&digits);
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(formatter, "{whole}.{fraction}")
    }
}

fn exponent_parse(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = text.parse().ok()?;
    let most = i64::try_from(DIGITS_MAX).ok()?;
    (-most..=most).contains(&exponent).then_some(exponent)
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

fn decimal_digits(number: &BigInt) -> u64 {
    // A bit is 0.30103 of a digit: close enough at a bound of a thousand.
    number.bits().saturating_mul(30_103) / 100_000
}

fn divided_half_away(above: &BigInt, below: &BigInt) -> BigInt {
    let quotient = above / below;
    let remainder: BigInt = above % below;
    if BigInt::from(remainder.magnitude().clone()) * 2 < BigInt::from(below.magnitude().clone()) {
        return quotient;
    }
    let away = if (above.sign() == Sign::Minus) == (below.sign() == Sign::Minus) {
        1
    } else {
        -1
    };
    quotient + away
}

/// Compares canonical numerics by value; what is none sorts behind, by bytes, so
/// that the order stays total whatever a file holds.
pub(super) fn compare_texts(left: &str, right: &str) -> Ordering {
    match (Decimal::parse(left), Decimal::parse(right)) {
        (Some(left), Some(right)) => left.compare(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}
