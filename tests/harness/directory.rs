//! A directory: `slapd` of Debian, started privately with people, groups and an authority of its own.
//!
//! It takes a login with a name and without a password for one of nobody in particular and says yes to it, as many
//! directories do, so that a client that asks such a question is found out.
//!
//! *Invariant:* every address is on this machine, and the directory is gone when its value is dropped.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use token_server::domain::actor::Actor;
use token_server::domain::administration::{Administration, Parts};
use token_server::domain::keys::master_secret::MasterSecret;
use token_server::domain::login::credential::Secrets;
use token_server::domain::login::password::PasswordHasher;
use token_server::domain::signon::directory;
use token_server::domain::signon::freshness::Freshness;
use token_server::domain::signon::sessions::BrowserSessions;
use token_server::settings::TokenServerSettings;

use crate::program;
use crate::stack::Stack;
use crate::watchdog::Guarded;

/// Below which entry everything is.
pub const BASE: &str = "dc=example,dc=com";

/// The account that searches.
pub const READER: &str = "cn=reader,dc=example,dc=com";

/// Its password.
pub const READER_PASSWORD: &str = "canary-password-of-the-reader";

const ROOT: &str = "cn=root,dc=example,dc=com";

const ROOT_PASSWORD: &str = "canary-password-of-the-root";

/// Groups of the directory that are teams here, and the right that one of them has.
const TEAMS: &str = "{platform-people: platform, all-staff: staff}";

/// A running directory.
#[derive(Debug)]
pub struct Directory {
    folder: PathBuf,
    address: String,
    tls_address: String,
    process: Option<Guarded>,
}

impl Directory {
    /// Starts one with the people alice, bob and carol, whose passwords are told by [`password_of`], and no groups.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = program::private_folder("ldap")?;
        std::fs::create_dir(folder.join("data"))?;
        make_certificates(&folder)?;
        std::fs::write(folder.join("slapd.conf"), configuration(&folder))?;
        let address = format!("127.0.0.1:{}", program::free_port()?);
        let tls_address = format!("127.0.0.1:{}", program::free_port()?);
        let mut directory = Self { folder, address, tls_address, process: None };
        directory.restart().await?;
        let mut ldif = format!(
            "dn: {BASE}\nobjectClass: domain\ndc: example\n\n\
             dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\n\
             userPassword: {READER_PASSWORD}\n\n\
             dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: ou=groups,{BASE}\nobjectClass: organizationalUnit\nou: groups\n\n"
        );
        for name in ["alice", "bob", "carol"] {
            ldif += &person(name);
        }
        directory.add(&ldif).await?;
        Ok(directory)
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again with what was in it.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process = None;
        let addresses = format!("ldap://{}/ ldaps://{}/", self.address, self.tls_address);
        let log = std::fs::File::create(self.folder.join("log"))?;
        let mut command = Command::new(program::find("slapd", "slapd")?);
        command.arg("-f").arg(self.folder.join("slapd.conf")).args(["-h", &addresses, "-d", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(Guarded::spawn(&mut command)?);
        let ready = program::until("slapd answers", Duration::from_secs(20), || async {
            tokio::net::TcpStream::connect(&self.tls_address).await.is_ok()
        });
        match ready.await {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(error.context(std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()))
            }
        }
    }

    /// Its address without TLS.
    pub fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// Its address with TLS.
    pub fn tls_url(&self) -> String {
        format!("ldaps://{}", self.tls_address)
    }

    /// The certificate of the authority by which it is known.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// The certificate of an authority that knows nothing of it.
    pub fn other_authority(&self) -> PathBuf {
        self.folder.join("other.pem")
    }

    /// The settings of a token server that lets everybody in who is in the directory, with more keys of it.
    pub fn settings(&self, more: &str) -> String {
        provider("corp", &self.url(), more)
    }

    /// Adds entries.
    pub async fn add(&self, ldif: &str) -> anyhow::Result<()> {
        self.run("ldapadd", ldif).await
    }

    /// Changes entries.
    pub async fn modify(&self, ldif: &str) -> anyhow::Result<()> {
        self.run("ldapmodify", ldif).await
    }

    /// Adds a person.
    pub async fn add_person(&self, name: &str) -> anyhow::Result<()> {
        self.add(&person(name)).await
    }

    /// Removes a person.
    pub async fn remove_person(&self, name: &str) -> anyhow::Result<()> {
        self.modify(&format!("dn: {}\nchangetype: delete\n", dn_of(name))).await
    }

    /// Adds a group of these entries.
    pub async fn add_group(&self, name: &str, members: &[&str]) -> anyhow::Result<()> {
        let mut ldif = format!("dn: {}\nobjectClass: groupOfNames\ncn: {name}\n", group_dn(name));
        for member in members {
            writeln!(ldif, "member: {member}")?;
        }
        self.add(&ldif).await
    }

    /// Removes a group.
    pub async fn remove_group(&self, name: &str) -> anyhow::Result<()> {
        self.modify(&format!("dn: {}\nchangetype: delete\n", group_dn(name))).await
    }

    async fn run(&self, name: &str, ldif: &str) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::new(program::find(name, "ldap-utils")?);
        command.args(["-x", "-H", &self.url(), "-D", ROOT, "-w", ROOT_PASSWORD]);
        program::run(&mut command, ldif).await?.success()?;
        Ok(())
    }
}

/// The settings of a token server with one directory of this name.
pub fn provider(name: &str, url: &str, more: &str) -> String {
    format!(
        "signon:\n  providers:\n    {name}:\n      kind: ldap\n      url: [{url}]\n      binddn: {READER}\n      \
         bindpassword: {READER_PASSWORD}\n      base: ou=people,{BASE}\n      groupbase: ou=groups,{BASE}\n      \
         newusers: create\n      teams: {TEAMS}\n{more}"
    )
}

/// The entry of a person.
pub fn dn_of(name: &str) -> String {
    format!("uid={name},ou=people,{BASE}")
}

/// The entry of a group.
pub fn group_dn(name: &str) -> String {
    format!("cn={name},ou=groups,{BASE}")
}

/// The password of a person.
pub fn password_of(name: &str) -> String {
    format!("canary password of {name} in the directory")
}

fn person(name: &str) -> String {
    format!(
        "dn: {}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name} of the directory\nsn: {name}\n\
         userPassword: {}\n\n",
        dn_of(name),
        password_of(name)
    )
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/nis.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
         # What Active Directory has besides, as far as it is looked at.\n\
         attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch\n  \
         SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )\n\
         attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch\n  \
         SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )\n\
         objectclass ( 1.3.6.1.4.1.4203.666.11.99 NAME 'accountOfActiveDirectory' SUP top AUXILIARY\n  \
         MAY ( objectGUID $ userAccountControl ) )\n\
         modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload memberof\n\
         pidfile {folder}/pid\nallow bind_anon_dn\nidletimeout 0\n\
         TLSCACertificateFile {folder}/authority.pem\nTLSCertificateFile {folder}/certificate.pem\n\
         TLSCertificateKeyFile {folder}/key.pem\n\
         database mdb\nsuffix {BASE}\nrootdn {ROOT}\nrootpw {ROOT_PASSWORD}\ndirectory {folder}/data\n\
         dbnosync\nindex objectClass,uid,member,entryUUID eq\noverlay memberof\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact={READER} read by anonymous auth by * none\n"
    )
}

/// An authority with a certificate for the directory, and one that has nothing to do with it.
fn make_certificates(folder: &Path) -> anyhow::Result<()> {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        anyhow::Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
    };
    let (known, other) = (authority()?, authority()?);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &known)?;
    std::fs::write(folder.join("authority.pem"), known.pem())?;
    std::fs::write(folder.join("other.pem"), other.pem())?;
    std::fs::write(folder.join("certificate.pem"), certificate.pem())?;
    std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(())
}

/// Does now what a token server does every minute: asks about people of whom nothing was heard for long, by the clock of
/// the stack.
pub async fn db_update_groups(stack: &Stack) -> anyhow::Result<()> {
    let loaded = token_server::settings::load(Some(stack.token_server_settings()), Vec::new())?;
    let settings = TokenServerSettings::validate(&loaded)?;
    let pool = token_server::db::connect(&settings.database.url, 4)?;
    let random = ring::rand::SystemRandom::new();
    let secret: MasterSecret = settings.secret.clone();
    let providers = settings.sign_on.providers.clone();
    let administration = Administration::new(Parts {
        pool: pool.clone(),
        clock: stack.clock.clone(),
        random: random.clone(),
        hasher: PasswordHasher::new(1, 0, random.clone())?.into(),
        repeats: std::sync::Arc::default(),
        secrets: Secrets::new(&secret).into(),
        policy: settings.credentials,
        master: secret.clone(),
        key_policy: settings.keys.clone().into(),
        personal_namespaces: settings.personal_namespaces,
        providers: providers.clone(),
        second_factor: token_server::domain::second_factor::requirement::Requirement::None,
    });
    let lasts = (settings.sign_on.idle, settings.sign_on.lifetime);
    let sessions =
        BrowserSessions::new(pool.clone(), stack.clock.clone(), random.clone(), secret.clone(), lasts);
    let freshness = Freshness {
        pool: pool.clone(),
        administration: administration.on_behalf_of(Actor::Server),
        providers: providers.clone(),
        clients: std::collections::BTreeMap::new(),
        directories: directory::clients(&providers),
        sessions: sessions.into(),
        secret,
        random,
    };
    for provider in providers.iter() {
        freshness.update(provider).await?;
    }
    pool.close().await;
    Ok(())
}
