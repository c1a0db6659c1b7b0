//! Keys that another token server signed with sign here, and the registries that know them notice nothing.
//!
//! *Invariant:* a token that was accepted before the change of keys is accepted after it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use harness::actors::Town;
use harness::client::{OciClient, Request, http_client};
use harness::forge::header_of;
use harness::images::Image;
use harness::peer::Peer;
use harness::program;
use harness::settings::{Auth, ISSUER, KEYS_PATH, PEER_SERVICE, SERVICE};
use harness::stack::{LoneRegistry, Stack, basic_of, password_of};
use serde_json::{Value, json};
use tokio::process::Command;

/// Longer than a key is published before it signs.
pub(crate) const UNTIL_IT_SIGNS: Duration = Duration::from_secs(45);

/// A key pair as operators of other token servers have made it.
pub(crate) struct Pair {
    /// As registries have it.
    pub(crate) certificate: PathBuf,
    key: PathBuf,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// `key` makes the private key, `days` is how long the certificate is valid.
    pub(crate) async fn make(key: &[&str], days: i32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (certificate, key_file) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        let made = openssl(key).await?;
        std::fs::write(&key_file, made)?;
        let (from, to) = if days < 0 { ("20200101000000Z", "20210101000000Z") } else { ("", "") };
        let mut words =
            vec!["req", "-x509", "-new", "-subj", "/CN=auth.example.com", "-key", text(&key_file)?];
        let days = days.to_string();
        if from.is_empty() {
            words.extend(["-days", &days]);
            std::fs::write(&certificate, openssl(&words).await?)?;
        } else {
            // Only `ca` and `x509` take dates, the latter not in all versions.
            let request = folder.path().join("request.pem");
            let words = [
                "req",
                "-new",
                "-subj",
                "/CN=auth.example.com",
                "-key",
                text(&key_file)?,
                "-out",
                text(&request)?,
            ];
            openssl(&words).await?;
            let config = folder.path().join("ca.cnf");
            let place = folder.path().display();
            std::fs::write(folder.path().join("index"), "")?;
            std::fs::write(
                &config,
                format!(
                    "[ca]\ndefault_ca=d\n[d]\ndatabase={place}/index\nnew_certs_dir={place}\nrand_serial=yes\n\
                     default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
                ),
            )?;
            let words = [
                "ca",
                "-batch",
                "-selfsign",
                "-notext",
                "-config",
                text(&config)?,
                "-in",
                text(&request)?,
                "-keyfile",
                text(&key_file)?,
                "-startdate",
                from,
                "-enddate",
                to,
                "-out",
                text(&certificate)?,
            ];
            openssl(&words).await?;
        }
        Ok(Self { certificate, key: key_file, _folder: folder })
    }

    pub(crate) async fn rsa() -> anyhow::Result<Self> {
        Self::make(&["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], 365).await
    }

    /// As it is sent to the API.
    pub(crate) fn body(&self) -> anyhow::Result<Value> {
        let (certificate, key) =
            (std::fs::read_to_string(&self.certificate)?, std::fs::read_to_string(&self.key)?);
        Ok(json!({"certificate": certificate, "key": key}))
    }

    /// The words that import it.
    pub(crate) fn words(&self) -> anyhow::Result<[&str; 6]> {
        Ok(["key", "import", "--certificate", text(&self.certificate)?, "--key", text(&self.key)?])
    }

    /// Imports it and waits until it signs.
    async fn import_into(&self, stack: &Stack) -> anyhow::Result<()> {
        stack.operator(&self.words()?, "").await?.success()?;
        until_both_are_published(stack).await?;
        stack.clock.advance(UNTIL_IT_SIGNS);
        Ok(())
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path of the test is text")
}

async fn openssl(words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program::find("openssl", "openssl")?);
    Ok(program::run(command.args(words), "").await?.success()?.output)
}

/// The published keys.
async fn published(stack: &Stack) -> anyhow::Result<Vec<Value>> {
    let answer = http_client()?.get(format!("{}{KEYS_PATH}", stack.token_server_url())).send().await?;
    let body: Value = answer.json().await?;
    Ok(body["keys"].as_array().cloned().unwrap_or_default())
}

/// The key from the first start, and the imported one under both of its names.
pub(crate) async fn until_both_are_published(stack: &Stack) -> anyhow::Result<()> {
    program::until("the key is published", Duration::from_mins(1), || async {
        published(stack).await.is_ok_and(|keys| keys.len() == 3)
    })
    .await
}

pub(crate) async fn token(stack: &Stack, service: &str) -> anyhow::Result<String> {
    let url = format!(
        "{}/auth?service={service}&scope=repository:platform/app:pull,push",
        stack.token_server_url()
    );
    let answer = http_client()?.get(url).header("authorization", basic_of("alice")).send().await?;
    let body: Value = answer.error_for_status()?.json().await?;
    Ok(body["token"].as_str().context("a token")?.to_owned())
}

fn auth_of_peer(stack: &Stack, bundle: &Path) -> String {
    format!(
        "auth:\n  token:\n    realm: {}/auth\n    service: {PEER_SERVICE}\n    issuer: {ISSUER}\n    \
         rootcertbundle: {}",
        stack.token_server_url(),
        bundle.display()
    )
}

#[tokio::test]
async fn the_distribution_registry_goes_on_with_the_certificate_it_has() -> anyhow::Result<()> {
    let kinds: [(&[&str], &str); 4] = [
        (&["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"], "RS256"),
        (&["genrsa", "-traditional", "2048"], "RS256"),
        (&["ecparam", "-genkey", "-name", "prime256v1"], "ES256"),
        (&["genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ES256"),
    ];
    let image = Image::new(301, 1, 10_000)?;
    for (words, algorithm) in kinds {
        let town = Town::start().await?;
        let pair = Pair::make(words, 365).await?;
        let tree = tempfile::tempdir()?;
        let peer = Peer::start(tree.path(), &auth_of_peer(&town.stack, &pair.certificate)).await?;
        let alice = OciClient::new(&peer.url(), "alice", &password_of("alice"))?;
        assert_eq!(alice.login().await?.status, 401, "it does not know the key that was there first");
        pair.import_into(&town.stack).await?;
        alice.forget_tokens();
        alice.login().await?.expect(200)?;
        alice.push_image("platform/app", "1", &image).await?;
        alice.pull_image("platform/app", "1", &image).await?;
        let header = header_of(&token(&town.stack, PEER_SERVICE).await?)?;
        assert_eq!(header["alg"], algorithm);
        let name = header["kid"].as_str().unwrap_or_default();
        assert_eq!((name.len(), name.split(':').count()), (59, 12), "as the 2.x line names keys: {name}");
        assert!(header.get("x5c").is_none(), "{header}");
    }
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_is_taken_only_when_told_to_and_works_with_the_distribution_registry()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let pair = Pair::make(&["genrsa", "2048"], -1).await?;
    let refused = town.stack.operator(&pair.words()?, "").await?;
    assert_eq!(refused.code, Some(2), "{}", refused.text);
    assert!(refused.text.contains("expired") && refused.text.contains("--allow-expired"), "{}", refused.text);
    let words: Vec<_> = pair.words()?.into_iter().chain(["--allow-expired"]).collect();
    town.stack.operator(&words, "").await?.success()?;
    town.stack.clock.advance(UNTIL_IT_SIGNS);
    until_both_are_published(&town.stack).await?;
    let tree = tempfile::tempdir()?;
    let peer = Peer::start(tree.path(), &auth_of_peer(&town.stack, &pair.certificate)).await?;
    let alice = OciClient::new(&peer.url(), "alice", &password_of("alice"))?;
    alice.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn our_registry_takes_tokens_of_both_keys_from_the_key_set_and_from_the_certificate()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let before = token(&town.stack, SERVICE).await?;
    let pair = Pair::rsa().await?;
    let bundle = pair.certificate.clone();
    let folder = tempfile::tempdir()?;
    let office = LoneRegistry::start(folder.path(), Auth::Certificates { file: bundle }).await?;
    pair.import_into(&town.stack).await?;
    office.clock.advance(UNTIL_IT_SIGNS);
    let after = token(&town.stack, SERVICE).await?;
    assert_ne!(header_of(&before)?["kid"], header_of(&after)?["kid"]);
    assert_eq!(header_of(&after)?["alg"], "RS256");
    let client = town.stack.anonymous()?;
    for (name, token) in [("before", &before), ("after", &after), ("before again", &before)] {
        let answer = client.with_token(&Request::get("/v2/"), token).await?;
        assert_eq!(answer.status, 200, "{name}: {answer}");
    }
    let client = OciClient::anonymous(&office.url())?;
    client.with_token(&Request::get("/v2/"), &after).await?.expect(200)?;
    client.with_token(&Request::get("/v2/"), &before).await?.expect(401)?;
    // Whoever takes keys from files gets all of them.
    let pem = town.stack.operator(&["key", "export", "--format", "pem"], "").await?.success()?.output;
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
    let imported = std::fs::read_to_string(&pair.certificate)?;
    assert!(pem.starts_with(imported.trim_end()), "the certificate as it was, and first");
    Ok(())
}

#[tokio::test]
async fn a_running_server_takes_an_imported_key_over_and_both_events_are_on_record() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let first = header_of(&token(&town.stack, SERVICE).await?)?["kid"].clone();
    let pair = Pair::rsa().await?;
    town.stack.operator(&pair.words()?, "").await?.success()?;
    until_both_are_published(&town.stack).await?;
    town.stack.clock.advance(UNTIL_IT_SIGNS);
    let second = header_of(&token(&town.stack, SERVICE).await?)?["kid"].clone();
    assert_ne!(first, second);
    assert_eq!(published(&town.stack).await?[0]["kid"], second);
    // A key that is there is not imported again, and both events are on record.
    let again = town.stack.operator(&pair.words()?, "").await?;
    assert_eq!(again.code, Some(3), "{}", again.text);
    assert!(again.text.contains("there is already a signing key"), "{}", again.text);
    let created = town.stack.database.db_audit_of("key_created").await?;
    assert_eq!(created.len(), 1);
    assert_eq!(created[0].summary()[..2], ["key_created", "system"]);
    let imported = town.stack.database.db_audit_of("key_imported").await?;
    assert_eq!(imported.len(), 1);
    assert_eq!(imported[0].summary()[..2], ["key_imported", "cli"]);
    Ok(())
}

#[tokio::test]
async fn key_pairs_that_are_no_good_are_refused_with_a_sentence() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (good, other) = (Pair::rsa().await?, Pair::rsa().await?);
    let weak = Pair::make(&["genrsa", "1024"], 365).await?;
    let curve = Pair::make(&["ecparam", "-genkey", "-name", "secp384r1"], 365).await?;
    let ec = Pair::make(&["ecparam", "-genkey", "-name", "prime256v1"], 365).await?;
    let folder = tempfile::tempdir()?;
    let locked = folder.path().join("locked.key");
    let words =
        ["pkey", "-in", text(&good.key)?, "-aes256", "-passout", "pass:secret", "-out", text(&locked)?];
    openssl(&words).await?;
    let nonsense = folder.path().join("nonsense.pem");
    std::fs::write(&nonsense, "-----BEGIN NONSENSE-----\nAAAA\n-----END NONSENSE-----\n")?;
    let missing = folder.path().join("missing.pem");
    let before = published(&town.stack).await?;
    for (certificate, key, part) in [
        (&good.certificate, &other.key, "do not belong together"),
        (&ec.certificate, &good.key, "do not belong together"),
        (&good.certificate, &ec.key, "do not belong together"),
        (&weak.certificate, &weak.key, "1024 bits"),
        (&curve.certificate, &curve.key, "another kind"),
        (&good.certificate, &locked, "encrypted"),
        (&good.certificate, &nonsense, "no private key"),
        (&good.key, &good.key, "no certificate"),
        (&good.certificate, &missing, "missing.pem"),
    ] {
        let words = ["key", "import", "--certificate", text(certificate)?, "--key", text(key)?];
        let said = town.stack.operator(&words, "").await?;
        assert_eq!(said.code, Some(2), "{}", said.text);
        assert!(said.text.contains(part), "{part}: {}", said.text);
        assert_eq!(said.text.lines().count(), 1, "{}", said.text);
    }
    assert_eq!(published(&town.stack).await?, before);
    Ok(())
}
