//! What can be typed.
//!
//! *Invariant:* no secret is ever an argument: arguments are seen by everybody on the machine and kept in histories.

pub mod people;

pub mod credentials;

pub mod rights;

pub mod identities;

pub mod scim;

pub mod trust;

pub mod records;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::what_if::arguments::WhatIfArguments;
use credentials::{LoginCommand, TokenCommand};
use identities::IdentityCommand;
use people::{NamespaceCommand, RobotCommand, TeamCommand, UserCommand, WorkloadCommand};
use records::{AuditCommand, ImportCommand, KeyCommand};
use rights::{BarrierCommand, ElevationCommand, GrantCommand, PolicyCommand, QuestionArguments, RoleCommand};
use scim::ScimCommand;
use trust::TrustCommand;

const AFTER_HELP: &str = "\
Settings come from the file given with --config and from environment variables such as
TOKEN_SERVER_DATABASE_URL, which win over the file. `check-config` shows what is in effect.

The first administrator:
  token-server --config FILE user add admin --password-stdin < password.txt
  token-server --config FILE grant add user:admin owner '**'

Exit codes:
    0  it is done, or the answer is yes
    1  the answer is no: to what was asked, by whoever was asked to confirm, or because
       check-config found a problem
    2  wrong usage, a file that cannot be used among it; or it would have to ask and there is
       no terminal to ask on
    3  nothing was done, because what was named does not exist or exists already
    4  it was refused or failed; the sentence says why
  141  nobody read the answer to its end";

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
    /// Namespaces: the first component of repository names in somebody's hands
    #[command(subcommand)]
    Namespace(NamespaceCommand),
    /// Robots: what pipelines log in as, and their secrets
    #[command(subcommand)]
    Robot(RobotCommand),
    /// Personal access tokens: create, list, revoke; and what to do with secrets that leaked
    #[command(subcommand)]
    Token(TokenCommand),
    /// Logins that devices keep: list, revoke
    #[command(subcommand)]
    Login(LoginCommand),
    /// Workloads: subjects for build jobs and clusters, which log in with tokens of their platform
    #[command(subcommand)]
    Workload(WorkloadCommand),
    /// Who users are at identity providers and in directories: list, link, unlink, let somebody in
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Identity providers that make and remove users by SCIM: the secrets they show
    #[command(subcommand)]
    Scim(ScimCommand),
    /// Whose tokens let workloads in: issuers, rules, attempts, and making a rule of one
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Roles besides those that are built in: add, list, change, remove
    #[command(subcommand)]
    Role(RoleCommand),
    /// Rights on repositories: add, list, remove, find those that are not used
    #[command(subcommand)]
    Grant(GrantCommand),
    /// The whole policy in one file: plan, apply, export, drift
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Rights for a while: ask, list, approve, deny, end; and breaking the glass
    #[command(subcommand)]
    Elevation(ElevationCommand),
    /// Where rights from above stop: add, list, remove
    #[command(subcommand)]
    Barrier(BarrierCommand),
    /// Say whether somebody may do something, and which rights decide it; exit with 0 if so and 1 if not
    Explain {
        /// user:NAME, team:NAME, robot:OWNER/NAME, workload:NAME, everyone or authenticated
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
    /// Say what a change of rights would mean, without making it; exit with 0 if nobody loses anything and 1 if somebody does
    WhatIf(WhatIfArguments),
    /// The audit record: list, export, verify, prune; and what tokens were issued for
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Users and rights of another token server
    #[command(subcommand)]
    Import(ImportCommand),
    /// The keys that sign tokens: list, rotate, retire, import one, export the public ones
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Whether to ask before something is taken away.
#[derive(Clone, Copy, Debug, Args)]
pub struct Confirmation {
    /// Do it without asking
    #[arg(long, short = 'y')]
    pub yes: bool,
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
            "token-server team member add platform ann --maintainer",
            "token-server team member change platform ben --no-maintainer",
            "token-server token create user:alice --name laptop --repository platform/** --actions pull,push --expires 30d",
            "token-server token list user:alice",
            "token-server token revoke 0199a1b2-0000-7000-8000-000000000000 --yes",
            "token-server token leaked found.txt --place https://git.example/1",
            "token-server login list user:alice",
            "token-server login revoke --all user:alice --yes",
            "token-server workload add nightly --description builds",
            "token-server grant unused --days 30",
            "token-server explain user:ann push platform/app:v1 --address 192.0.2.1",
            "token-server who-can push platform/app",
            "token-server barrier add prod/** --actions push,delete",
            "token-server what-if grant remove team:platform writer prod/**",
            "token-server what-if grant add user:ann --deny --actions push prod/** --tags v* --days 7",
            "token-server what-if --days 90 barrier add prod/** --actions push",
            "token-server what-if team member add platform team:core",
            "token-server audit list --since 7d --event login --outcome refused --limit 20",
            "token-server audit export --since 2027-01-01T00:00:00Z --until 1h",
            "token-server audit tokens --since 30d --user anonymous --repository app --limit 20",
            "token-server audit verify --head 00",
            "token-server audit prune --before 365d --yes",
            "token-server key export --format pem",
            "token-server key rotate --now --algorithm EdDSA",
            "token-server key retire abc --yes",
            "token-server import docker-auth auth.yml --repositories names.txt --apply",
            "token-server key import --certificate server.pem --key server.key --for-algorithm",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Arguments::try_parse_from(["token-server", "user", "add", "a", "--password", "x"]).is_err());
    }
}
