use crate::wire::encode_base64;

/// The checksum that an `x-amz-checksum-...` header names, base64 as S3 writes it; `None` if we cannot compute it.
pub(crate) fn compute(algorithm: &str, data: &[u8]) -> Option<String> {
    Some(match algorithm {
        "crc32" => {
            let mut crc = flate2::Crc::new();
            crc.update(data);
            encode_base64(&crc.sum().to_be_bytes())
        }
        "crc32c" => encode_base64(&reflected(data, 0x82f6_3b78, 32).to_be_bytes()[4..]),
        "crc64nvme" => encode_base64(&reflected(data, 0x9a6c_9329_ac4b_c9b5, 64).to_be_bytes()),
        _ => return None,
    })
}

/// A reflected CRC, with all ones before and after, by a table made on the spot.
fn reflected(data: &[u8], polynomial: u64, bits: u32) -> u64 {
    let ones = u64::MAX >> (64 - bits);
    let table: Vec<u64> = (0..256u64)
        .map(|byte| {
            (0..8).fold(byte, |crc, _| {
                if crc & 1 == 1 {
                    (crc >> 1) ^ polynomial
                } else {
                    crc >> 1
                }
            })
        })
        .collect();
    let crc = data.iter().fold(ones, |crc, byte| {
        let index = (crc ^ u64::from(*byte)) & 0xff;
        table.get(index as usize).copied().unwrap_or(0) ^ (crc >> 8)
    });
    crc ^ ones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_crc_catalogue() {
        let data = b"123456789";
        assert_eq!(reflected(data, 0x82f6_3b78, 32), 0xe306_9283);
        assert_eq!(
            reflected(data, 0x9a6c_9329_ac4b_c9b5, 64),
            0xae8b_1486_0a79_9888
        );
        assert_eq!(compute("crc32", data).as_deref(), Some("y/Q5Jg=="));
        assert_eq!(compute("sha256", data), None);
    }
}
