use crate::error::Error;

/// Decodes base64 in the standard alphabet, with or without padding, into `out`, which is emptied first.
///
/// White space at the end is ignored; anything else that does not belong is an error with its offset.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.clear();
    let text = text.trim_ascii_end();
    let unpadded = text
        .strip_suffix(b"=")
        .map_or(text, |text| text.strip_suffix(b"=").unwrap_or(text));
    let padded = unpadded.len() != text.len();
    if unpadded.len() % 4 == 1 || (padded && !text.len().is_multiple_of(4)) {
        return Err(Error::Base64 {
            at: first_foreign(unpadded).unwrap_or(text.len()),
        });
    }
    out.reserve(unpadded.len() / 4 * 3 + 2);
    let quads = unpadded.chunks_exact(4);
    let tail = quads.remainder();
    for quad in quads {
        let bits = quad.iter().fold(0, |bits, digit| bits << 6 | value(*digit));
        if bits & FOREIGN != 0 {
            return Err(Error::Base64 {
                at: first_foreign(unpadded).unwrap_or_default(),
            });
        }
        let [_, first, second, third] = (bits as u32).to_be_bytes();
        out.extend_from_slice(&[first, second, third]);
    }
    let bits = tail.iter().fold(0, |bits, digit| bits << 6 | value(*digit));
    if bits & FOREIGN != 0 {
        return Err(Error::Base64 {
            at: first_foreign(unpadded).unwrap_or_default(),
        });
    }
    // Two digits carry one byte, three carry two; the bits left over should be zero and are ignored.
    match tail.len() {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
    Ok(())
}

fn first_foreign(text: &[u8]) -> Option<usize> {
    text.iter().position(|digit| value(*digit) & FOREIGN != 0)
}

/// Returns the six bits of a digit, or bits far above for a byte that is none: they survive shifting and show up once
/// per group.
#[inline]
fn value(digit: u8) -> u64 {
    VALUES
        .get(usize::from(digit))
        .copied()
        .map_or(
            FOREIGN,
            |value| if value == NONE { FOREIGN } else { value.into() },
        )
}

/// Any of these bits is set in a group that holds a foreign byte, wherever it stood in the group.
const FOREIGN: u64 = 0xffff_ffff << 32;
const NONE: u8 = 0xff;

const VALUES: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < alphabet.len() {
        values[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[u8], usize>) {
        let mut out = b"old".to_vec();
        let found = decode(text.as_bytes(), &mut out);
        match expected {
            Ok(bytes) => assert_eq!((found, out.as_slice()), (Ok(()), bytes), "{text:?}"),
            Err(at) => assert_eq!(found, Err(Error::Base64 { at }), "{text:?}"),
        }
    }

    #[test]
    fn standard_alphabet_decodes_with_and_without_padding() {
        // RFC 4648, section 10.
        check("", Ok(b""));
        check("Zg==", Ok(b"f"));
        check("Zg", Ok(b"f"));
        check("Zm8=", Ok(b"fo"));
        check("Zm8", Ok(b"fo"));
        check("Zm9v", Ok(b"foo"));
        check("Zm9vYg==", Ok(b"foob"));
        check("Zm9vYmE=", Ok(b"fooba"));
        check("Zm9vYmFy\n", Ok(b"foobar"));
        check("+/+/", Ok(&[0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn foreign_bytes_are_reported_where_they_stand() {
        check("Zm9v-mFy", Err(4));
        check("Zm_v", Err(2));
        check("Zm9v\nYmFy", Err(4));
        check("Zm9vY", Err(5));
        check("Zm9=YmFy", Err(3));
        check("Zg=", Err(3));
        check("Z===", Err(1));
        check("=", Err(1));
        check("*", Err(0));
        check("Zm9vY*", Err(5));
    }
}
