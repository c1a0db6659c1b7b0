-- Namespaces: the first component of repository names in somebody's hands. What an owner and the visibility come to are
-- grants like others, which belong to the namespace and go with it.
create table namespace (
    id            bigint generated always as identity primary key,
    name          text collate "C" not null constraint namespace_key unique
                  check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    owner_pid     bigint not null references principal,
    visibility    text collate "C" not null check (visibility in ('private', 'internal', 'public')),
    -- Who makes repositories by pushing to them: whoever may push, only who administers rights there, or nobody.
    create_policy text collate "C" not null check (create_policy in ('pushers', 'admins', 'nobody')),
    created_by    bigint references principal,
    created_at    timestamptz not null default now()
);

create index namespace_owner on namespace (owner_pid);

alter table acl_grant add column namespace_id bigint references namespace;

-- Somebody may give by hand what belongs to a namespace as well; then it stays when that goes.
drop index acl_grant_key;

create unique index acl_grant_key
    on acl_grant (subject_pid, pattern, effect, coalesce(role, rights), coalesce(tags, ''), coalesce(namespace_id, 0));

create index acl_grant_namespace on acl_grant (namespace_id) where namespace_id is not null;

-- Robots have the name of their owner, a namespace or a user, in front of their own.
alter table principal
    drop constraint principal_kind_check,
    drop constraint principal_name_check,
    add constraint principal_kind_check check (kind in ('builtin', 'user', 'team', 'robot')),
    add constraint principal_name_check check (
        case kind
            when 'robot' then name ~ '^[a-z0-9][a-z0-9._-]{0,62}/[a-z0-9][a-z0-9._-]{0,62}$'
            else name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'
        end);

create table robot (
    pid          bigint primary key references principal,
    -- One of both.
    namespace_id bigint references namespace,
    user_pid     bigint references principal,
    description  text,
    created_by   bigint references principal,
    constraint robot_owner_check check ((namespace_id is null) <> (user_pid is null))
);

create index robot_namespace on robot (namespace_id);
create index robot_user on robot (user_pid);

-- The secret itself is not here: only its keyed MAC, which is worth nothing without the setting `secret`.
create table robot_secret (
    id           uuid primary key,
    mac          bytea not null constraint robot_secret_key unique check (octet_length(mac) = 32),
    pid          bigint not null references principal,
    label        text,
    created_by   bigint references principal,
    created_at   timestamptz not null,
    -- Within some minutes.
    last_used_at timestamptz,
    expires_at   timestamptz
);

create index robot_secret_owner on robot_secret (pid, created_at);
