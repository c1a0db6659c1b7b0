-- What tokens were issued for: one row for an hour, a subject, a repository and what was granted there, with a count.
-- Rows are added up every few seconds, not with each token.
create table token_use (
    -- A user name, or empty for clients without a login.
    subject      text collate "C" not null,
    -- Empty where a subject had more rows in an hour than are kept apart.
    repository   text collate "C" not null,
    -- Words with commas between them, as in a scope; empty as above.
    actions      text collate "C" not null,
    hour         timestamptz not null,
    -- The stable id of the subject, when there is one.
    subject_uid  uuid,
    uses         bigint not null check (uses > 0),
    last_at      timestamptz not null,
    last_address text,
    constraint token_use_key primary key (subject, repository, actions, hour)
);

create index token_use_hour on token_use (hour);

-- How many scopes of tokens rested on a row of acl_grant on a day. A row that was removed is not looked for here, so
-- nothing keeps the two together: removing rights must not wait for those who count.
create table grant_use (
    grant_id bigint not null,
    day      date not null,
    uses     bigint not null check (uses > 0),
    constraint grant_use_key primary key (grant_id, day)
);

create index grant_use_day on grant_use (day);

-- Since when both tables have everything: before that, that nothing is there says nothing. One row.
create table token_use_start (
    since timestamptz not null
);

insert into token_use_start (since) values (now());
