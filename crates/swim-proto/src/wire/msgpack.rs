//! The part of `MessagePack` that membership uses: maps with text keys, integers, booleans and byte
//! strings. Strings and byte strings are one family here, as in the format's first version, because
//! Go's encoder writes both that way; the later families (str 8, bin) are read as well.

use crate::wire::Fault;

/// Values that may be skipped inside one unknown field.
const MAX_SKIPPED: usize = 1024;

/// A cursor over encoded values.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads a map whose known fields `field` takes; it answers false for a key it does not know.
    pub(crate) fn map(
        &mut self,
        mut field: impl FnMut(&[u8], &mut Self) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let count = match self.byte()? {
            marker @ 0x80..=0x8f => usize::from(marker & 0x0f),
            0xde => usize::from(u16::from_be_bytes(self.array()?)),
            _ => return Err(Fault::Malformed),
        };
        if count > MAX_SKIPPED {
            return Err(Fault::Malformed);
        }
        for _ in 0..count {
            let key = self.bytes()?;
            if !field(key, self)? {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// An integer of any width; nil is zero.
    pub(crate) fn int(&mut self) -> Result<i64, Fault> {
        Ok(match self.byte()? {
            marker @ 0..=0x7f => i64::from(marker),
            0xc0 => 0,
            0xcc => i64::from(self.byte()?),
            0xcd => i64::from(u16::from_be_bytes(self.array()?)),
            0xce => i64::from(u32::from_be_bytes(self.array()?)),
            0xcf => {
                let value = u64::from_be_bytes(self.array()?);
                i64::try_from(value).map_err(|_| Fault::Malformed)?
            }
            0xd0 => i64::from(i8::from_be_bytes(self.array()?)),
            0xd1 => i64::from(i16::from_be_bytes(self.array()?)),
            0xd2 => i64::from(i32::from_be_bytes(self.array()?)),
            0xd3 => i64::from_be_bytes(self.array()?),
            marker @ 0xe0..=0xff => i64::from(i8::from_be_bytes([marker])),
            _ => return Err(Fault::Malformed),
        })
    }

    /// An integer that must fit `T`.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Fault> {
        T::try_from(self.int()?).map_err(|_| Fault::Malformed)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0xc2 | 0xc0 => Ok(false),
            0xc3 => Ok(true),
            _ => Err(Fault::Malformed),
        }
    }

    /// A byte string of any family; nil is empty.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = match self.byte()? {
            0xc0 => 0,
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 | 0xc4 => usize::from(self.byte()?),
            0xda | 0xc5 => usize::from(u16::from_be_bytes(self.array()?)),
            0xdb | 0xc6 => length(u32::from_be_bytes(self.array()?))?,
            _ => return Err(Fault::Malformed),
        };
        self.take(length)
    }

    /// Exactly `count` bytes that are no value.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Fault::Short(count - self.rest.len())),
        }
    }

    /// Passes over one value, whatever it is.
    fn skip(&mut self) -> Result<(), Fault> {
        let (mut open, mut seen) = (1_usize, 0_usize);
        while open > 0 {
            open -= 1;
            seen += 1;
            if seen > MAX_SKIPPED {
                return Err(Fault::Malformed);
            }
            let (payload, inner) = match self.byte()? {
                0..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (0, 0),
                marker @ 0x80..=0x8f => (0, 2 * usize::from(marker & 0x0f)),
                marker @ 0x90..=0x9f => (0, usize::from(marker & 0x0f)),
                marker @ 0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
                0xcc | 0xd0 => (1, 0),
                0xcd | 0xd1 => (2, 0),
                0xca | 0xce | 0xd2 => (4, 0),
                0xcb | 0xcf | 0xd3 => (8, 0),
                0xd9 | 0xc4 => (usize::from(self.byte()?), 0),
                0xda | 0xc5 => (usize::from(u16::from_be_bytes(self.array()?)), 0),
                0xdb | 0xc6 => (length(u32::from_be_bytes(self.array()?))?, 0),
                0xdc => (0, usize::from(u16::from_be_bytes(self.array()?))),
                0xde => (0, 2 * usize::from(u16::from_be_bytes(self.array()?))),
                _ => return Err(Fault::Malformed),
            };
            self.take(payload)?;
            open += inner;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        match self.rest.split_first_chunk() {
            Some((first, rest)) => {
                self.rest = rest;
                Ok(*first)
            }
            None => Err(Fault::Short(N - self.rest.len())),
        }
    }
}

fn length(value: u32) -> Result<usize, Fault> {
    usize::try_from(value).map_err(|_| Fault::Malformed)
}

/// Writes as Go's encoder does: keys are given in alphabetical order by the caller, unsigned fields
/// take the narrowest unsigned form, signed ones the narrowest signed form, text is raw.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Starts a map of at most 15 fields.
    pub(crate) fn map(out: &'a mut Vec<u8>, fields: u8) -> Self {
        out.push(0x80 | (fields & 0x0f));
        Self { out }
    }

    pub(crate) fn unsigned(&mut self, key: &str, value: u32) -> &mut Self {
        self.raw(key.as_bytes());
        match (u8::try_from(value), u16::try_from(value)) {
            (Ok(small @ 0..=0x7f), _) => self.out.push(small),
            (Ok(byte), _) => self.out.extend([0xcc, byte]),
            (_, Ok(word)) => {
                self.out.push(0xcd);
                self.out.extend(word.to_be_bytes());
            }
            _ => {
                self.out.push(0xce);
                self.out.extend(value.to_be_bytes());
            }
        }
        self
    }

    /// A signed field that is never negative.
    pub(crate) fn signed(&mut self, key: &str, value: i32) -> &mut Self {
        self.raw(key.as_bytes());
        match (u8::try_from(value), i16::try_from(value)) {
            (Ok(small @ 0..=0x7f), _) => self.out.push(small),
            (_, Ok(word)) => {
                self.out.push(0xd1);
                self.out.extend(word.to_be_bytes());
            }
            _ => {
                self.out.push(0xd2);
                self.out.extend(value.to_be_bytes());
            }
        }
        self
    }

    pub(crate) fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key.as_bytes());
        self.out.push(if value { 0xc3 } else { 0xc2 });
        self
    }

    /// A byte string; empty is nil, as Go writes an unset slice.
    pub(crate) fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        self.raw(key.as_bytes());
        if value.is_empty() {
            self.out.push(0xc0);
        } else {
            self.raw(value);
        }
        self
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.raw(key.as_bytes());
        self.raw(value.as_bytes());
        self
    }

    fn raw(&mut self, value: &[u8]) {
        match (u8::try_from(value.len()), u16::try_from(value.len())) {
            (Ok(short @ 0..=0x1f), _) => self.out.push(0xa0 | short),
            (_, Ok(word)) => {
                self.out.push(0xda);
                self.out.extend(word.to_be_bytes());
            }
            // Nothing that is sent comes near four gigabytes.
            _ => {
                self.out.push(0xdb);
                self.out.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
        self.out.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Reader;
    use crate::wire::Fault;

    #[rstest]
    #[case::fix(&[0x05], Ok(5))]
    #[case::nil(&[0xc0], Ok(0))]
    #[case::uint8(&[0xcc, 200], Ok(200))]
    #[case::uint64_too_large(&[0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0], Err(Fault::Malformed))]
    #[case::int8(&[0xd0, 0xff], Ok(-1))]
    #[case::int16(&[0xd1, 0x00, 0xc8], Ok(200))]
    #[case::negative_fix(&[0xff], Ok(-1))]
    #[case::short(&[0xce, 0, 0], Err(Fault::Short(2)))]
    #[case::text(&[0xa1, b'5'], Err(Fault::Malformed))]
    fn integers_of_any_width(#[case] bytes: &[u8], #[case] wanted: Result<i64, Fault>) {
        assert_eq!(Reader::new(bytes).int(), wanted);
    }

    #[rstest]
    #[case::fix(&[0xa1, 1], Ok(&[1][..]))]
    #[case::raw16(&[0xda, 0, 1, 1], Ok(&[1][..]))]
    #[case::str8(&[0xd9, 1, 1], Ok(&[1][..]))]
    #[case::bin8(&[0xc4, 1, 1], Ok(&[1][..]))]
    #[case::bin32(&[0xc6, 0, 0, 0, 1, 1], Ok(&[1][..]))]
    #[case::nil(&[0xc0], Ok(&[][..]))]
    #[case::four_gigabytes(&[0xdb, 0xff, 0xff, 0xff, 0xff], Err(Fault::Short(0xffff_ffff)))]
    fn byte_strings_of_any_family(#[case] bytes: &[u8], #[case] wanted: Result<&[u8], Fault>) {
        assert_eq!(Reader::new(bytes).bytes(), wanted);
    }

    #[rstest]
    #[case::nested(&[0x81, 0xa1, b'x', 0x92, 0x81, 0xa0, 0xc4, 1, 0, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0], Ok(()))]
    #[case::a_bomb_of_arrays(&[0x81, 0xa1, b'x', 0xdc, 0xff, 0xff], Err(Fault::Short(1)))]
    #[case::never_used(&[0x81, 0xa1, b'x', 0xc1], Err(Fault::Malformed))]
    fn unknown_fields_are_skipped(#[case] bytes: &[u8], #[case] wanted: Result<(), Fault>) {
        assert_eq!(Reader::new(bytes).map(|_, _| Ok(false)), wanted);
    }

    #[test]
    fn skipping_is_bounded() {
        let mut bytes = vec![0x81, 0xa1, b'x', 0xdc, 0xff, 0xff];
        bytes.resize(6 + 0xffff, 0);
        assert_eq!(Reader::new(&bytes).map(|_, _| Ok(false)), Err(Fault::Malformed));
    }
}
