//! Numbers and byte strings of a header.

/// Why a field could not be read: always that the header is too short or a number too large.
pub(crate) type Field<T> = Result<T, &'static str>;

const TOO_SHORT: &str = "a field reaches over its end";

/// Reads fields one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes not yet read.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(&mut self, count: u64) -> Field<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| TOO_SHORT)?;
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Field<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(TOO_SHORT)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn u32(&mut self) -> Field<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Field<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn digest(&mut self) -> Field<[u8; 32]> {
        self.array()
    }

    /// A number of variable length: seven bits a byte, the lowest first; the highest bit says that more follow
    /// (RAR 5.0 technote, "vint"). Leading zeros are allowed, as `rar` reserves room with them.
    pub(crate) fn vint(&mut self) -> Field<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err("a number has more than 64 bits");
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number has more than ten bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        for (bytes, value) in [
            (&[0u8][..], 0),
            (&[0x7f], 127),
            (&[0x80, 1], 128),
            (&[0x80, 0x80, 0], 0),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], u64::MAX),
        ] {
            assert_eq!(Fields::new(bytes).vint(), Ok(value));
        }
        assert!(Fields::new(&[0xff; 10]).vint().is_err());
        assert!(Fields::new(&[0x80; 11]).vint().is_err());
        assert!(Fields::new(&[0x80]).vint().is_err());
        assert!(Fields::new(&[]).vint().is_err());
    }

    #[test]
    fn nothing_is_read_over_the_end() {
        let mut fields = Fields::new(&[1, 2, 3, 4, 5]);
        assert_eq!(fields.u32(), Ok(0x0403_0201));
        assert!(fields.u32().is_err());
        assert_eq!(fields.bytes(1), Ok(&[5][..]));
        assert!(fields.bytes(u64::MAX).is_err());
    }
}
