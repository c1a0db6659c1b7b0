-- What identity providers say by SCIM: who is there, and who is in which group.

-- What a provider shows that it is the one; two at a time.
create table scim_secret (
    id           uuid primary key,
    mac          bytea not null unique,
    -- Under which name the provider stands in the settings; a secret is good for nothing else.
    provider     text collate "C" not null,
    label        text,
    created_at   timestamptz not null,
    expires_at   timestamptz,
    last_used_at timestamptz
);

create index scim_secret_provider on scim_secret (provider);

create table scim_user (
    id          uuid primary key,
    provider    text collate "C" not null,
    issuer      text collate "C" not null,
    -- By what the provider says who it is when they sign in; nobody signs in as them before that is known.
    subject     text collate "C",
    pid         bigint not null references principal,
    -- As the provider spells it, and in lower case.
    user_name   text not null check (octet_length(user_name) between 1 and 500),
    name_folded text collate "C" not null,
    external_id text collate "C",
    -- What else it says: names and addresses of mail.
    said        jsonb not null default '{}',
    -- The same and the rest in lower case, to be searched.
    search      jsonb not null default '{}',
    -- What it says about whether they may log in.
    is_active   boolean not null,
    -- Since when they are disabled because of that: whom an administrator disabled at another moment stays so.
    disabled_at timestamptz,
    version     bigint not null default 1,
    created_at  timestamptz not null,
    changed_at  timestamptz not null,
    -- The user stays when the provider removes them, so that they can come back as who they were.
    deleted_at  timestamptz
);

create unique index scim_user_name_key on scim_user (provider, name_folded) where deleted_at is null;
create unique index scim_user_external_id_key on scim_user (provider, external_id) where deleted_at is null;
create unique index scim_user_pid_key on scim_user (pid);
create unique index scim_user_subject_key on scim_user (issuer, subject);
create index scim_user_provider on scim_user (provider, id);

create table scim_group (
    id           uuid primary key,
    provider     text collate "C" not null,
    display_name text collate "C" not null check (octet_length(display_name) between 1 and 500),
    name_folded  text collate "C" not null,
    external_id  text collate "C",
    search       jsonb not null default '{}',
    version      bigint not null default 1,
    created_at   timestamptz not null,
    changed_at   timestamptz not null
);

create unique index scim_group_name_key on scim_group (provider, name_folded);
create unique index scim_group_external_id_key on scim_group (provider, external_id);
create index scim_group_provider on scim_group (provider, id);
create index scim_group_display_name on scim_group (provider, display_name);

create table scim_group_member (
    group_id uuid not null references scim_group on delete cascade,
    user_id  uuid not null references scim_user on delete cascade,
    primary key (group_id, user_id)
);

create index scim_group_member_user on scim_group_member (user_id);
