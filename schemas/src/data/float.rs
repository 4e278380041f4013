//! Floating point values with an equality that tells them apart.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

macro_rules! float {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        ///
        /// Equal is what has the same bits: −0 is not 0, and NaN (there is one) is
        /// itself. In JSON it is a text, since JSON knows neither.
        #[derive(Clone, Copy, Debug)]
        pub struct $name($inner);

        impl $name {
            /// Any value; each NaN becomes the same one.
            pub const fn new(value: $inner) -> Self {
                if value.is_nan() {
                    return Self(<$inner>::NAN);
                }
                Self(value)
            }

            /// The value.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.to_bits() == other.0.to_bits()
            }
        }

        impl Eq for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    value if value == <$inner>::INFINITY => f.write_str("Infinity"),
                    value if value == <$inner>::NEG_INFINITY => f.write_str("-Infinity"),
                    value => write!(f, "{value:?}"),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    return text.parse().map(Self::new).map_err(D::Error::custom);
                }
                <$inner>::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

float! {
    /// A `float4`.
    Float4, f32
}
float! {
    /// A `float8`.
    Float8, f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extremes_travel_as_json() {
        for value in [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
            5e-324,
        ] {
            let json = serde_json::to_string(&Float8::new(value)).unwrap();
            let back: Float8 = serde_json::from_str(&json).unwrap();
            assert_eq!(back, Float8::new(value), "{json}");
        }
        assert_ne!(Float8::new(0.0), Float8::new(-0.0));
    }

    proptest! {
        #[test]
        fn every_float_travels_as_json(value in any::<f64>(), small in any::<f32>()) {
            let json = serde_json::to_string(&(Float8::new(value), Float4::new(small))).unwrap();
            let back: (Float8, Float4) = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(back, (Float8::new(value), Float4::new(small)));
        }
    }
}
