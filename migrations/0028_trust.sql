-- Whose signed tokens say which workload somebody is: build platforms and clusters.
create table trust_issuer (
    id         uuid primary key,
    name       text collate "C" not null unique check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    -- The claim `iss`.
    url        text collate "C" not null unique check (octet_length(url) between 1 and 500),
    -- What the claim `aud` must hold: a token for somebody else is worth nothing here.
    audience   text collate "C" not null check (octet_length(audience) between 1 and 500),
    -- Whose claims these are, by which it is known what can change hands and what comes from strangers.
    platform   text collate "C" not null check (platform in ('generic', 'github', 'gitlab', 'kubernetes', 'buildkite',
                                                             'circleci')),
    -- The public keys; those that the issuer publishes, if there are none here.
    key_set    jsonb,
    -- Nobody when it was made on the command line of the server.
    created_by bigint references principal,
    created_at timestamptz not null
);

-- Which of their tokens are a workload: those of which every condition is true.
create table trust_rule (
    pid        bigint primary key references workload on delete cascade,
    issuer_id  uuid not null references trust_issuer,
    -- [["claim", "value"], …], in the order of claims.
    conditions jsonb not null,
    created_by bigint references principal,
    created_at timestamptz not null
);

create index trust_rule_issuer on trust_rule (issuer_id);

-- Tokens that were in order and no workload, so that one of them can be made one.
create table trust_attempt (
    id         uuid primary key,
    issuer_id  uuid not null references trust_issuer on delete cascade,
    -- What tells one from another: a hash of the claims that say who it is.
    identity   bytea not null,
    claims     jsonb not null,
    reason     text collate "C" not null,
    address    text,
    tries      integer not null default 1,
    first_at   timestamptz not null,
    last_at    timestamptz not null,
    unique (issuer_id, identity)
);

create index trust_attempt_last on trust_attempt (last_at);

-- Tokens that were used, so that one which is seen somewhere else is known to be stolen.
create table trust_redeemed (
    -- A hash of the issuer and of what tells the token from others.
    token      bytea primary key,
    -- From where.
    network    text collate "C" not null,
    -- As which workload.
    pid        bigint not null references workload on delete cascade,
    first_at   timestamptz not null,
    -- When it is of no use to anybody any more.
    ends_at    timestamptz not null
);

create index trust_redeemed_end on trust_redeemed (ends_at);

-- A workload keeps a login for as long as its build takes, with what its token said.
alter table refresh_token add column claims jsonb;

create function trust_rule_revokes() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    begin
        perform revoke_tokens_of(old.pid, null);
        return null;
    end
    $$;

create trigger trust_rule_revokes after delete or update on trust_rule
    for each row execute function trust_rule_revokes();

-- What it reads is what stands beside it, whatever somebody has put into a temporary table of the same name.
do $$
declare
    found record;
begin
    for found in
        select p.oid::regprocedure as function, n.nspname as schema
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where n.nspname = current_schema() and p.proname = 'trust_rule_revokes'
    loop
        execute format('alter function %s set search_path = %I, pg_temp', found.function, found.schema);
    end loop;
end
$$;
