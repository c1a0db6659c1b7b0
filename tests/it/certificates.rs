//! Tokens that count because of certificates, in the ways of the distribution registry and its token servers.
//!
//! *Invariant:* whoever holds a key of the bundle, or a valid certificate that leads to it, is believed; nobody else is,
//! whatever they write into the header of a token.

use std::path::PathBuf;
use std::sync::Arc;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request};
use harness::edited;
use harness::forge::Forge;
use harness::images::Image;
use harness::notary::{KeyKind, Notary};
use harness::peer::Peer;
use harness::program;
use harness::settings::{Auth, ISSUER, PEER_SERVICE, SERVICE};
use harness::stack::{LoneRegistry, password_of};
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};
use shared::challenge::{BearerChallenge, ChallengeError};
use shared::clock::{Clock as _, ManualClock};
use time::Duration;

/// A registry that trusts a bundle.
struct Office {
    registry: LoneRegistry,
    client: OciClient,
    bundle: PathBuf,
    _folder: tempfile::TempDir,
}

impl Office {
    async fn trusting(notaries: &[&Notary]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let bundle = folder.path().join("bundle.pem");
        std::fs::write(&bundle, notaries.iter().map(|notary| notary.pem()).collect::<String>())?;
        let auth = Auth::Certificates { file: bundle.clone() };
        let registry = LoneRegistry::start(&folder.path().join("images"), auth).await?;
        let client = OciClient::anonymous(&registry.url())?;
        Ok(Self { registry, client, bundle, _folder: folder })
    }

    fn claims(&self) -> Value {
        claims(self.registry.clock.unix_now())
    }

    async fn show(&self, token: &str) -> anyhow::Result<Answer> {
        self.client.with_token(&Request::get("/v2/"), token).await
    }

    async fn assert_refused(&self, name: &str, token: &str) -> anyhow::Result<()> {
        let answer = self.show(token).await?;
        let challenge = answer.header(WWW_AUTHENTICATE.as_str()).and_then(BearerChallenge::parse);
        let error = challenge.and_then(|challenge| challenge.error);
        assert_eq!((answer.status, error), (401, Some(ChallengeError::InvalidToken)), "{name}: {answer}");
        Ok(())
    }
}

fn claims(now: i64) -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE, "jti": uuid::Uuid::new_v4().to_string(),
        "iat": now, "nbf": now - 10, "exp": now + 300, "access": [],
    })
}

const KINDS: [KeyKind; 4] = [KeyKind::Ec, KeyKind::EcWithZero, KeyKind::Ed, KeyKind::Rsa];

#[tokio::test]
async fn a_key_of_the_bundle_signs_under_every_name_it_goes_by() -> anyhow::Result<()> {
    let mut notaries = Vec::new();
    for kind in KINDS {
        notaries.push(Notary::alone(kind).await?);
    }
    let office = Office::trusting(&notaries.iter().collect::<Vec<_>>()).await?;
    for notary in &notaries {
        let claims = office.claims();
        for kid in [notary.thumbprint(), notary.short_thumbprint(), notary.fingerprint()] {
            office.show(&notary.sign_as(&kid, &claims)?).await?.expect(200)?;
            office.assert_refused("another name", &notary.sign_as(&kid.to_lowercase(), &claims)?).await?;
        }
        office.show(&notary.sign_with_chain(&[], &claims)?).await?.expect(200)?;
    }
    // Nobody signs under another's name.
    let [first, second] = [&notaries[0], &notaries[1]];
    office.assert_refused("swapped", &first.sign_as(&second.thumbprint(), &office.claims())?).await?;
    Ok(())
}

#[tokio::test]
async fn a_chain_counts_if_it_leads_to_the_bundle_now() -> anyhow::Result<()> {
    let (root, stranger) = (Notary::alone(KeyKind::Ec).await?, Notary::alone(KeyKind::Ec).await?);
    let office = Office::trusting(&[&root]).await?;
    let middle = root.certify(KeyKind::Ec, true, Duration::hours(1)).await?;
    for kind in KINDS {
        let leaf = middle.certify(kind, false, Duration::hours(1)).await?;
        office.show(&leaf.sign_with_chain(&[&middle], &office.claims())?).await?.expect(200)?;
        office.show(&leaf.sign_with_chain(&[&middle, &root], &office.claims())?).await?.expect(200)?;
        office.assert_refused("no middle", &leaf.sign_with_chain(&[], &office.claims())?).await?;
    }
    let expired = root.certify(KeyKind::Ec, false, Duration::minutes(-5)).await?;
    office.assert_refused("expired", &expired.sign_with_chain(&[], &office.claims())?).await?;
    let foreign = stranger.certify(KeyKind::Ec, false, Duration::hours(1)).await?;
    office.assert_refused("wrong root", &foreign.sign_with_chain(&[&stranger], &office.claims())?).await?;
    office.assert_refused("alone", &stranger.sign_with_chain(&[], &office.claims())?).await?;
    // Somebody else's certificates prove nothing about one's own signature.
    let borrowed = json!({"x5c": root.chain(&[])});
    office.assert_refused("borrowed", &stranger.sign(borrowed, &office.claims())?).await?;
    for odd in [json!([]), json!("x"), json!([1]), json!(["%"]), json!({}), json!(["AAAA"])] {
        office.assert_refused("no chain", &root.sign(json!({"x5c": odd}), &office.claims())?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_ends_takes_remembered_tokens_with_it() -> anyhow::Result<()> {
    let root = Notary::alone(KeyKind::Ec).await?;
    let office = Office::trusting(&[&root]).await?;
    let leaf = root.certify(KeyKind::Ed, false, Duration::minutes(2)).await?;
    let token = leaf.sign_with_chain(&[], &office.claims())?;
    office.show(&token).await?.expect(200)?;
    office.show(&token).await?.expect(200)?;
    office.registry.clock.advance(std::time::Duration::from_mins(3));
    office.assert_refused("its certificate ended", &token).await?;
    // Under its id a key of the bundle has no dates.
    office.registry.clock.advance(std::time::Duration::from_hours(2));
    office.show(&root.sign_as(&root.fingerprint(), &office.claims())?).await?.expect(200)?;
    office.assert_refused("expired", &root.sign_with_chain(&[], &office.claims())?).await?;
    Ok(())
}

#[tokio::test]
async fn a_header_that_brings_its_own_trust_is_refused_also_with_a_trusted_name() -> anyhow::Result<()> {
    let (root, attacker) = (Notary::alone(KeyKind::Ec).await?, Notary::alone(KeyKind::Ec).await?);
    let office = Office::trusting(&[&root]).await?;
    let forge = Forge::new()?;
    for (name, member) in [
        ("jwk", json!({"jwk": forge.jwk(), "kid": root.thumbprint()})),
        ("jku", json!({"jku": "http://127.0.0.1:1/keys", "kid": root.thumbprint()})),
        ("x5u", json!({"x5u": "http://127.0.0.1:1/bundle", "kid": root.thumbprint()})),
        ("crit", json!({"crit": ["exp"], "kid": root.thumbprint()})),
    ] {
        office.assert_refused(name, &root.sign(member.clone(), &office.claims())?).await?;
        office.assert_refused(name, &attacker.sign(member, &office.claims())?).await?;
    }
    let both = json!({"x5c": attacker.chain(&[]), "kid": root.thumbprint()});
    office.assert_refused("their chain, our name", &attacker.sign(both, &office.claims())?).await?;
    Ok(())
}

#[tokio::test]
async fn where_only_a_key_set_is_trusted_a_chain_is_not_looked_at() -> anyhow::Result<()> {
    let (folder, forge) = (tempfile::tempdir()?, Forge::new()?);
    let notary = Notary::alone(KeyKind::Ec).await?;
    for profile in ["standard", "strict"] {
        let registry = LoneRegistry::trusting(&forge, profile, folder.path()).await?;
        let client = OciClient::anonymous(&registry.url())?;
        let claims = claims(registry.clock.unix_now());
        for x5c in [notary.chain(&[]), json!("garbage"), json!(7)] {
            let header = json!({"typ": "JWT", "alg": "ES256", "kid": forge.kid(), "x5c": x5c});
            let token = forge.sign_with(&header, &claims)?;
            client.with_token(&Request::get("/v2/"), &token).await?.expect(200)?;
        }
        let token = notary.sign_with_chain(&[], &claims)?;
        client.with_token(&Request::get("/v2/"), &token).await?.expect_error(401, "UNAUTHORIZED")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_changes_counts_without_a_restart_and_a_broken_one_does_not() -> anyhow::Result<()> {
    let (old, new) = (Notary::alone(KeyKind::Ec).await?, Notary::alone(KeyKind::Rsa).await?);
    let office = Office::trusting(&[&old]).await?;
    let remembered = old.sign_as(&old.fingerprint(), &office.claims())?;
    office.show(&remembered).await?.expect(200)?;
    std::fs::write(&office.bundle, "garbage")?;
    // A name that nobody goes by makes the registry look at once.
    office.assert_refused("unknown", &new.sign_as(&new.fingerprint(), &office.claims())?).await?;
    office.show(&remembered).await?.expect(200)?;
    std::fs::write(&office.bundle, new.pem())?;
    program::until("the new key counts", std::time::Duration::from_secs(30), || async {
        let token = new.sign_as(&new.fingerprint(), &office.claims());
        let Ok(token) = token else { return false };
        office.show(&token).await.is_ok_and(|answer| answer.status == 200)
    })
    .await?;
    office.assert_refused("its certificate left", &remembered).await?;
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_stops_the_start_with_a_sentence() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bundle.pem");
    let one = Notary::alone(KeyKind::Ec).await?.pem();
    for (content, sentence) in [
        (None, "cannot read"),
        (Some(String::new()), "no certificate"),
        (Some("garbage".into()), "no certificate"),
        (Some(one.replace("MII", "AAA")), "number 1"),
        (Some(one.repeat(101)), "public authorities"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content)?;
        }
        let auth = Auth::Certificates { file: file.clone() };
        let outcome = LoneRegistry::start(&folder.path().join("images"), auth).await;
        let text = format!("{:#}", outcome.expect_err("it does not start"));
        assert!(text.contains(sentence) && text.contains("bundle.pem"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_distribution_registry_of_the_2x_line_and_ours_agree_on_its_tokens() -> anyhow::Result<()> {
    let [ec, rsa, stranger] = [
        Notary::alone(KeyKind::Ec).await?,
        Notary::alone(KeyKind::Rsa).await?,
        Notary::alone(KeyKind::Ec).await?,
    ];
    let office = Office::trusting(&[&ec, &rsa]).await?;
    let tree = tempfile::tempdir()?;
    let auth = format!(
        "auth:\n  token:\n    realm: http://127.0.0.1:1/token\n    service: {SERVICE}\n    issuer: {ISSUER}\n    \
         rootcertbundle: {}",
        office.bundle.display()
    );
    let peer = Peer::start(tree.path(), &auth).await?;
    let theirs = OciClient::anonymous(&peer.url())?;
    let leaf = rsa.certify(KeyKind::Ec, false, Duration::hours(1)).await?;
    let expired = ec.certify(KeyKind::Ec, false, Duration::minutes(-5)).await?;
    let foreign = stranger.certify(KeyKind::Ec, false, Duration::hours(1)).await?;
    let claims = office.claims();
    for (name, token, status) in [
        ("fingerprint, curve", ec.sign_as(&ec.fingerprint(), &claims)?, 200),
        ("fingerprint, RSA", rsa.sign_as(&rsa.fingerprint(), &claims)?, 200),
        ("chain of one, curve", ec.sign_with_chain(&[], &claims)?, 200),
        ("chain of one, RSA", rsa.sign_with_chain(&[], &claims)?, 200),
        ("chain", leaf.sign_with_chain(&[], &claims)?, 200),
        ("expired", expired.sign_with_chain(&[], &claims)?, 401),
        ("wrong root", foreign.sign_with_chain(&[&stranger], &claims)?, 401),
        ("another's fingerprint", ec.sign_as(&rsa.fingerprint(), &claims)?, 401),
        ("stranger", stranger.sign_as(&stranger.fingerprint(), &claims)?, 401),
    ] {
        assert_eq!(theirs.with_token(&Request::get("/v2/"), &token).await?.status, status, "there: {name}");
        assert_eq!(office.show(&token).await?.status, status, "here: {name}");
    }
    Ok(())
}

#[tokio::test]
async fn our_registry_stands_behind_a_token_server_that_it_knows_by_certificate_only() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let folder = tempfile::tempdir()?;
    let bundle = folder.path().join("bundle.pem");
    let exported = town.stack.operator(&["key", "export", "--format", "pem"], "").await?.success()?;
    std::fs::write(&bundle, exported.output)?;
    let realm = format!("realm: {}/token", town.stack.token_server_url());
    let (service, peer_service) = (format!("service: {SERVICE}"), format!("service: {PEER_SERVICE}"));
    // Issued as for the distribution registry's 2.x line, and as for ours.
    for edits in [
        vec![("realm: http://127.0.0.1:1/token", realm.as_str()), (service.as_str(), peer_service.as_str())],
        vec![("realm: http://127.0.0.1:1/token", realm.as_str())],
    ] {
        let clock = Arc::new(ManualClock::default());
        let auth = Auth::Certificates { file: bundle.clone() };
        let server = edited::registry(folder.path(), auth, &edits, &clock).await?;
        let url = format!("http://{}", server.address());
        let alice = OciClient::new(&url, "alice", &password_of("alice"))?;
        alice.login().await?.expect(200)?;
        let image = Image::new(75, 1, 10_000)?;
        alice.push_image("platform/app", "1", &image).await?;
        alice.pull_image("platform/app", "1", &image).await?;
        let bob = OciClient::new(&url, "bob", &password_of("bob"))?;
        assert_eq!(bob.get_manifest("platform/app", "1").await?.status, 401);
    }
    Ok(())
}
