-- Keys of other token servers can sign too, so that registries that know them go on. All keys are published; the one
-- that signs is the newest whose time has come, so that every server has published a key before any signs with it.
-- Servers of the release before sign with the newest key, and do not start when that is an RSA key: import keys when all
-- servers have been replaced.
alter table signing_key
    drop constraint signing_key_algorithm_check,
    add constraint signing_key_algorithm_check check (algorithm in ('ES256', 'RS256')),
    -- Registries know an imported key by its id, and others by the certificate that goes along.
    add column origin text collate "C" not null default 'generated' check (origin in ('generated', 'imported')),
    add column signs_since timestamptz not null default now();

update signing_key set signs_since = created_at;

-- Passwords that came with an older hash. A check of any password costs as much as the slowest of them, so this is asked
-- at each check.
create index user_account_bcrypt on user_account (substring(password_hash, 5, 2)) where password_hash like '$2%';
