-- Long-lived logins. The token itself is not here: only its keyed MAC, which is worth nothing without the setting
-- `secret`.
create table refresh_token (
    mac          bytea primary key check (octet_length(mac) = 32),
    pid          bigint not null references principal,
    audience     text not null,
    client_id    text not null,
    created_at   timestamptz not null,
    last_used_at timestamptz not null,
    expires_at   timestamptz not null
);

create index refresh_token_owner on refresh_token (pid, last_used_at);
