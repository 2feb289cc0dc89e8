//! Compression: LZW, least significant bit first, eight-bit literals (the GIF flavour).

use weezl::{BitOrder, LzwStatus, decode::Decoder, encode::Encoder};

use crate::wire::Fault;
use crate::wire::msgpack::{Reader, Writer};

/// What real states compress to is above a twentieth; anything below a hundredth is a bomb.
const MAX_RATIO: usize = 100;
/// Below this the ratio does not matter.
const HARMLESS: usize = 16 * 1024;

/// The body of a compress message; nothing if the encoder refuses.
pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let packed = Encoder::new(BitOrder::Lsb, 8).encode(bytes).ok()?;
    Writer::map(out, 2).signed("Algo", 0).bytes("Buf", &packed);
    Some(())
}

/// What the body of a compress message expands to, at most `limit` bytes.
pub(super) fn expand(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let packed = packed(&mut Reader::new(body))?;
    let limit = limit.min(HARMLESS.max(packed.len().saturating_mul(MAX_RATIO)));
    let mut decoder = Decoder::new(BitOrder::Lsb, 8);
    let mut out = Vec::new();
    let mut chunk = [0; 4096];
    let mut rest = packed;
    loop {
        let result = decoder.decode_bytes(rest, &mut chunk);
        rest = rest.get(result.consumed_in..).ok_or(Fault::Malformed)?;
        out.extend(chunk.get(..result.consumed_out).ok_or(Fault::Malformed)?);
        if out.len() > limit {
            return Err(Fault::Malformed);
        }
        match result.status {
            Ok(LzwStatus::Done) => return Ok(out),
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(_) | Err(_) => return Err(Fault::Malformed),
        }
    }
}

/// The compressed bytes in the body of a compress message.
pub(super) fn packed<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let (mut algorithm, mut packed) = (0, &[][..]);
    reader.map(|key, reader| {
        match key {
            b"Algo" => algorithm = reader.int()?,
            b"Buf" => packed = reader.bytes()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if algorithm == 0 { Ok(packed) } else { Err(Fault::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::{Fault, compress, expand};

    #[test]
    fn what_was_compressed_expands_within_the_limit_only() {
        let text: Vec<u8> = (0..20_000_u32).map(|i| i.wrapping_mul(i).to_be_bytes()[3]).collect();
        let mut body = Vec::new();
        compress(&text, &mut body).unwrap();
        assert_eq!(expand(&body, text.len()).unwrap(), text);
        assert_eq!(expand(&body, text.len() - 1), Err(Fault::Malformed));
        assert_eq!(expand(&body[..body.len() - 1], 1 << 20), Err(Fault::Short(1)));
    }

    #[test]
    fn a_bomb_is_cut_short() {
        let mut body = Vec::new();
        compress(&vec![0; 4 << 20], &mut body).unwrap();
        assert!(body.len() < (4 << 20) / 100);
        assert_eq!(expand(&body, usize::MAX), Err(Fault::Malformed));
    }
}
