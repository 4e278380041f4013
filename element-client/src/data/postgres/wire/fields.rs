//! The fields of a message, one after the other.

/// A message that is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::data::postgres) struct Malformed(pub(in crate::data::postgres) &'static str);

/// What is left of a message.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(Malformed("a message ends within a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes(N)?;
        bytes
            .try_into()
            .map_err(|_| Malformed("a message ends within a field"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A text that ends with a zero byte.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or(Malformed("a text in a message has no end"))?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        let text = std::str::from_utf8(text);
        text.map(str::to_owned)
            .map_err(|_| Malformed("a text in a message is not UTF-8"))
    }

    /// A value with its length before it; −1 is none.
    pub(super) fn value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length)
                    .map_err(|_| Malformed("a value in a message has a negative length"))?;
                self.bytes(length).map(Some)
            }
        }
    }

    /// As many as a count before them says.
    pub(super) fn several<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        // The count alone makes nobody set room aside.
        let count = self.u16()?;
        (0..count).map(|_| read(self)).collect()
    }

    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Malformed("a message has more bytes than its fields"))
    }
}
