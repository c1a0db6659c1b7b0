-- The audit record becomes a chain: each row has a hash over itself and the hash of the row before, so that a row that
-- was changed, removed or moved does not fit any more. Rows are only added, one at a time and in the order in which
-- they are committed, and only the oldest can be removed.
--
--     hash = sha256(hash of the row before || fields)
--
-- The fields are the columns id, at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after in
-- this order. Each is four bytes with the length of its text, most significant first, and the text in UTF-8; a null is
-- four bytes ff. A number is written in decimal, a time as microseconds since 1970 in decimal, and a UUID in lower case
-- with dashes. So nothing depends on settings of a session, and two different rows never have the same bytes.
alter table audit_event
    -- What the trigger counts has no gaps, and needs no right on a sequence.
    alter column id drop identity,
    -- What was in effect before a change, and what is since; never a secret.
    add column before text,
    add column after  text,
    add column hash   bytea;

-- Where the chain begins: the last row that was removed, or number 0 with a hash of zeros.
create table audit_anchor (
    only_one boolean primary key default true check (only_one),
    id       bigint not null,
    hash     bytea not null check (octet_length(hash) = 32)
);

insert into audit_anchor (id, hash) values (0, decode(repeat('00', 32), 'hex'));

create function audit_field(value text) returns bytea
    language sql stable
    as $$
        select coalesce(int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8'), int4send(-1))
    $$;

create function audit_hash(previous bytea, event audit_event) returns bytea
    language sql stable
    as $$
        select sha256(
            previous
            || audit_field(event.id::text)
            || audit_field((extract(epoch from event.at) * 1000000)::bigint::text)
            || audit_field(event.event)
            || audit_field(event.actor)
            || audit_field(event.actor_uid::text)
            || audit_field(event.target)
            || audit_field(event.outcome)
            || audit_field(event.reason)
            || audit_field(event.address)
            || audit_field(event.agent)
            || audit_field(event.before)
            || audit_field(event.after))
    $$;

do $$
declare
    previous bytea := (select hash from audit_anchor);
    number   bigint;
begin
    for number in select id from audit_event order by id loop
        update audit_event e set hash = audit_hash(previous, e) where e.id = number returning e.hash into previous;
    end loop;
end
$$;

alter table audit_event
    alter column hash set not null,
    add constraint audit_event_hash_check check (octet_length(hash) = 32);

-- As the owner of the schema, so that a role that may add rows needs nothing else.
create function audit_extend() returns trigger
    language plpgsql security definer set search_path from current
    as $$
    declare
        -- Whoever adds a row excludes others by this number until the transaction ends. ("audt" in ASCII.)
        audit_lock constant bigint := x'61756474'::bigint;
        previous record;
    begin
        perform pg_advisory_xact_lock(audit_lock);
        -- An older snapshot would not show the row that was added while this one waited.
        if current_setting('transaction_isolation') <> 'read committed' then
            raise exception 'the audit record can only be written in a transaction that is read committed';
        end if;
        select e.id, e.hash into previous from audit_event e order by e.id desc limit 1;
        if not found then
            select a.id, a.hash into previous from audit_anchor a;
        end if;
        new.id := previous.id + 1;
        new.hash := audit_hash(previous.hash, new);
        return new;
    end
    $$;

create trigger audit_event_extend before insert on audit_event
    for each row execute function audit_extend();

create function audit_refuse() returns trigger
    language plpgsql
    as $$
    begin
        raise exception 'the audit record is only added to'
            using hint = '`token-server audit prune` removes its oldest rows.';
    end
    $$;

create trigger audit_event_unchanged before update or truncate on audit_event
    for each statement execute function audit_refuse();

create trigger audit_anchor_stays before insert or delete or truncate on audit_anchor
    for each statement execute function audit_refuse();

-- A row can be removed when the anchor has passed it, and the anchor moves from row to row.
create function audit_check_removed() returns trigger
    language plpgsql
    as $$
    begin
        if exists (select from removed where id > (select a.id from audit_anchor a)) then
            raise exception 'the audit record loses only its oldest rows'
                using hint = '`token-server audit prune` removes them.';
        end if;
        return null;
    end
    $$;

create trigger audit_event_removed after delete on audit_event
    referencing old table as removed
    for each statement execute function audit_check_removed();

create function audit_check_anchor() returns trigger
    language plpgsql
    as $$
    begin
        if new.id <= old.id or not exists (select from audit_event e where e.id = new.id and e.hash = new.hash) then
            raise exception 'the audit record begins behind one of its rows';
        end if;
        return new;
    end
    $$;

create trigger audit_anchor_moves before update on audit_anchor
    for each row execute function audit_check_anchor();
