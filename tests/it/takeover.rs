//! Settings that people already have: the file of the image and the variables of tutorials, given unchanged to ours
//! and to the distribution registry.
//!
//! *Invariant:* both are started with the same bytes, and what can be seen from outside is the same.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use harness::client::http_client;
use harness::passwords;
use harness::program::{self, Said};
use harness::server::Which;
use harness::watchdog::Guarded;
use reqwest::Method;
use tokio::process::Command;

/// `config.yml` of `registry:3`; that of `registry:2` differs in `http.debug` only.
const IMAGE: &str = "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  \
                     filesystem:\n    rootdirectory: /var/lib/registry\nhttp:\n  addr: :5000\n  headers:\n    \
                     X-Content-Type-Options: [nosniff]\nhealth:\n  storagedriver:\n    enabled: true\n    interval: 10s\n    \
                     threshold: 3\n";

/// Names and values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// What can be seen of settings from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    root: u16,
    base: u16,
    upload: u16,
    header: Option<String>,
    delete: u16,
    location: String,
    writes_below_root: bool,
}

/// `IMAGES` in a variable stands for the folder of the images, `FOLDER` for that of the settings.
async fn look(binary: &Path, file: &Path, variables: Variables<'_>) -> anyhow::Result<Seen> {
    let images = tempfile::tempdir()?;
    let root = images.path().display().to_string();
    let address = format!("127.0.0.1:{}", program::free_port()?);
    let log_file = images.path().with_extension("log");
    let log = std::fs::File::create(&log_file)?;
    let mut command = std::process::Command::new(binary);
    command.arg("serve").arg(file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.env("REGISTRY_HTTP_ADDR", &address).env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &root);
    let folder = file.parent().unwrap_or(file).display().to_string();
    for (name, value) in variables {
        command.env(name, value.replace("IMAGES", &root).replace("FOLDER", &folder));
    }
    let process = Guarded::spawn(&mut command)?;
    let http = http_client()?;
    let url = format!("http://{address}");
    let ready = program::until("the registry answers", Duration::from_secs(30), || async {
        http.get(format!("{url}/v2/")).send().await.is_ok_and(|answer| answer.status() != 503)
    });
    if let Err(error) = ready.await {
        return Err(error.context(std::fs::read_to_string(&log_file).unwrap_or_default()));
    }
    let base = http.get(format!("{url}/v2/")).send().await?;
    let header = base.headers().get("x-tutorial").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let digest = format!("sha256:{}", "0".repeat(64));
    let delete = http.request(Method::DELETE, format!("{url}/v2/a/manifests/{digest}")).send().await?;
    let base = (base.status().as_u16(), header);
    let upload = http.post(format!("{url}/v2/a/blobs/uploads/")).send().await?;
    let location = upload.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let location = location.split("/v2/").next().unwrap_or_default().replace(&address, "ADDRESS");
    let root = http.get(&url).send().await?.status().as_u16();
    drop(process);
    std::fs::remove_file(&log_file)?;
    Ok(Seen {
        root,
        base: base.0,
        upload: upload.status().as_u16(),
        header: base.1,
        delete: delete.status().as_u16(),
        location,
        writes_below_root: images.path().join("docker/registry/v2/repositories/a/_uploads").is_dir(),
    })
}

#[tokio::test]
async fn the_same_file_and_variables_mean_the_same_to_the_distribution_registry() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yml");
    std::fs::write(&file, IMAGE)?;
    let ours = Which::Registry.binary()?;
    let theirs = program::find("docker-registry", "docker-registry")?;
    let cases: [Variables<'_>; 6] = [
        &[("REGISTRY_STORAGE_DELETE_ENABLED", "true"), ("REGISTRY_HTTP_HEADERS_X-Tutorial", "[yes]")],
        &[("REGISTRY_STORAGE", "filesystem"), ("REGISTRY_HTTP_RELATIVEURLS", "true")],
        &[
            ("REGISTRY_HTTP_HOST", "https://registry.example"),
            ("REGISTRY_HTTP_SECRET", "0123456789"),
            ("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING", "{enabled: false}"),
        ],
        &[
            ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
            ("REGISTRY_PORT_5000_TCP_PROTO", "tcp"),
            ("REGISTRY_VERSION", "2.8"),
        ],
        // Quotes that a compose file leaves in.
        &[
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "\"IMAGES\""),
            ("REGISTRY_LOG_LEVEL", "'debug' # for now"),
            ("REGISTRY_HTTP_HOST", "\"https://registry.example\""),
        ],
        // What a compose file leaves empty.
        &[
            ("REGISTRY_LOG_LEVEL", ""),
            ("REGISTRY_LOG_FORMATTER", ""),
            ("REGISTRY_HTTP_RELATIVEURLS", ""),
            ("REGISTRY_HTTP_DRAINTIMEOUT", ""),
            ("REGISTRY_STORAGE_DELETE_ENABLED", ""),
            ("REGISTRY_HEALTH_STORAGEDRIVER_ENABLED", ""),
        ],
    ];
    for variables in cases {
        let mine = look(&ours, &file, variables).await?;
        let peers = look(&theirs, &file, variables).await?;
        assert_eq!(mine, peers, "{variables:?}");
        assert!(mine.writes_below_root, "{variables:?}");
    }
    Ok(())
}

#[tokio::test]
async fn guards_in_any_spelling_guard_as_at_the_distribution_registry() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yml");
    passwords::write(&folder.path().join("htpasswd"), &["alice"])?;
    let (ours, theirs) = (Which::Registry.binary()?, program::find("docker-registry", "docker-registry")?);
    let merged = |text: &str| IMAGE.replace("storage:\n", &format!("storage:\n  {text}\n"));
    let passwords = "realm: x\npath: FOLDER/htpasswd\n";
    let in_file = format!(
        "<<: {{auth: {{htpasswd: {{realm: x, path: {}/htpasswd}}}}}}\n{IMAGE}",
        folder.path().display()
    );
    let purging = "uploadpurging: {enabled: false}";
    let cases: [(String, Variables<'_>, (u16, u16)); 9] = [
        (IMAGE.into(), &[("REGISTRY_AUTH_HTPASSWD", passwords)], (401, 401)),
        (IMAGE.into(), &[("REGISTRY_AUTH", "htpasswd:\n  realm: x\n  path: FOLDER/htpasswd\n")], (401, 401)),
        (
            IMAGE.into(),
            &[
                ("REGISTRY_AUTH", "\"htpasswd\""),
                ("REGISTRY_AUTH_HTPASSWD_REALM", "'x'"),
                ("REGISTRY_AUTH_HTPASSWD_PATH", "\"FOLDER/htpasswd\""),
            ],
            (401, 401),
        ),
        (in_file, &[], (401, 401)),
        (IMAGE.into(), &[("REGISTRY_STORAGE_MAINTENANCE_READONLY", "enabled: true")], (200, 405)),
        (IMAGE.into(), &[("REGISTRY_STORAGE_MAINTENANCE", "readonly:\n  enabled: true\n")], (200, 405)),
        (
            merged(&format!("maintenance: {{<<: {{readonly: {{enabled: true}}}}, {purging}}}")),
            &[],
            (200, 405),
        ),
        // Of two equal keys the last one counts.
        (
            merged("maintenance: {readonly: {enabled: false}}\n  maintenance: {readonly: {enabled: true}}"),
            &[],
            (200, 405),
        ),
        (
            format!("\u{feff}{IMAGE}---\nauth: none\n"),
            &[("REGISTRY_STORAGE_MAINTENANCE", "{readonly: {enabled: true}}")],
            (200, 405),
        ),
    ];
    for (text, variables, expected) in cases {
        std::fs::write(&file, &text)?;
        let mine = look(&ours, &file, variables).await?;
        assert_eq!((mine.base, mine.upload), expected, "{variables:?} {text}");
        assert_eq!(mine, look(&theirs, &file, variables).await?, "{variables:?} {text}");
    }
    Ok(())
}

async fn check(yaml: &str, variables: Variables<'_>) -> anyhow::Result<Said> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yml");
    std::fs::write(&file, yaml)?;
    let mut command = Command::new(Which::Registry.binary()?);
    command.arg("check-config").arg(&file).envs(variables.iter().copied());
    program::run(&mut command, "").await
}

#[tokio::test]
async fn an_object_store_is_shown_without_its_secrets_and_refused_with_one_sentence() -> anyhow::Result<()> {
    let said = check(
        IMAGE,
        &[
            ("REGISTRY_STORAGE", "s3"),
            ("REGISTRY_STORAGE_S3_BUCKET", "images"),
            ("REGISTRY_STORAGE_S3_REGION", "eu-central-1"),
            ("REGISTRY_STORAGE_S3_ACCESSKEY", "very-hush-hush"),
            ("REGISTRY_STORAGE_S3_SECRETKEY", "very-hush-hush"),
        ],
    )
    .await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    let bucket = "storage.s3.bucket = images    (environment variable REGISTRY_STORAGE_S3_BUCKET)";
    assert!(said.output.contains(bucket), "{}", said.output);
    assert!(said.output.contains("storage.s3.secretkey = [redacted]"), "{}", said.output);
    assert!(!said.text.contains("hush-hush"), "{}", said.text);
    assert_eq!(said.text.matches("object stores").count(), 1, "{}", said.text);
    assert!(said.text.contains("`storage.filesystem.rootdirectory`"), "what is lost is told: {}", said.text);
    Ok(())
}

#[tokio::test]
async fn check_config_tells_everything_that_is_wrong_at_once() -> anyhow::Result<()> {
    let yaml = "auth: {silly: {realm: x, service: y}}\nstorage: {s3: {chunksize: 1}, tagg: {}}\nproxy: {remoteurl: 'https://x'}\n\
                http: {host: nowhere, tls: {certificate: a}}\n";
    let said = check(yaml, &[("REGISTRY_HEALTH_FILECHECKERS_1_FILE", "/x"), ("REGISTRY_PORT", "1")]).await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    for part in [
        "auth.silly",
        "storage.s3.chunksize",
        "storage.s3.bucket",
        "proxy.remoteurl",
        "http.host",
        "http.tls.key",
        "undefined index 1",
        "REGISTRY_PORT",
    ] {
        assert!(said.text.contains(part), "{part} is not in {}", said.text);
    }
    Ok(())
}
