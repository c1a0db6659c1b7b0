-- Keys that sign tokens. The private half is sealed with a key derived from the setting `secret`; a copy of the
-- database alone cannot sign anything.
create table signing_key (
    kid                text collate "C" primary key,
    algorithm          text collate "C" not null check (algorithm in ('ES256')),
    sealed_private_key bytea not null,
    certificate        bytea not null,
    created_at         timestamptz not null default now()
);
