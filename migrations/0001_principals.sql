-- Everyone who can be the subject of a right: two builtin groups, users and teams share one list of names, so that
-- a name means the same thing in every command, token and record.
create table principal (
    pid         bigint generated always as identity (start with 100) primary key,
    uid         uuid not null unique,
    kind        text collate "C" not null check (kind in ('builtin', 'user', 'team')),
    name        text collate "C" not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    disabled_at timestamptz,
    deleted_at  timestamptz,
    created_at  timestamptz not null default now()
);

create unique index principal_name_key on principal (name) where deleted_at is null;

-- Their numbers are fixed because every decision names them.
insert into principal (pid, uid, kind, name) overriding system value
values (1, '00000000-0000-0000-0000-000000000001', 'builtin', 'everyone'),
       (2, '00000000-0000-0000-0000-000000000002', 'builtin', 'authenticated');

create table user_account (
    pid                 bigint primary key references principal,
    password_hash       text not null,
    password_changed_at timestamptz not null
);

create table team_member (
    member_pid bigint not null references principal,
    team_pid   bigint not null references principal,
    added_at   timestamptz not null default now(),
    primary key (member_pid, team_pid)
);

create index team_member_team on team_member (team_pid);
