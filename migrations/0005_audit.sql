-- What happened, for people who ask later. Names are kept as they were at the time, because a record must survive
-- the thing it is about; secrets never get here.
create table audit_event (
    id      bigint generated always as identity primary key,
    at      timestamptz not null,
    event   text collate "C" not null,
    -- A user name, `cli`, or empty for a request without credentials.
    actor   text not null,
    -- The stable id of the actor, when there is one.
    actor_uid uuid,
    -- On whom or what.
    target  text not null,
    outcome text collate "C" not null check (outcome in ('allowed', 'refused')),
    -- More than the person was told, such as why a login failed.
    reason  text,
    address text,
    agent   text
);

create index audit_event_at on audit_event (at);
