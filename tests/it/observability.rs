//! What operators see: both logs, the metrics, and the listener that shows them.
//!
//! The yardstick is the distribution registry itself, started with the same settings and asked the same things.
//!
//! *Invariant:* whatever reads its lines and its metrics reads ours, and none of it holds a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use harness::client::{OciClient, Request, basic};
use harness::containers::ContainersPerson;
use harness::images::Image;
use harness::layout;
use harness::program;
use harness::server::Which;
use harness::watchdog::Guarded;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, REFERER, USER_AGENT};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// A registry in a process, with both its outputs and both its addresses.
struct Observed {
    process: Guarded,
    address: SocketAddr,
    debug: SocketAddr,
    folder: tempfile::TempDir,
}

impl Observed {
    /// Ours or the distribution registry's, with this YAML at the top level.
    async fn start(program: &Path, more: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
        let debug = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
        let settings = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}/images\nhttp:\n  addr: {address}\n  \
             secret: Canary-Of-The-Settings\n  draintimeout: 30s\n  debug:\n    addr: {debug}\n    prometheus:\n      \
             enabled: true\n      path: /numbers\n{more}",
            folder.path().display()
        );
        std::fs::write(&settings, text)?;
        let file = |name: &str| std::fs::File::create(folder.path().join(name));
        let mut command = Command::new(program);
        command.arg("serve").arg(&settings).stdin(Stdio::null()).stdout(file("out")?).stderr(file("err")?);
        let process = Guarded::spawn(&mut command)?;
        let this = Self { process, address, debug, folder };
        let client = this.client()?;
        program::until("the registry answers", SOON, || async {
            client.raw(&Request::get("/")).await.is_ok()
        })
        .await?;
        Ok(this)
    }

    async fn ours(more: &str) -> anyhow::Result<Self> {
        Self::start(&Which::Registry.binary()?, &format!("auth: none\n{more}")).await
    }

    fn client(&self) -> anyhow::Result<OciClient> {
        OciClient::anonymous(&format!("http://{}", self.address))
    }

    /// Asks the listener for operators.
    async fn operator(&self, method: Method, path: &str) -> anyhow::Result<(u16, String)> {
        let url = format!("http://{}{path}", self.debug);
        let answer = harness::client::http_client()?.request(method, url).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn samples(&self) -> anyhow::Result<Vec<Sample>> {
        let (status, text) = self.operator(Method::GET, "/numbers").await?;
        anyhow::ensure!(status == 200, "{status}: {text}");
        text.lines().filter(|line| !line.starts_with('#')).map(Sample::parse).collect()
    }

    /// How often requests of each kind were counted.
    async fn requests(&self) -> anyhow::Result<BTreeMap<Vec<String>, f64>> {
        let samples = self.samples().await?;
        let counted = samples.into_iter().filter(|sample| sample.name == "registry_http_requests_total");
        Ok(counted.map(|sample| (sample.labels.into_values().collect(), sample.value)).collect())
    }

    fn written(&self, name: &str) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join(name))?)
    }

    /// The access log once it has so many lines.
    async fn access_lines(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let enough = || async { self.written("out").is_ok_and(|text| text.lines().count() >= count) };
        program::until("the lines are written", SOON, enough).await?;
        Ok(self.written("out")?.lines().map(str::to_owned).collect())
    }
}

fn peer() -> anyhow::Result<PathBuf> {
    program::find("docker-registry", "docker-registry")
}

/// One line of the text format of Prometheus.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Sample {
    fn parse(line: &str) -> anyhow::Result<Self> {
        let odd = || format!("this is no sample: {line}");
        let (series, value) = line.rsplit_once(' ').with_context(odd)?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut parsed = BTreeMap::new();
        let mut rest = labels.strip_suffix('}').with_context(odd)?;
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").with_context(odd)?;
            let (text, after) = after.split_once('"').with_context(odd)?;
            parsed.insert(label.to_owned(), text.to_owned());
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Ok(Self { name: name.to_owned(), labels: parsed, value: value.parse().with_context(odd)? })
    }

    /// Name and labels.
    fn series(&self) -> String {
        format!("{} {:?}", self.name, self.labels)
    }
}

/// Things that clients do, the same for every registry.
async fn life(client: &OciClient) -> anyhow::Result<()> {
    let image = Image::new(71, 2, 5000)?;
    client.push_image("team/app", "1", &image).await?;
    client.pull_image("team/app", "1", &image).await?;
    client.raw(&Request::get("/v2/team/app/tags/list")).await?.expect(200)?;
    client.raw(&Request::get("/v2/_catalog?n=5")).await?.expect(200)?;
    client.raw(&Request::get("/v2/team/app/manifests/none")).await?.expect(404)?;
    client.raw(&Request::get("/v2/")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn the_metrics_are_those_of_the_distribution_registry() -> anyhow::Result<()> {
    let ours = Observed::ours("").await?;
    let theirs = Observed::start(&peer()?, "").await?;
    life(&ours.client()?).await?;
    life(&theirs.client()?).await?;

    // A request counts when its answer has ended, which the client may know first.
    let wanted = theirs.requests().await?;
    assert!(wanted.len() > 7, "{wanted:?}");
    let counted = || async { ours.requests().await.is_ok_and(|counted| counted == wanted) };
    let outcome = program::until("the same requests are counted", SOON, counted).await;
    outcome.with_context(|| format!("wanted {wanted:?}"))?;

    let mine: BTreeSet<String> = ours.samples().await?.iter().map(Sample::series).collect();
    let foreign = theirs.samples().await?;
    let shared = foreign.iter().filter(|sample| {
        ["registry_http_", "registry_storage_action_", "process_"]
            .iter()
            .any(|prefix| sample.name.starts_with(prefix))
            && sample.name != "process_virtual_memory_max_bytes"
            // It looks for another address of each blob; we never send clients elsewhere.
            && sample.labels.get("action").is_none_or(|action| action != "URLFor")
    });
    let missing: Vec<String> = shared.map(Sample::series).filter(|series| !mine.contains(series)).collect();
    assert!(missing.is_empty(), "not among ours: {missing:#?}");
    Ok(())
}

#[tokio::test]
async fn metrics_are_introduced_once_and_have_no_label_that_clients_choose() -> anyhow::Result<()> {
    let ours = Observed::ours("").await?;
    let client = ours.client()?;
    life(&client).await?;
    for odd in ["/v2/canary/repository/manifests/canary", "/v2/canary/x/referrers/y", "/canary?canary=canary"]
    {
        client.raw(&Request::new(Method::from_bytes(b"CANARY")?, odd)).await?;
    }
    let (_, text) = ours.operator(Method::GET, "/numbers").await?;
    assert!(!text.contains("canary") && !text.contains("CANARY") && !text.contains("team"), "{text}");
    let mut introduced = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).context("a name")?;
        assert!(introduced.insert(name), "{name} is introduced twice");
    }
    for sample in ours.samples().await? {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| sample.name.strip_suffix(suffix));
        let known = introduced.contains(sample.name.as_str())
            || family.is_some_and(|family| introduced.contains(family));
        assert!(known, "{} is not introduced", sample.name);
    }
    Ok(())
}

/// A line with what differs between two runs taken out: the time, and the ids and queries of uploads. The distribution
/// registry also counts bytes that it did not send to a `HEAD`.
fn without_chance(line: &str) -> String {
    let words = line.split(' ').enumerate().map(|(column, word)| match word.split_once("/blobs/uploads/") {
        Some((before, after)) if !after.is_empty() => format!("{before}/blobs/uploads/ID"),
        _ if column == 3 => "[TIME".to_owned(),
        _ if column == 9 && line.contains("\"HEAD ") => "SIZE".to_owned(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_access_log_is_that_of_the_distribution_registry() -> anyhow::Result<()> {
    let mut logs = Vec::new();
    for registry in [Observed::ours("").await?, Observed::start(&peer()?, "").await?] {
        let client = registry.client()?;
        let image = Image::new(72, 1, 3000)?;
        client.push_image("team/app", "1", &image).await?;
        client.pull_image("team/app", "1", &image).await?;
        let odd = Request::get("/v2/").header(REFERER, "http://a/\"b\\").header(USER_AGENT, "x \"y\"\tz");
        client.raw(&odd).await?.expect(200)?;
        client.raw(&Request::get("/")).await?.expect(200)?;
        let last = || async {
            registry
                .written("out")
                .is_ok_and(|text| text.lines().filter(|line| line.contains("\"GET / ")).count() > 1)
        };
        program::until("the last line is written", SOON, last).await?;
        let text = registry.written("out")?;
        // How often it was asked until it answered is chance.
        let lines = text.lines().filter(|line| !line.contains("\"GET / "));
        logs.push(lines.map(without_chance).collect::<Vec<_>>());
    }
    assert!(logs[0].len() > 8, "{logs:?}");
    assert_eq!(logs[0], logs[1]);
    Ok(())
}

#[tokio::test]
async fn a_push_of_skopeo_is_in_the_access_log_without_the_state_of_its_uploads() -> anyhow::Result<()> {
    let ours = Observed::ours("").await?;
    let image = Image::new(73, 2, 3000)?;
    let person = ContainersPerson::new()?;
    let source = person.folder().join("source");
    layout::write_image(&source, &image, "1")?;
    let from = format!("oci:{}:1", source.display());
    let there = format!("docker://{}/team/app:1", ours.address);
    person
        .skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &there])
        .await?
        .success()?;
    let ended = |text: &str| text.contains("\"PUT /v2/team/app/manifests/1 HTTP/1.1\" 201 0 \"\" \"");
    program::until("the manifest is written", SOON, || async {
        ours.written("out").is_ok_and(|text| ended(&text))
    })
    .await?;
    let lines = ours.access_lines(8).await?;
    for line in &lines {
        // host - user [time zone] "method target protocol" status size "referer" "agent"
        let quoted: Vec<&str> = line.split('"').collect();
        let [head, request, numbers, _, _, _, ""] = quoted.as_slice() else { anyhow::bail!("{line}") };
        assert!(head.starts_with("127.0.0.1 - - [") && head.ends_with(" +0000] "), "{line}");
        assert_eq!(request.split(' ').count(), 3, "{line}");
        assert!(numbers.trim().split(' ').all(|number| number.parse::<u64>().is_ok()), "{line}");
        assert!(!line.contains("_state"), "{line}");
    }
    assert!(lines.iter().any(|line| line.contains("?digest=sha256%3A")), "{lines:#?}");
    Ok(())
}

#[tokio::test]
async fn a_switched_off_access_log_is_empty() -> anyhow::Result<()> {
    let mut ours = Observed::ours("log:\n  accesslog:\n    disabled: true\n").await?;
    life(&ours.client()?).await?;
    ours.process.signal("TERM")?;
    assert_eq!(ours.process.wait(SOON)?, Some(0));
    assert_eq!(ours.written("out")?, "");
    assert!(
        ours.written("err")?.contains("http.path=\"/v2/team/app/tags/list\""),
        "{}",
        ours.written("err")?
    );
    Ok(())
}

#[tokio::test]
async fn json_lines_are_objects_with_the_fixed_fields() -> anyhow::Result<()> {
    for (format, names) in [
        ("json", &["timestamp", "level", "message", "replica"][..]),
        ("logstash", &["@timestamp", "@version", "level", "message", "replica"]),
    ] {
        let more = format!(
            "log:\n  level: debug\n  formatter: {format}\n  reportcaller: true\n  fields:\n    replica: 7\n"
        );
        let mut ours = Observed::ours(&more).await?;
        life(&ours.client()?).await?;
        ours.process.signal("TERM")?;
        assert_eq!(ours.process.wait(SOON)?, Some(0));
        let text = ours.written("err")?;
        let mut requests = 0;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            for name in names {
                assert!(line.get(name).is_some(), "no {name} in {line}");
            }
            assert_eq!(line["replica"], 7);
            assert!(line["file"].as_str().is_some_and(|file| file.contains(".rs:")), "{line}");
            requests += usize::from(line["message"] == "request");
        }
        assert!(requests > 10, "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_stop_the_registry() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let address = SocketAddr::from(([127, 0, 0, 1], program::free_port()?));
    let settings = folder.path().join("config.yml");
    let images = folder.path().join("images");
    let text = format!(
        "auth: none\nhttp:\n  addr: {address}\nstorage:\n  filesystem:\n    rootdirectory: {}\n",
        images.display()
    );
    std::fs::write(&settings, text)?;
    let (mut read_out, out) = std::io::pipe()?;
    let (mut read_err, err) = std::io::pipe()?;
    let mut command = Command::new(Which::Registry.binary()?);
    command.arg("serve").arg(&settings).stdin(Stdio::null()).stdout(out).stderr(err);
    let mut process = Guarded::spawn(&mut command)?;
    // The pipes close when the registry has ended.
    drop(command);
    let client = OciClient::anonymous(&format!("http://{address}"))?;
    let answers = || async { client.raw(&Request::get("/healthz")).await.is_ok() };
    program::until("the registry answers", SOON, answers).await?;
    // Far more than both pipes and both buffers hold.
    let long = format!("/v2/{}/tags/list", "a".repeat(3900));
    for _ in 0..1500 {
        client.raw(&Request::get(&long)).await?.expect(400)?;
    }
    // Somebody reads again, and is told: where the log has room again, for the report is a line of it.
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        read_err.read_to_string(&mut text).map(|_| text)
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let access = std::thread::spawn(move || {
        let mut text = String::new();
        read_out.read_to_string(&mut text).map(|_| text)
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.raw(&Request::get("/healthz")).await?.expect(200)?;
    process.signal("TERM")?;
    assert_eq!(process.wait(SOON)?, Some(0));
    let join = |thread: std::thread::JoinHandle<std::io::Result<String>>| {
        thread.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?.map_err(anyhow::Error::from)
    };
    let (text, access) = (join(reading)?, join(access)?);
    assert!(
        text.contains("log lines were lost because nobody took them stream=\"stdout\""),
        "{}",
        tail(&text)
    );
    assert!(text.contains("registry stopped"), "{}", tail(&text));
    assert!(access.lines().count() < 1500 && access.contains("\"GET /healthz "), "{}", tail(&access));
    Ok(())
}

fn tail(text: &str) -> String {
    text.lines().rev().take(5).map(|line| line.chars().take(200).collect::<String>() + "\n").collect()
}

#[tokio::test]
async fn operators_are_answered_while_the_registry_drains() -> anyhow::Result<()> {
    let mut ours = Observed::ours("").await?;
    let (status, text) = ours.operator(Method::GET, "/debug/health").await?;
    assert_eq!((status, text.as_str()), (200, "{}"));
    let (status, text) = ours.operator(Method::GET, "/debug/vars").await?;
    let vars: Value = serde_json::from_str(&text)?;
    assert_eq!(status, 200);
    assert!(vars["process"]["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{vars}");
    assert_eq!(vars["registry"]["lost_log_lines"]["stderr"], 0);
    for (method, path, expected) in [
        (Method::GET, "/debug/pprof/heap", 404),
        (Method::GET, "/metrics", 404),
        (Method::GET, "/v2/", 404),
        (Method::POST, "/debug/health", 405),
        (Method::HEAD, "/numbers", 200),
    ] {
        assert_eq!(ours.operator(method, path).await?.0, expected, "{path}");
    }
    let main = ours.client()?;
    main.raw(&Request::get("/debug/health")).await?.expect(404)?;
    main.raw(&Request::get("/numbers")).await?.expect(404)?;

    let location = main.start_upload("a/b").await?;
    let path = reqwest::Url::parse(&location)
        .map_or(location.clone(), |url| url[url::Position::BeforePath..].to_owned());
    let mut upload = TcpStream::connect(ours.address)?;
    write!(upload, "PATCH {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc")?;
    let in_flight = || async {
        ours.samples().await.is_ok_and(|samples| {
            samples.iter().any(|sample| {
                sample.name == "registry_http_in_flight_requests"
                    && sample.labels["handler"] == "blob_upload_chunk"
                    && (sample.value - 1.0).abs() < 0.1
            })
        })
    };
    program::until("the upload is in flight", SOON, in_flight).await?;
    ours.process.signal("TERM")?;
    let closed = || async { TcpStream::connect(ours.address).is_err() };
    program::until("the main address is closed", SOON, closed).await?;
    assert_eq!(ours.operator(Method::GET, "/debug/health").await?.0, 200);
    upload.write_all(b"def")?;
    let mut answer = String::new();
    upload.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(ours.process.wait(SOON)?, Some(0));
    Ok(())
}

#[tokio::test]
async fn no_secret_reaches_the_access_log_or_the_operators() -> anyhow::Result<()> {
    let ours = Observed::ours("health:\n  http:\n  - uri: http://127.0.0.1:1/\n    headers: {Authorization: [Canary-Of-A-Check]}\n    interval: 1s\n    threshold: 1000\nlog:\n  level: debug\n").await?;
    let client = ours.client()?;
    let location = client.start_upload("canary/app").await?;
    let state = location.split_once("_state=").map(|(_, state)| state.to_owned()).context("a state")?;
    client.raw(&Request::new(Method::PATCH, location.clone()).body("abc")).await?.expect(202)?;
    client.raw(&Request::new(Method::PUT, format!("{location}&digest=sha256:wrong")).body("")).await?;
    for request in [
        Request::get("/v2/?access_token=Canary-In-The-Query")
            .header(AUTHORIZATION, "Bearer Canary-Of-A-Token"),
        Request::get("/v2/_catalog?n=Canary&Canary-In-The-Query")
            .header(AUTHORIZATION, basic("a", "Canary-Password")),
        Request::get("/auth/token?account=a&password=Canary-In-The-Query"),
    ] {
        client.raw(&request).await?;
    }
    let checked = || async { ours.written("err").is_ok_and(|text| text.contains("/auth/token")) };
    program::until("the requests are logged", SOON, checked).await?;
    let mut places =
        vec![("access log", ours.access_lines(6).await?.join("\n")), ("log", ours.written("err")?)];
    for path in ["/debug/health", "/debug/vars", "/numbers"] {
        places.push((path, ours.operator(Method::GET, path).await?.1));
    }
    let secrets = [
        "Canary-In-The-Query",
        "Canary-Of-A-Token",
        "Canary-Password",
        "Canary-Of-A-Check",
        "Canary-Of-The-Settings",
        state.as_str(),
    ];
    for (place, text) in &places {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
    // The search would find something.
    assert!(places[0].1.contains("/v2/canary/app/blobs/uploads/"), "{}", places[0].1);
    assert!(places[0].1.contains("n=Canary"), "{}", places[0].1);
    Ok(())
}
