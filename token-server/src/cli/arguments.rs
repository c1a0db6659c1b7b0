//! What can be typed.
//!
//! *Invariant:* no secret is ever an argument: arguments are seen by everybody on the machine and kept in histories.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
Settings come from the file given with --config and from environment variables such as
TOKEN_SERVER_DATABASE_URL, which win over the file. `check-config` shows what is in effect.

The first administrator:
  token-server --config FILE user add admin --password-stdin < password.txt
  token-server --config FILE grant add user:admin owner '**'

Exit codes:
  0  done
  1  it failed, or check-config found a problem; the sentence says what
  2  wrong usage, or it would have to ask and there is no terminal to ask on
  3  nothing was done, because what was named does not exist or exists already
  4  `explain`, `who-can`, `audit verify` or `import docker-auth`, where 0 and 1 are answers, could not answer";

/// Holds users, teams and rights, and issues tokens for container registries.
#[derive(Debug, Parser)]
#[command(name = "token-server", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Arguments {
    /// YAML file with settings; without it, only the environment counts
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// How lists and answers are printed
    #[arg(long, value_enum, global = true, default_value_t = Output::Table)]
    pub output: Output,

    #[command(subcommand)]
    #[expect(missing_docs, reason = "a doc comment here would become the text of --help")]
    pub command: Command,
}

/// How lists and answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people
    Table,
    /// JSON for programs
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until it is told to stop
    Serve,
    /// Bring the database schema up to date
    Migrate,
    /// Check the settings and show where each value comes from
    CheckConfig,
    /// Users: add, list, set a password, disable, enable
    #[command(subcommand)]
    User(UserCommand),
    /// Teams: add, list, remove, and their members
    #[command(subcommand)]
    Team(TeamCommand),
    /// Rights on repositories: add, list, remove
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Where rights from above stop: add, list, remove
    #[command(subcommand)]
    Barrier(BarrierCommand),
    /// Say whether somebody may do something, and which rights decide it; exit with 0 if so and 1 if not
    Explain {
        /// user:NAME, team:NAME, everyone or authenticated
        subject: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        question: QuestionArguments,
    },
    /// List everybody who may do something; exit with 0 if there is anybody and 1 if not
    WhoCan {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        question: QuestionArguments,
    },
    /// The audit record: list, export, verify, prune
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Users and rights of another token server
    #[command(subcommand)]
    Import(ImportCommand),
    /// The keys that sign tokens: import one, export the public ones
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where a new password comes from.
#[derive(Clone, Copy, Debug, Args)]
pub struct PasswordSource {
    /// Read the password from standard input instead of asking twice
    #[arg(long)]
    pub password_stdin: bool,
}

/// Whether to ask before something is taken away.
#[derive(Clone, Copy, Debug, Args)]
pub struct Confirmation {
    /// Do it without asking
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// About users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user, who holds no rights yet
    Add {
        /// Up to 63 letters, digits, dots, dashes and underscores
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        password: PasswordSource,
    },
    /// List all users
    List,
    /// Set another password; ends all logins made with the old one
    Password {
        /// Whose password
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        password: PasswordSource,
    },
    /// Refuse logins of a user and end those that last
    Disable {
        /// Which user
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Allow logins of a disabled user again
    Enable {
        /// Which user
        name: String,
    },
}

/// About teams.
#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// Add a team without members
    Add {
        /// Up to 63 letters, digits, dots, dashes and underscores
        name: String,
    },
    /// List all teams and their members
    List,
    /// Remove a team with its memberships and rights
    Remove {
        /// Which team
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Add or remove members
    #[command(subcommand)]
    Member(MemberCommand),
}

/// About members of teams.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Add a user to a team, or a team whose members then are members here too
    Add {
        /// Which team
        team: String,
        /// A user, or team:NAME
        member: String,
    },
    /// Remove a user or a team from a team
    Remove {
        /// Which team
        team: String,
        /// A user, or team:NAME
        member: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// A right as it is typed: `SUBJECT ROLE PATTERN`, or `SUBJECT --actions … PATTERN`.
#[derive(Clone, Debug, Args)]
pub struct GrantArguments {
    /// user:NAME, team:NAME, everyone (with or without a login) or authenticated
    pub subject: String,
    /// A role (not with --actions): viewer (pull), signer (and attach signatures), publisher (and push new tags),
    /// writer (and move tags), maintainer (and delete) or owner (everything); then a pattern: 'a/b' one repository,
    /// 'a/b/**' it and all below, '**' all, a glob such as 'a/*-dev', '${user}/**' for everybody's own
    #[arg(required = true, num_args = 1..=2, value_names = ["ROLE", "PATTERN"])]
    pub what: Vec<String>,
    /// Instead of a role: pull, push, delete, repository-delete, *, or attach, push-digest, tag-create, tag-update,
    /// tag-delete, manifest-delete, with commas between them
    #[arg(long, value_name = "LIST")]
    pub actions: Option<String>,
    /// Take the actions away, whatever else gives them
    #[arg(long, requires = "actions")]
    pub deny: bool,
    /// Only for tags that fit, such as 'pr-*'
    #[arg(long, value_name = "PATTERN")]
    pub tags: Option<String>,
}

/// What is asked about.
#[derive(Clone, Debug, Args)]
pub struct QuestionArguments {
    /// pull, push, delete, repository-delete, *, or a part of push or delete such as tag-update
    pub action: String,
    /// A repository, or one of its tags: platform/app:v1
    pub place: String,
    /// As for a client with this address; without it rights in a network do not count, and denials in one do
    #[arg(long)]
    pub address: Option<IpAddr>,
}

/// When and from where a right counts, and why it was given.
#[derive(Clone, Debug, Default, Args)]
pub struct ConditionArguments {
    /// When it begins: a time such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// When it ends: a time, or how long from now, such as 30d
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Only for clients with an address in this network; may be repeated
    #[arg(long, value_name = "NETWORK")]
    pub network: Vec<String>,
    /// Why, for whoever reads the list later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// About rights.
#[derive(Debug, Subcommand)]
pub enum GrantCommand {
    /// Give a right, or deny one
    Add {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        conditions: ConditionArguments,
    },
    /// List all rights
    List,
    /// Take away what was added with the same words; tokens that carry it live on for some minutes
    Remove {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        grant: GrantArguments,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About barriers.
#[derive(Debug, Subcommand)]
pub enum BarrierCommand {
    /// Stop rights that stand above a subtree, whoever holds them; what is given below counts
    Add {
        /// 'a/b/**'
        pattern: String,
        /// What does not come in: pull, push, delete, repository-delete, *, or parts of push and delete
        #[arg(long, value_name = "LIST")]
        actions: String,
        /// Why, for whoever reads the list later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List all barriers
    List,
    /// Let rights from above in again
    Remove {
        /// 'a/b/**'
        pattern: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// From when to when.
#[derive(Clone, Debug, Default, Args)]
pub struct PeriodArguments {
    /// From this moment on: a time such as 2027-01-31T12:00:00Z, or how long ago, such as 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this moment: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutcomeWord {
    /// As wanted
    Allowed,
    /// Not
    Refused,
}

/// About the audit record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List rows, the newest last
    List {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        period: PeriodArguments,
        /// Only one kind of event, such as login
        #[arg(long, value_name = "WORD")]
        event: Option<String>,
        /// Only what this user did, or cli, or system
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        /// Only rows whose target has this in it
        #[arg(long, value_name = "TEXT")]
        target: Option<String>,
        /// Only what ended so
        #[arg(long, value_enum)]
        outcome: Option<OutcomeWord>,
        /// How many of the newest
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Print rows, the newest last, as JSON with one object a line
    Export {
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        period: PeriodArguments,
    },
    /// Check that no row was changed, removed or moved; exit with 0 if so and 1 if not
    Verify {
        /// Check only what comes after the row with this hash
        #[arg(long, value_name = "HEX")]
        from_hash: Option<String>,
        /// A hash that was printed earlier and must still be there, so that nothing was removed at the end
        #[arg(long, value_name = "HEX")]
        head: Option<String>,
    },
    /// Remove the oldest rows
    Prune {
        /// All rows before this moment: a time, or how long ago, such as 365d
        #[arg(long, value_name = "TIME")]
        before: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About other token servers.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Say what the users and rights of docker_auth come to here, and where the two would answer differently; exit with
    /// 0 if nowhere and 1 if somewhere, or if something cannot be taken over
    DockerAuth {
        /// The settings of docker_auth
        #[arg(value_name = "CONFIG")]
        file: PathBuf,
        /// Compare these repositories, one a line, instead of names made up from the patterns of the rules
        #[arg(long, value_name = "FILE")]
        repositories: Option<PathBuf>,
        /// Take it over; without this, nothing is changed
        #[arg(long)]
        apply: bool,
    },
}

/// About the keys that sign tokens.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Sign with a key pair that another token server signed with, so that registries which know it go on
    Import {
        /// Its certificate, as registries have it in `rootcertbundle`
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// Its private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Take it although the certificate has expired
        #[arg(long)]
        allow_expired: bool,
    },
    /// Print the public keys for a registry that takes them from a file
    Export {
        /// pem: certificates for `rootcertbundle`; jwks: a key set for `jwks`
        #[arg(long, value_enum)]
        format: KeyFormat,
    },
}

/// How public keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyFormat {
    /// Certificates
    Pem,
    /// A JSON web key set
    Jwks,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn commands_read_as_the_manual_writes_them() {
        for line in [
            "token-server --config f user add alice --password-stdin",
            "token-server user disable alice --yes --config f",
            "token-server team member add platform alice",
            "token-server grant add team:platform writer platform/**",
            "token-server grant remove everyone viewer public/** -y",
            "token-server grant add user:ann --deny --actions push platform/frozen/**",
            "token-server grant add user:ben writer platform/app --tags pr-* --expires 30d",
            "token-server team member add platform team:core",
            "token-server explain user:ann push platform/app:v1 --address 192.0.2.1",
            "token-server who-can push platform/app",
            "token-server barrier add prod/** --actions push,delete",
            "token-server audit list --since 7d --event login --outcome refused --limit 20",
            "token-server audit export --since 2027-01-01T00:00:00Z --until 1h",
            "token-server audit verify --head 00",
            "token-server audit prune --before 365d --yes",
            "token-server key export --format pem",
            "token-server import docker-auth auth.yml --repositories names.txt --apply",
            "token-server key import --certificate server.pem --key server.key",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Arguments::try_parse_from(["token-server", "user", "add", "a", "--password", "x"]).is_err());
    }
}
