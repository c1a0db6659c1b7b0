-- The life of a key that signs tokens: staged until `signs_since`, active while no newer one of its kind signs, then only
-- published, and retired at `retires_at`. Nothing has to run for that, the times say it.
alter table signing_key
    add column retires_at timestamptz;

-- Keys that sign only for registries whose settings ask for their algorithm. They have a table of their own, because
-- servers of the release before sign for everybody with the newest key of `signing_key`, and do not start on an algorithm
-- that they do not know there.
create table algorithm_key (
    kid                text collate "C" primary key,
    algorithm          text collate "C" not null check (algorithm in ('ES256', 'RS256', 'EdDSA')),
    origin             text collate "C" not null check (origin in ('generated', 'imported')),
    sealed_private_key bytea not null,
    certificate        bytea not null,
    signs_since        timestamptz not null,
    retires_at         timestamptz,
    created_at         timestamptz not null
);

-- What is left of retired keys of both tables: no private half, and nothing that any server publishes.
create table retired_key (
    kid         text collate "C" primary key,
    algorithm   text collate "C" not null,
    origin      text collate "C" not null,
    signs_for   text collate "C" not null check (signs_for in ('all', 'algorithm')),
    certificate bytea not null,
    signs_since timestamptz not null,
    retired_at  timestamptz not null,
    created_at  timestamptz not null
);
