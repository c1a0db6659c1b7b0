//! Tokens that are signed well and odd all the same, and what each profile makes of them.
//!
//! *Invariant:* the strict profile takes what our own token server issues; the standard one forgives only claims that
//! are missing and a long life. Nothing that is odd is taken by either.

use harness::client::{Request, uploads};
use harness::forgery;
use harness::settings::SERVICE;
use registry::http::routes::Operation;
use reqwest::Method;
use serde_json::{Value, json};
use shared::challenge::ChallengeError;

use crate::access_matrix::{Room, challenge};

/// Which profiles take a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Never,
    InStandard,
    Always,
}

type Odd = (String, String, Taken);

/// Right tokens with one time claim that is none.
fn odd_times(room: &Room, good: &Value) -> anyhow::Result<Vec<Odd>> {
    let now = good["iat"].as_i64().expect("a time");
    let mut rows = Vec::new();
    for claim in ["iat", "nbf", "exp"] {
        let right = good[claim].as_i64().unwrap_or(now);
        let odd = [
            ("negative", json!(-right)),
            ("2^63", json!(1_u64 << 63)),
            ("2^64", serde_json::from_str("18446744073709551616")?),
            ("a whole float", serde_json::from_str(&format!("{right}.0"))?),
            ("in exponent notation", serde_json::from_str("9e9")?),
            ("text", json!(right.to_string())),
            ("an array", json!([right])),
            ("an object", json!({"value": right})),
            ("true", json!(true)),
        ];
        for (name, value) in odd {
            let mut claims = good.clone();
            claims[claim] = value;
            rows.push((format!("{claim} is {name}"), room.forge.sign(&claims)?, Taken::Never));
        }
    }
    for (claim, taken) in [
        ("iat", Taken::InStandard),
        ("nbf", Taken::InStandard),
        ("jti", Taken::InStandard),
        ("exp", Taken::Never),
        ("iss", Taken::Never),
        ("aud", Taken::Never),
    ] {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(claim);
        rows.push((format!("no {claim}"), room.forge.sign(&claims)?, taken));
    }
    for (name, seconds, taken) in [
        ("an hour", 3600, Taken::Always),
        ("an hour and a second", 3601, Taken::InStandard),
        ("ten years", 10 * 365 * 86_400, Taken::InStandard),
    ] {
        let mut claims = good.clone();
        claims["exp"] = json!(now + seconds);
        rows.push((format!("a life of {name}"), room.forge.sign(&claims)?, taken));
    }
    for (name, audience, taken) in [
        ("a list with the service", json!(["another", SERVICE]), Taken::Always),
        ("a list without it", json!(["another"]), Taken::Never),
        ("an empty list", json!([]), Taken::Never),
        ("a list of other things", json!([SERVICE, 1]), Taken::Never),
        ("a longer name", json!(format!("{SERVICE}x")), Taken::Never),
        ("empty", json!(""), Taken::Never),
    ] {
        let mut claims = good.clone();
        claims["aud"] = audience;
        rows.push((format!("aud is {name}"), room.forge.sign(&claims)?, taken));
    }
    Ok(rows)
}

/// Right claims below a header that is not.
fn odd_headers(room: &Room, good: &Value) -> anyhow::Result<Vec<Odd>> {
    let (forge, stranger) = (&room.forge, &room.stranger);
    let header = json!({"typ": "JWT", "alg": "ES256", "kid": forge.kid()});
    let with = |member: &str, value: Value| {
        let mut header = header.clone();
        header[member] = value;
        header
    };
    let without = |member: &str| {
        let mut header = header.clone();
        header.as_object_mut().expect("an object").remove(member);
        header
    };
    let mut rows = Vec::new();
    for (member, value) in [
        ("x5u", json!("http://127.0.0.1:1/")),
        ("jku", json!("http://127.0.0.1:1/")),
        ("jwk", json!(forge.jwk())),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("typ", json!("at+jwt")),
        ("typ", json!("JWE")),
        ("kid", json!("")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("x".repeat(129))),
        ("kid", json!(1)),
        ("kid", json!([forge.kid()])),
    ] {
        let token = forge.sign_with(&with(member, value.clone()), good)?;
        rows.push((format!("{member} {value}"), token, Taken::Never));
    }
    for algorithm in [
        "RS384", "RS256", "PS256", "ES384", "ES512", "EdDSA", "HS256", "HS512", "none", "None", "NONE", "",
        "es256",
    ] {
        let token = forge.sign_with(&with("alg", json!(algorithm)), good)?;
        rows.push((format!("{algorithm:?} on a key for ES256"), token, Taken::Never));
        let token = forgery::without_signature(&forge.sign_with(&with("alg", json!(algorithm)), good)?);
        rows.push((format!("{algorithm:?} with an empty signature"), token, Taken::Never));
    }
    rows.push(("no algorithm".into(), forge.sign_with(&without("alg"), good)?, Taken::Never));
    rows.push(("no key id".into(), forge.sign_with(&without("kid"), good)?, Taken::InStandard));
    rows.push(("no key id, of a stranger".into(), stranger.sign_with(&without("kid"), good)?, Taken::Never));
    rows.push(("no type".into(), forge.sign_with(&without("typ"), good)?, Taken::Always));
    // A certificate adds no trust and takes none away.
    let certificate = json!(["bm90IGEgY2VydGlmaWNhdGU="]);
    rows.push(("x5c".into(), forge.sign_with(&with("x5c", certificate.clone()), good)?, Taken::Always));
    rows.push((
        "x5c of a stranger".into(),
        stranger.sign_with(&with("x5c", certificate), good)?,
        Taken::Never,
    ));
    let hmac = with("alg", json!("HS256"));
    for (name, secret) in [
        ("DER", forgery::der(forge.jwk())?),
        ("PEM", forgery::pem(forge.jwk())?.into_bytes()),
        ("PEM without its last line end", forgery::pem(forge.jwk())?.trim_end().as_bytes().to_vec()),
        ("JWK", serde_json::to_vec(forge.jwk())?),
        ("point", forgery::der(forge.jwk())?[26..].to_vec()),
        ("nothing", Vec::new()),
    ] {
        let token = forgery::hmac_token(&hmac, good, &secret);
        rows.push((format!("HMAC with the public key as {name}"), token, Taken::Never));
        let token = forgery::hmac_token(&header, good, &secret);
        rows.push((format!("HMAC with the public key as {name}, called ES256"), token, Taken::Never));
    }
    Ok(rows)
}

#[tokio::test]
async fn each_profile_takes_what_it_says_and_nothing_odd() -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for profile in ["strict", "standard"] {
        let room = Room::with_profile(profile).await?;
        let repository = "matrix/profiles";
        let furniture = room.furnish(repository).await?;
        let good = room.claims("repository", repository, &["pull"]);
        let (request, _) = furniture.request(Operation::ListTags);
        let mut rows = odd_times(&room, &good)?;
        rows.extend(odd_headers(&room, &good)?);
        rows.push(("nothing odd".into(), room.forge.sign(&good)?, Taken::Always));
        let scope = format!("repository:{repository}:pull");
        let refusal = challenge(Some(&scope), Some(ChallengeError::InvalidToken));
        for (row, token, taken) in rows {
            let takes = taken == Taken::Always || (taken == Taken::InStandard && profile == "standard");
            let answer = room.client.with_token(&request, &token).await?;
            let as_told = if takes {
                answer.status == 200
            } else {
                answer.status == 401 && answer.header("www-authenticate") == Some(refusal.as_str())
            };
            if !as_told {
                wrong.push(format!(
                    "{profile}: {row}: expected it {}: {answer}",
                    if takes { "taken" } else { "refused" }
                ));
            }
        }
        // None of them took anything down with it.
        room.client.raw(&Request::get("/readyz")).await?.expect(200)?;
        room.client.with_token(&request, &room.forge.sign(&good)?).await?.expect(200)?;
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_source_that_another_issuer_lists_without_pull_makes_a_mount_an_upload() -> anyhow::Result<()> {
    let room = Room::with_profile("standard").await?;
    let (source, target) = ("matrix/source", "matrix/target");
    let (request, _) = room.furnish(source).await?.request(Operation::GetBlob);
    let digest = request.target.rsplit('/').next().unwrap_or_default();
    let mount = Request::new(Method::POST, format!("{}?mount={digest}&from={source}", uploads(target)));
    let mut claims = room.claims("repository", target, &["pull", "push"]);
    let refused = room.client.with_token(&mount, &room.forge.sign(&claims)?).await?.expect(401)?;
    assert!(refused.needs_header("www-authenticate")?.contains(source), "it is told to ask: {refused}");
    for (actions, status) in [(json!([]), 202), (json!(["push"]), 202), (json!(["pull"]), 201)] {
        let entry = json!({"type": "repository", "name": source, "actions": actions});
        claims["access"] = json!([claims["access"][0], entry]);
        room.client.with_token(&mount, &room.forge.sign(&claims)?).await?.expect(status)?;
    }
    Ok(())
}
