use bytes::Bytes;

/// An upload in `aws-chunked` encoding, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Upload {
    pub(crate) data: Bytes,
    /// Trailing headers, names in lower case.
    pub(crate) trailers: Vec<(String, String)>,
}

/// Decodes `aws-chunked`: sizes in hexadecimal with optional `;chunk-signature=...`, then trailers.
/// `None` if the body ends early or a size is no number.
pub(crate) fn decode(body: &[u8]) -> Option<Upload> {
    let mut rest = body;
    let mut data = Vec::with_capacity(body.len());
    loop {
        let (line, after) = split_line(rest)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            rest = after;
            break;
        }
        let (chunk, after) = after.split_at_checked(size)?;
        data.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Some(Upload {
        data: data.into(),
        trailers,
    })
}

fn split_line(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = data.split_at_checked(end)?;
    Some((std::str::from_utf8(line).ok()?, rest.get(2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_join_and_trailers_are_read() {
        let upload = decode(b"3;chunk-signature=00\r\nabc\r\n2\r\nde\r\n0\r\nX-Amz-Checksum-Crc32: AAAAAA==\r\n\r\n");
        let upload = upload.expect("a whole upload");
        assert_eq!(upload.data, "abcde");
        assert_eq!(
            upload.trailers,
            [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())]
        );
        assert_eq!(decode(b"5\r\nab"), None);
        assert_eq!(decode(b"zz\r\n"), None);
    }
}
