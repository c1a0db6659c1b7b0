-- Logins of programs that people allow in a browser.
create table device_login (
    id         uuid primary key,
    -- MACs of what the program asks with, and of what the person types.
    device_mac bytea not null unique,
    user_mac   bytea not null unique,
    -- For which registry, and what the program calls itself.
    audience   text collate "C" not null,
    client_id  text collate "C" not null,
    agent      text,
    made_from  text,
    created_at timestamptz not null,
    ends_at    timestamptz not null,
    -- When the program asked last.
    asked_at   timestamptz,
    state      text collate "C" not null default 'waiting' check (state in ('waiting', 'allowed', 'refused')),
    -- Who said so.
    pid        bigint references principal,
    constraint device_login_pid_check check ((state = 'waiting') = (pid is null))
);

create index device_login_end on device_login (ends_at);

-- Codes that take the place of a password once.
create table login_code (
    mac        bytea primary key,
    pid        bigint not null references principal,
    created_at timestamptz not null,
    ends_at    timestamptz not null,
    -- When and from where it was used, because clients ask twice in a moment.
    used_at    timestamptz,
    used_from  text
);

create index login_code_pid on login_code (pid);
create index login_code_end on login_code (ends_at);
