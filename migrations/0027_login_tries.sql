-- Wrong passwords lately, of a user from one place and of all users from one place, so that servers which share a
-- database count as one. It need not outlive the database's own crash.
create unlogged table login_try (
    -- A hash of whom and where, because names that were typed can be passwords.
    key          bytea primary key,
    wrong        integer not null,
    -- When the next one may come.
    next_at      timestamptz not null,
    -- When all is forgotten.
    forgotten_at timestamptz not null
);
