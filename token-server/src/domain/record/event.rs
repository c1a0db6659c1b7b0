//! The closed list of things worth remembering.
//!
//! *Invariant:* an event has one word, which never changes: people search for it.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Credentials were checked.
    Login,
    /// Rights were asked for and not held.
    ScopesRefused,
    /// A login that lasts was given out.
    RefreshTokenIssued,
    /// Users changed their own password.
    PasswordChanged,
    /// The following were done by an administrator.
    UserAdded,
    /// …
    UserPasswordSet,
    /// …
    UserDisabled,
    /// …
    UserEnabled,
    /// It was said who a user is at an identity provider or in a directory, by whom the user is or by the server,
    IdentityLinked,
    /// … or is no more.
    IdentityUnlinked,
    /// A secret was made with which an identity provider makes users,
    ScimSecretAdded,
    /// … or revoked.
    ScimSecretRevoked,
    /// An identity provider said something else of a user,
    ScimUserChanged,
    /// … removed one,
    ScimUserRemoved,
    /// … told of a group,
    ScimGroupAdded,
    /// … said something else of it,
    ScimGroupChanged,
    /// … or removed it.
    ScimGroupRemoved,
    /// …
    TeamAdded,
    /// …
    TeamRemoved,
    /// …
    TeamMemberAdded,
    /// …
    TeamMemberRemoved,
    /// …
    TeamMemberChanged,
    /// …
    RoleAdded,
    /// …
    RoleChanged,
    /// …
    RoleRemoved,
    /// …
    GrantAdded,
    /// …
    GrantRemoved,
    /// …
    BarrierAdded,
    /// …
    BarrierRemoved,
    /// …
    NamespaceAdded,
    /// …
    NamespaceChanged,
    /// …
    NamespaceRemoved,
    /// …
    RobotAdded,
    /// …
    RobotRemoved,
    /// …
    RobotChanged,
    /// …
    RobotDisabled,
    /// …
    RobotEnabled,
    /// …
    WorkloadAdded,
    /// …
    WorkloadRemoved,
    /// …
    WorkloadChanged,
    /// …
    WorkloadDisabled,
    /// …
    WorkloadEnabled,
    /// An issuer was trusted to say who workloads are,
    TrustIssuerAdded,
    /// … or is no more.
    TrustIssuerRemoved,
    /// It was said which of its tokens are a workload,
    TrustRuleAdded,
    /// … or that none is.
    TrustRuleRemoved,
    /// …
    RobotSecretAdded,
    /// …
    RobotSecretRevoked,
    /// A user made a personal access token, or had one made on the server.
    PersonalTokenAdded,
    /// … and it was revoked.
    PersonalTokenRevoked,
    /// A login that was kept was ended.
    LoginEnded,
    /// Somebody allowed a program to log in, or refused it.
    DeviceAnswered,
    /// Somebody made a code that takes the place of the password once.
    LoginCodeMade,
    /// Somebody has one more second factor,
    SecondFactorAdded,
    /// … or one less, or an administrator took all away.
    SecondFactorRemoved,
    /// Somebody made recovery codes.
    RecoveryCodesMade,
    /// Somebody proved anew in a browser who they are.
    ProvenAgain,
    /// A secret was reported as leaked, and revoked.
    LeakedSecretRevoked,
    /// Rights for a while were asked for.
    ElevationRequested,
    /// … and given,
    ElevationApproved,
    /// … not given,
    ElevationDenied,
    /// … or given back.
    ElevationEnded,
    /// Everything was taken in an emergency.
    GlassBroken,
    /// A step of a policy file was carried out.
    PolicyApplied,
    /// Somebody was to change something and may not.
    ChangeRefused,
    /// A key that signs tokens was made, by an administrator or by the server.
    KeyCreated,
    /// An administrator made a key sign that another token server had signed with.
    KeyImported,
    /// A key was retired, by an administrator with what it had signed, or by the server when that was over.
    KeyRetired,
    /// Old records were removed, by an administrator or by the server.
    AuditPruned,
}

impl Event {
    /// Every one.
    pub const ALL: [Self; 69] = [
        Self::Login,
        Self::ScopesRefused,
        Self::RefreshTokenIssued,
        Self::PasswordChanged,
        Self::UserAdded,
        Self::UserPasswordSet,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
        Self::ScimSecretAdded,
        Self::ScimSecretRevoked,
        Self::ScimUserChanged,
        Self::ScimUserRemoved,
        Self::ScimGroupAdded,
        Self::ScimGroupChanged,
        Self::ScimGroupRemoved,
        Self::TeamAdded,
        Self::TeamRemoved,
        Self::TeamMemberAdded,
        Self::TeamMemberRemoved,
        Self::TeamMemberChanged,
        Self::RoleAdded,
        Self::RoleChanged,
        Self::RoleRemoved,
        Self::GrantAdded,
        Self::GrantRemoved,
        Self::BarrierAdded,
        Self::BarrierRemoved,
        Self::NamespaceAdded,
        Self::NamespaceChanged,
        Self::NamespaceRemoved,
        Self::RobotAdded,
        Self::RobotRemoved,
        Self::RobotChanged,
        Self::RobotDisabled,
        Self::RobotEnabled,
        Self::WorkloadAdded,
        Self::WorkloadRemoved,
        Self::WorkloadChanged,
        Self::WorkloadDisabled,
        Self::WorkloadEnabled,
        Self::TrustIssuerAdded,
        Self::TrustIssuerRemoved,
        Self::TrustRuleAdded,
        Self::TrustRuleRemoved,
        Self::RobotSecretAdded,
        Self::RobotSecretRevoked,
        Self::PersonalTokenAdded,
        Self::PersonalTokenRevoked,
        Self::LoginEnded,
        Self::DeviceAnswered,
        Self::LoginCodeMade,
        Self::SecondFactorAdded,
        Self::SecondFactorRemoved,
        Self::RecoveryCodesMade,
        Self::ProvenAgain,
        Self::LeakedSecretRevoked,
        Self::ElevationRequested,
        Self::ElevationApproved,
        Self::ElevationDenied,
        Self::ElevationEnded,
        Self::GlassBroken,
        Self::PolicyApplied,
        Self::ChangeRefused,
        Self::KeyCreated,
        Self::KeyImported,
        Self::KeyRetired,
        Self::AuditPruned,
    ];

    /// The words of them all.
    pub const WORDS: [&'static str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut index = 0;
        while index < words.len() {
            words[index] = Self::ALL[index].as_str();
            index += 1;
        }
        words
    };

    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::ScopesRefused => "scopes_refused",
            Self::RefreshTokenIssued => "refresh_token_issued",
            Self::PasswordChanged => "password_changed",
            Self::UserAdded => "user_added",
            Self::UserPasswordSet => "user_password_set",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
            Self::ScimSecretAdded => "scim_secret_added",
            Self::ScimSecretRevoked => "scim_secret_revoked",
            Self::ScimUserChanged => "scim_user_changed",
            Self::ScimUserRemoved => "scim_user_removed",
            Self::ScimGroupAdded => "scim_group_added",
            Self::ScimGroupChanged => "scim_group_changed",
            Self::ScimGroupRemoved => "scim_group_removed",
            Self::TeamAdded => "team_added",
            Self::TeamRemoved => "team_removed",
            Self::TeamMemberAdded => "team_member_added",
            Self::TeamMemberRemoved => "team_member_removed",
            Self::TeamMemberChanged => "team_member_changed",
            Self::RoleAdded => "role_added",
            Self::RoleChanged => "role_changed",
            Self::RoleRemoved => "role_removed",
            Self::ChangeRefused => "change_refused",
            Self::NamespaceAdded => "namespace_added",
            Self::NamespaceChanged => "namespace_changed",
            Self::NamespaceRemoved => "namespace_removed",
            Self::RobotAdded => "robot_added",
            Self::RobotRemoved => "robot_removed",
            Self::RobotChanged => "robot_changed",
            Self::RobotDisabled => "robot_disabled",
            Self::RobotEnabled => "robot_enabled",
            Self::WorkloadAdded => "workload_added",
            Self::WorkloadRemoved => "workload_removed",
            Self::WorkloadChanged => "workload_changed",
            Self::WorkloadDisabled => "workload_disabled",
            Self::WorkloadEnabled => "workload_enabled",
            Self::TrustIssuerAdded => "trust_issuer_added",
            Self::TrustIssuerRemoved => "trust_issuer_removed",
            Self::TrustRuleAdded => "trust_rule_added",
            Self::TrustRuleRemoved => "trust_rule_removed",
            Self::RobotSecretAdded => "robot_secret_added",
            Self::RobotSecretRevoked => "robot_secret_revoked",
            Self::PersonalTokenAdded => "personal_token_added",
            Self::PersonalTokenRevoked => "personal_token_revoked",
            Self::LoginEnded => "login_ended",
            Self::DeviceAnswered => "device_answered",
            Self::LoginCodeMade => "login_code_made",
            Self::SecondFactorAdded => "second_factor_added",
            Self::SecondFactorRemoved => "second_factor_removed",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::ProvenAgain => "proven_again",
            Self::LeakedSecretRevoked => "leaked_secret_revoked",
            Self::ElevationRequested => "elevation_requested",
            Self::ElevationApproved => "elevation_approved",
            Self::ElevationDenied => "elevation_denied",
            Self::ElevationEnded => "elevation_ended",
            Self::GlassBroken => "glass_broken",
            Self::PolicyApplied => "policy_applied",
            Self::GrantAdded => "grant_added",
            Self::GrantRemoved => "grant_removed",
            Self::BarrierAdded => "barrier_added",
            Self::BarrierRemoved => "barrier_removed",
            Self::KeyCreated => "key_created",
            Self::KeyImported => "key_imported",
            Self::KeyRetired => "key_retired",
            Self::AuditPruned => "audit_pruned",
        }
    }
}
