-- A right: who, on which repositories, in which role. The anchor is the longest literal part of the pattern, so that
-- a request needs as many index probes as its repository name has parts, however many rows there are.
create table acl_grant (
    id          bigint generated always as identity primary key,
    subject_pid bigint not null references principal,
    anchor      text collate "C" not null,
    pattern     text collate "C" not null check (octet_length(pattern) between 1 and 200),
    role        text collate "C" not null check (role in ('viewer', 'writer', 'maintainer', 'owner')),
    -- Nobody when it was given on the command line of the server.
    created_by  bigint references principal,
    created_at  timestamptz not null default now(),
    constraint acl_grant_key unique (subject_pid, pattern, role)
);

create index acl_grant_probe on acl_grant (anchor, subject_pid) include (pattern, role);
