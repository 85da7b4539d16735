//! A TLS server whose certificate holds an RSA key of 1,024 bits. Libraries refuse to sign with one, so this does it by
//! hand: PKCS #1 v1.5 with SHA-256, which only TLS 1.2 uses.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// 64-bit digits, the lowest first.
type Number = [u64; 16];

#[derive(Clone, Copy, Debug)]
struct WeakKey {
    modulus: Number,
    exponent: Number,
}

pub(crate) fn server_config() -> ServerConfig {
    let certificate = include_str!("../testdata/tls/rsa1024.pem");
    let mut numbers = include_str!("../testdata/tls/rsa1024.txt").lines();
    let mut number = || from_hex(numbers.next().unwrap());
    let key = WeakKey {
        modulus: number(),
        exponent: number(),
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let identity = SingleCertAndKey::from(CertifiedKey::new(chain, Arc::new(key)));
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity))
}

impl SigningKey for WeakKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::RSA_PKCS1_SHA256)
            .then(|| Box::new(*self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for WeakKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let hash = suite.common.hash_provider.hash(message);
        // RFC 8017, section 9.2: the DER prefix of a SHA-256 digest, padded to the length of the key.
        let prefix = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        let mut padded = vec![0, 1];
        padded.resize(128 - 1 - prefix.len() - hash.as_ref().len(), 0xff);
        padded.push(0);
        padded.extend(prefix);
        padded.extend(hash.as_ref());
        let digest = from_bytes(&padded);
        let signature = power(digest, &self.exponent, &self.modulus);
        let mut public = [0; 16];
        public[0] = 65_537;
        assert_eq!(
            power(signature, &public, &self.modulus),
            digest,
            "the signature is good: only the length of the key is wrong"
        );
        let bytes = signature.iter().rev().flat_map(|digit| digit.to_be_bytes());
        Ok(bytes.collect())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PKCS1_SHA256
    }
}

fn from_bytes(bytes: &[u8]) -> Number {
    let mut number = [0; 16];
    for (digit, bytes) in number.iter_mut().rev().zip(bytes.chunks(8)) {
        *digit = u64::from_be_bytes(bytes.try_into().unwrap());
    }
    number
}

fn from_hex(text: &str) -> Number {
    let mut number = [0; 16];
    for (index, digit) in number.iter_mut().rev().enumerate() {
        *digit = u64::from_str_radix(&text[index * 16..][..16], 16).unwrap();
    }
    number
}

/// Square and multiply, on Montgomery's form of the numbers.
fn power(base: Number, exponent: &Number, modulus: &Number) -> Number {
    let mut one = [0; 16];
    one[0] = 1;
    let shifted = |bits| (0..bits).fold(one, |number, _| add(&number, &number, modulus));
    let base = multiply(&base, &shifted(2048), modulus);
    let mut result = shifted(1024);
    for bit in (0..1024).rev() {
        result = multiply(&result, &result, modulus);
        if exponent[bit / 64] >> (bit % 64) & 1 == 1 {
            result = multiply(&result, &base, modulus);
        }
    }
    multiply(&result, &one, modulus)
}

/// `a * b / 2^1024` modulo `modulus`.
fn multiply(a: &Number, b: &Number, modulus: &Number) -> Number {
    // Newton: each round doubles the digits of the inverse that are right.
    let inverse = (0..6).fold(1_u64, |x, _| {
        x.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(x)))
    });
    let mut sum = [0; 16];
    let mut top = 0;
    for digit in b {
        let high = accumulate(&mut sum, a, *digit);
        let (high, over) = high.overflowing_add(top);
        let low = sum[0].wrapping_mul(inverse.wrapping_neg());
        let carry = accumulate(&mut sum, modulus, low);
        // The lowest digit is 0 now.
        sum.rotate_left(1);
        let (high, again) = high.overflowing_add(carry);
        sum[15] = high;
        top = u64::from(over) + u64::from(again);
    }
    reduce(sum, top > 0, modulus)
}

/// Adds `factor * digit` to `sum` and returns what is carried.
fn accumulate(sum: &mut Number, factor: &Number, digit: u64) -> u64 {
    let mut carry = 0;
    for (sum, factor) in sum.iter_mut().zip(factor) {
        let total = u128::from(*sum) + u128::from(*factor) * u128::from(digit) + carry;
        *sum = total as u64;
        carry = total >> 64;
    }
    carry as u64
}

/// `a + b` modulo `modulus`; both are below it.
fn add(a: &Number, b: &Number, modulus: &Number) -> Number {
    let mut sum = *a;
    let carry = accumulate(&mut sum, b, 1);
    reduce(sum, carry > 0, modulus)
}

/// Subtracts `modulus` once if `number`, which may be longer by one bit, is not below it.
fn reduce(mut number: Number, carry: bool, modulus: &Number) -> Number {
    if !carry && number.iter().rev().lt(modulus.iter().rev()) {
        return number;
    }
    let mut borrow = false;
    for (digit, modulus) in number.iter_mut().zip(modulus) {
        let (partial, first) = digit.overflowing_sub(*modulus);
        let (total, second) = partial.overflowing_sub(u64::from(borrow));
        *digit = total;
        borrow = first || second;
    }
    number
}
