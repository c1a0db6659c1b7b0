//! The token library joined to ring.
//!
//! The `jsonwebtoken` crate brings no ring backend but takes one from outside; this one only delegates. HMAC is
//! refused here already, so that no configuration can make a public key a shared secret.
//!
//! *Invariant:* every signature in either server is made and checked by the same library that does their TLS.
//!
//! Spec: RFC 7515, RFC 7518 §3, RFC 8037.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the provider for tokens and for TLS in this process. Call it first in every main; later calls do
/// nothing.
pub fn install() {
    // Both report that somebody was first; within this workspace that can only have been this function.
    let _ = PROVIDER.install_default();
    let _ = rustls::crypto::ring::default_provider().install_default();
}

enum KeyPair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
}

struct RingSigner {
    algorithm: Algorithm,
    key: KeyPair,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library's signature")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let bytes = key.as_bytes();
    let rsa = |encoding| {
        let pair =
            RsaKeyPair::from_der(bytes).map_err(|error| ErrorKind::InvalidRsaKey(error.to_string()))?;
        Ok::<_, Error>(KeyPair::Rsa(pair, encoding))
    };
    let ecdsa = |curve| {
        let pair = EcdsaKeyPair::from_pkcs8(curve, bytes, &SystemRandom::new());
        Ok::<_, Error>(KeyPair::Ecdsa(pair.map_err(|_| ErrorKind::InvalidEcdsaKey)?))
    };
    require_family(*algorithm, key.family())?;
    let key = match algorithm {
        Algorithm::ES256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?,
        Algorithm::ES384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?,
        Algorithm::RS256 => rsa(&signature::RSA_PKCS1_SHA256)?,
        Algorithm::RS384 => rsa(&signature::RSA_PKCS1_SHA384)?,
        Algorithm::RS512 => rsa(&signature::RSA_PKCS1_SHA512)?,
        Algorithm::PS256 => rsa(&signature::RSA_PSS_SHA256)?,
        Algorithm::PS384 => rsa(&signature::RSA_PSS_SHA384)?,
        Algorithm::PS512 => rsa(&signature::RSA_PSS_SHA512)?,
        Algorithm::EdDSA => KeyPair::Ed25519(
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?,
        ),
        _ => {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
    };
    Ok(Box::new(RingSigner { algorithm: *algorithm, key }))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, SignatureError> {
        let random = SystemRandom::new();
        match &self.key {
            KeyPair::Ecdsa(pair) => {
                let made = pair.sign(&random, message).map_err(|_| SignatureError::new())?;
                Ok(made.as_ref().to_vec())
            }
            KeyPair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            KeyPair::Rsa(pair, encoding) => {
                let mut made = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut made).map_err(|_| SignatureError::new())?;
                Ok(made)
            }
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library's signature")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    require_family(*algorithm, key.family())?;
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], made: &Vec<u8>) -> std::result::Result<(), SignatureError> {
        let check = |parameters: &'static dyn signature::VerificationAlgorithm| match self.key.kind() {
            DecodingKeyKind::SecretOrDer(key) => {
                UnparsedPublicKey::new(parameters, key).verify(message, made)
            }
            DecodingKeyKind::RsaModulusExponent { .. } => Err(ring::error::Unspecified),
        };
        let check_rsa = |parameters: &'static signature::RsaParameters| match self.key.kind() {
            DecodingKeyKind::SecretOrDer(key) => {
                UnparsedPublicKey::new(parameters, key).verify(message, made)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, made)
            }
        };
        let outcome = match self.algorithm {
            Algorithm::ES256 => check(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => check(&signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => check(&signature::ED25519),
            Algorithm::RS256 => check_rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => check_rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => check_rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => check_rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => check_rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => check_rsa(&signature::RSA_PSS_2048_8192_SHA512),
            _ => Err(ring::error::Unspecified),
        };
        outcome.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn require_family(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    let wanted = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => AlgorithmFamily::Rsa,
        _ => {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
    };
    if family == wanted { Ok(()) } else { Err(ErrorKind::InvalidKeyFormat.into()) }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Header, Validation};
    use ring::signature::KeyPair as _;
    use serde_json::{Value, json};

    use super::*;

    fn verifies(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
        install();
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        jsonwebtoken::decode::<Value>(token, key, &validation).is_ok()
    }

    #[test]
    fn the_published_es256_example_verifies() {
        // RFC 7515 appendix A.3.
        let key = DecodingKey::from_ec_components(
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        )
        .expect("a point");
        let token = concat!(
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        assert!(verifies(token, &key, Algorithm::ES256));
        assert!(!verifies(&token.replace("DtEh", "EtEh"), &key, Algorithm::ES256));
    }

    #[test]
    fn the_published_rs256_example_verifies() {
        // RFC 7515 appendix A.2.
        let key = DecodingKey::from_rsa_components(
            concat!(
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-",
                "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-",
                "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2et",
                "hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
            ),
            "AQAB",
        )
        .expect("a key");
        let token = concat!(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
            "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
            "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
            "cN_IoypGlUPQGe77Rw"
        );
        assert!(verifies(token, &key, Algorithm::RS256));
        assert!(!verifies(token, &key, Algorithm::RS384), "the algorithm is part of the check");
    }

    #[test]
    fn the_published_eddsa_example_verifies() {
        // RFC 8037 appendix A.4; its payload is not JSON, so the signature is checked below the claims.
        let key =
            DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("a point");
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let made = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        install();
        assert!(jsonwebtoken::crypto::verify(made, message, &key, Algorithm::EdDSA).expect("decodes"));
        assert!(!jsonwebtoken::crypto::verify(made, b"other", &key, Algorithm::EdDSA).expect("decodes"));
    }

    #[test]
    fn what_is_signed_verifies_and_hmac_is_refused() {
        install();
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .expect("a key");
        let pair =
            EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
                .expect("the same key");
        let key = EncodingKey::from_ec_der(document.as_ref());
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), &json!({"sub": "a"}), &key).expect("signs");
        assert!(verifies(&token, &DecodingKey::from_ec_der(pair.public_key().as_ref()), Algorithm::ES256));
        let shared = EncodingKey::from_secret(pair.public_key().as_ref());
        assert!(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &json!({}), &shared).is_err());
    }
}
