//! What can be typed about users, teams, namespaces, robots and workloads.
//!
//! *Invariant:* passwords and secrets come in by other ways than arguments.

use clap::{Args, Subcommand, ValueEnum};

use super::Confirmation;
use super::credentials::RobotSecretCommand;

/// Where a new password comes from.
#[derive(Clone, Copy, Debug, Args)]
pub struct PasswordSource {
    /// Read the password from standard input instead of asking twice
    #[arg(long)]
    pub password_stdin: bool,
}

/// About users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user, who holds no rights yet
    Add {
        /// Up to 63 letters, digits, dots, dashes and underscores
        name: String,
        /// Give no password: the user logs in elsewhere only, such as at an identity provider
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
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
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Refuse logins of a user, end those that last and revoke personal access tokens
    Disable {
        /// Which user
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Take all second factors of a user away who has lost them, and sign the user out of all browsers
    RemoveSecondFactors {
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
    /// List all teams
    List,
    /// Remove a team with its memberships and rights
    Remove {
        /// Which team
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// List, add, change or remove members
    #[command(subcommand)]
    Member(MemberCommand),
}

/// About members of teams.
#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// List who is in a team directly, in the order in which they came to this server
    List {
        /// Which team
        team: String,
    },
    /// Add a user to a team, or a team whose members then are members here too
    Add {
        /// Which team
        team: String,
        /// A user, team:NAME, robot:OWNER/NAME or workload:NAME
        member: String,
        /// Let them put others into the team and take them out, over the API
        #[arg(long)]
        maintainer: bool,
    },
    /// Make a member a maintainer, or no longer
    Change {
        /// Which team
        team: String,
        /// A user, robot:OWNER/NAME or workload:NAME
        member: String,
        /// Let them put others into the team and take them out, over the API
        #[arg(long, required_unless_present = "no_maintainer")]
        maintainer: bool,
        /// Let them be a member like others
        #[arg(long, conflicts_with = "maintainer")]
        no_maintainer: bool,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Remove a user or a team from a team
    Remove {
        /// Which team
        team: String,
        /// A user, team:NAME, robot:OWNER/NAME or workload:NAME
        member: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// Who sees and pulls all of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VisibilityWord {
    /// Those who were given a right
    Private,
    /// And everybody who logged in
    Internal,
    /// Everybody, also without a login
    Public,
}

/// Who makes repositories in a namespace by pushing to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CreateWord {
    /// Whoever may push there
    Pushers,
    /// Whoever administers rights there
    Admins,
    /// Nobody
    Nobody,
}

/// About namespaces.
#[derive(Debug, Subcommand)]
pub enum NamespaceCommand {
    /// Give NAME and everything below it to a user or a team, who may do everything there
    Add {
        /// The first component of repository names
        name: String,
        /// user:NAME or team:NAME
        #[arg(long, value_name = "SUBJECT")]
        owner: String,
        /// Who sees and pulls all of it
        #[arg(long, value_enum, default_value_t = VisibilityWord::Private)]
        visibility: VisibilityWord,
        /// Who makes repositories in it by pushing to them
        #[arg(long, value_enum, default_value_t = CreateWord::Pushers)]
        create: CreateWord,
    },
    /// List all namespaces
    List,
    /// Change whose it is, who sees it, or who makes repositories in it
    Change {
        /// Which namespace
        name: String,
        /// user:NAME or team:NAME
        #[arg(long, value_name = "SUBJECT")]
        owner: Option<String>,
        /// Who sees and pulls all of it
        #[arg(long, value_enum)]
        visibility: Option<VisibilityWord>,
        /// Who makes repositories in it by pushing to them
        #[arg(long, value_enum)]
        create: Option<CreateWord>,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Remove a namespace with its robots and its owner's rights; repositories and other rights stay
    Remove {
        /// Which namespace
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}

/// About robots.
#[derive(Debug, Subcommand)]
pub enum RobotCommand {
    /// Make a robot, which holds no rights yet
    Add {
        /// OWNER/NAME, where OWNER is a namespace or a user
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List robots
    List {
        /// Only those of this namespace or user
        owner: Option<String>,
    },
    /// Refuse logins of a robot
    Disable {
        /// OWNER/NAME
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Allow logins of a disabled robot again
    Enable {
        /// OWNER/NAME
        name: String,
    },
    /// Remove a robot with its secrets and rights
    Remove {
        /// OWNER/NAME
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// What a robot logs in with: add, list, revoke
    #[command(subcommand)]
    Secret(RobotSecretCommand),
}

/// About workloads.
#[derive(Debug, Subcommand)]
pub enum WorkloadCommand {
    /// Make a workload, which holds no rights yet; `trust rule add` lets it log in
    Add {
        /// Up to 63 letters, digits, dots, dashes and underscores
        name: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List all workloads
    List,
    /// Let nothing count that a workload holds
    Disable {
        /// Which workload
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
    /// Let it count again
    Enable {
        /// Which workload
        name: String,
    },
    /// Remove a workload with its memberships and rights
    Remove {
        /// Which workload
        name: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "flattened arguments carry their own text")]
        confirmation: Confirmation,
    },
}
