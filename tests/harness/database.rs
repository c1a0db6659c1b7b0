//! One Postgres database per test, cloned from a template that was migrated once.
//!
//! `TEST_DATABASE_URL` names a server on which databases may be created. Without it, a throw-away cluster is
//! started: private folder, unix socket only, never as root, fsync on as in production.
//!
//! *Invariant:* databases of passed tests are dropped; those of failed tests stay until the cluster goes, and the
//! failure prints their address.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::{program, watchdog};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

static SERVER: OnceCell<Server> = OnceCell::const_new();

// One clone at a time: Postgres refuses to copy a template that is in use.
static CLONING: Mutex<()> = Mutex::const_new(());

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// The server all tests of this run share.
struct Server {
    url: Url,
    template: String,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        let url = match given_address() {
            Some(text) => Url::parse(&text).context("TEST_DATABASE_URL is not an address")?,
            None => start_cluster()?,
        };
        let fingerprint = MIGRATOR.iter().fold(0_u64, |sum, migration| {
            migration.checksum.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
        });
        let template = format!("portcullis_template_{fingerprint:016x}");
        let mut admin =
            PgConnection::connect(url.as_str()).await.context("the test database server is away")?;
        // Several runs may share the server that TEST_DATABASE_URL names.
        admin.execute("SELECT pg_advisory_lock(7075629)").await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&template)
            .fetch_one(&mut admin)
            .await?;
        if !exists {
            let building = format!("{template}_building");
            admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {building}"))).await?;
            admin.execute(AssertSqlSafe(format!("CREATE DATABASE {building}"))).await?;
            let mut connection = PgConnection::connect(named(&url, &building).as_str()).await?;
            MIGRATOR.run(&mut connection).await.context("the migrations do not apply")?;
            connection.close().await?;
            admin.execute(AssertSqlSafe(format!("ALTER DATABASE {building} RENAME TO {template}"))).await?;
        }
        admin.close().await?;
        Ok(Self { url, template })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the address of the test database is not a setting of a server"
)]
fn given_address() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok().filter(|text| !text.is_empty())
}

fn named(server: &Url, database: &str) -> Url {
    let mut url = server.clone();
    url.set_path(database);
    url
}

/// A database of one test.
#[derive(Debug)]
pub struct Database {
    url: Url,
    admin: Url,
    name: String,
}

impl Database {
    /// Clones the migrated template.
    pub async fn create() -> anyhow::Result<Self> {
        let server = SERVER.get_or_try_init(Server::start).await?;
        Self::create_from(server, &server.template).await
    }

    /// A database without any table, as an operator has it before the first start.
    pub async fn create_empty() -> anyhow::Result<Self> {
        let server = SERVER.get_or_try_init(Server::start).await?;
        Self::create_from(server, "template0").await
    }

    async fn create_from(server: &Server, template: &str) -> anyhow::Result<Self> {
        let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let _one_at_a_time = CLONING.lock().await;
        let mut admin = PgConnection::connect(server.url.as_str()).await?;
        let clone = format!("CREATE DATABASE {name} TEMPLATE {template}");
        admin.execute(AssertSqlSafe(clone)).await.context("cannot clone the template database")?;
        admin.close().await?;
        Ok(Self { url: named(&server.url, &name), admin: server.url.clone(), name })
    }

    /// The address a server or a test connects to.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// A connection that goes around the servers.
    pub async fn db_connect(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(self.url()).await?)
    }

    /// Every table by name, all rows as text.
    pub async fn db_tables(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut connection = self.db_connect().await?;
        let names = "select table_name::text from information_schema.tables where table_schema = 'public'";
        let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut connection).await?;
        anyhow::ensure!(names.len() >= 7, "{names:?}");
        let mut tables = Vec::new();
        for name in names {
            let rows = format!("select coalesce(string_agg(t::text, E'\\n'), '') from \"{name}\" t");
            let text = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&mut connection).await?;
            tables.push((name, text));
        }
        Ok(tables)
    }
}

impl Drop for Database {
    #[expect(
        clippy::print_stderr,
        reason = "the person reading a failed test wants to look into its database"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the database of this test: psql '{}'", self.url);
            return;
        }
        let (admin, name) = (self.admin.clone(), self.name.clone());
        // A destructor may run inside a runtime, which cannot be blocked on; a thread of its own can.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(admin.as_str()).await?;
                admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await?;
                anyhow::Ok(())
            })
        });
        // A database that could not be dropped goes with the cluster.
        let _ = dropping.join();
    }
}

/// A folder with the programs of the newest installed Postgres.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")))
        .filter(|folder| folder.join("initdb").exists())
        .context(
            "Postgres is missing: install the Debian package postgresql, or set TEST_DATABASE_URL to a server \
             on which databases may be created",
        )
}

/// The command, run by the user `postgres` when we are root, because Postgres refuses root.
pub fn as_postgres(program: &Path) -> Command {
    let is_root = std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")));
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    command.current_dir("/");
    command
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn start_cluster() -> anyhow::Result<Url> {
    let bin = programs()?;
    let folder = program::private_folder("db")?;
    let password = uuid::Uuid::new_v4().simple().to_string();
    let password_file = folder.join("password");
    std::fs::write(&password_file, &password)?;
    finish(Command::new("chmod").arg("0711").arg(&folder))?;
    if as_postgres(Path::new("true")).get_program() == "setpriv" {
        finish(Command::new("chown").args(["-R", "postgres:"]).arg(&folder))?;
    }
    let data = folder.join("data");
    finish(
        as_postgres(&bin.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"])
            .args(["--no-sync", "--no-instructions"])
            .arg(format!("--pwfile={}", password_file.display())),
    )?;
    // Registered before the start, so that an interrupted start is stopped too.
    let stop = as_postgres(&bin.join("pg_ctl"));
    let stop = std::iter::once(stop.get_program()).chain(stop.get_args());
    let stop: Vec<_> = stop.map(|word| word.to_string_lossy().into_owned()).collect();
    watchdog::at_end(&format!("{} -D '{}' -m immediate stop", stop.join(" "), data.display()))?;
    let options = format!(
        "-c listen_addresses='' -c unix_socket_directories={} -c fsync=on -c shared_buffers=64MB \
         -c max_connections=300",
        folder.display()
    );
    let log = folder.join("log");
    // The postmaster would keep our output open for ever.
    let started = as_postgres(&bin.join("pg_ctl"))
        .arg("-D")
        .arg(&data)
        .arg("-l")
        .arg(&log)
        .args(["-w", "-o", &options, "start"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    anyhow::ensure!(started.success(), "Postgres does not start: {}", std::fs::read_to_string(&log)?);
    let url = format!("postgres://postgres:{password}@localhost/postgres?host={}", folder.display());
    Url::parse(&url).context("the cluster's own address")
}
