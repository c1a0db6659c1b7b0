-- Apps that show codes (RFC 6238). A person has one.
create table authenticator_app (
    pid          bigint primary key references principal,
    -- What the app and this server share, sealed.
    secret       bytea not null,
    created_at   timestamptz not null,
    -- Since when it counts: a code was typed that it showed.
    confirmed_at timestamptz,
    -- The moment of the last code that was accepted; no code of that moment or before is accepted again.
    last_step    bigint not null default 0
);

-- Keys of devices (WebAuthn). A person has several.
create table passkey (
    id            uuid primary key,
    pid           bigint not null references principal,
    -- How the device calls its key.
    credential_id bytea not null constraint passkey_credential_key unique check (octet_length(credential_id) <= 1023),
    -- The key, as the device wrote it (COSE).
    public_key    bytea not null,
    -- How often it was used, as the device says; some always say 0.
    sign_count    bigint not null,
    name          text not null check (octet_length(name) between 1 and 400),
    created_at    timestamptz not null,
    last_used_at  timestamptz,
    constraint passkey_name_key unique (pid, name)
);

-- Codes for who has lost all others; each is gone with its use.
create table recovery_code (
    mac        bytea primary key,
    pid        bigint not null references principal,
    created_at timestamptz not null
);

create index recovery_code_pid on recovery_code (pid);

-- Browsers in which a password was right and a second factor is still to be shown.
create table pending_sign_in (
    -- The MAC of what the browser shows.
    mac     bytea primary key,
    pid     bigint not null references principal,
    ends_at timestamptz not null
);

create index pending_sign_in_pid on pending_sign_in (pid);
create index pending_sign_in_end on pending_sign_in (ends_at);

-- What a passkey is to sign, for one browser and one errand; gone with the answer.
create table passkey_challenge (
    mac       bytea not null,
    errand    text collate "C" not null check (errand in ('register', 'prove')),
    challenge bytea not null,
    ends_at   timestamptz not null,
    primary key (mac, errand)
);

create index passkey_challenge_end on passkey_challenge (ends_at);

-- When somebody proved last in a browser who they are, and when with a second factor.
alter table browser_session
    add column proven_at timestamptz,
    add column second_factor_at timestamptz;

update browser_session set proven_at = created_at;

-- Whether what is logged in with was made with a second factor.
alter table credential add column second_factor boolean not null default false;
alter table refresh_token add column second_factor boolean not null default false;
alter table device_login add column second_factor boolean not null default false;
alter table login_code add column second_factor boolean not null default false;

-- Whether a right counts only for whoever logged in with a second factor. A denial that did so could be escaped by
-- logging in with less.
alter table acl_grant
    add column second_factor boolean not null default false,
    add constraint acl_grant_second_factor_check check (effect = 'allow' or not second_factor);
