-- Who comes from an identity provider or a directory has no password here.
alter table user_account
    alter column password_hash drop not null,
    -- As people are called by people.
    add column display_name text check (octet_length(display_name) between 1 and 400);

-- Who users are elsewhere. One can be several: at a provider, in a directory, at another provider.
create table identity (
    id            uuid not null unique default gen_random_uuid(),
    -- Who says so: the address of a provider, or the name of a directory with `ldap:` before it.
    issuer        text collate "C" not null check (octet_length(issuer) between 1 and 500),
    -- What never changes there, and is given to nobody else.
    subject       text collate "C" not null check (octet_length(subject) between 1 and 500),
    pid           bigint not null references principal,
    -- Under which name the provider stands in the settings.
    provider      text collate "C" not null,
    -- How they are called there, to be shown; it can change and be somebody else's tomorrow.
    name          text not null,
    -- Which groups they were in when that was said last, and when that was.
    groups        text[] not null default '{}',
    groups_at     timestamptz,
    -- What the provider gave to ask about them later, sealed.
    refresh       bytea,
    -- When it was last asked, so that several servers do not ask at the same time.
    asked_at      timestamptz,
    created_at    timestamptz not null,
    last_login_at timestamptz,
    constraint identity_key primary key (issuer, subject)
);

create index identity_pid on identity (pid);
create index identity_groups on identity (groups_at) where groups <> '{}';

-- People who proved who they are elsewhere and are nobody here.
create table pending_identity (
    id           uuid primary key,
    issuer       text collate "C" not null,
    subject      text collate "C" not null,
    provider     text collate "C" not null,
    name         text not null,
    display_name text,
    -- Why they were not let in.
    reason       text collate "C" not null,
    tries        integer not null default 1,
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    unique (issuer, subject)
);

create index pending_identity_last on pending_identity (last_at);

-- Browsers in which somebody is signed in.
create table browser_session (
    id              uuid primary key,
    mac             bytea not null unique,
    pid             bigint not null references principal,
    -- By what they signed in, where that was not a password.
    issuer          text collate "C",
    subject         text collate "C",
    -- What the provider calls its own session, so that it can end this one.
    provider_session text collate "C",
    -- What the provider wants to see when it is told that somebody signs out, sealed.
    id_token        bytea,
    agent           text,
    made_from       text,
    created_at      timestamptz not null,
    last_used_at    timestamptz not null,
    ends_at         timestamptz not null
);

create index browser_session_pid on browser_session (pid);
create index browser_session_identity on browser_session (issuer, subject) where issuer is not null;
create index browser_session_end on browser_session (ends_at);

-- Who is in a team because of a group elsewhere.
alter table team_member
    drop constraint team_member_source_check,
    add constraint team_member_source_check check (source in ('manual', 'policy', 'signon'));
