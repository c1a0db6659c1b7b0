-- What the triggers read and write is what stands beside them, whatever somebody who changes a table has put into a
-- temporary table of the same name: Postgres looks there first, unless it is told to look there last.
do $$
declare
    found record;
begin
    for found in
        select p.oid::regprocedure as function, n.nspname as schema
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
         where p.oid in ('acl_note()'::regprocedure, 'audit_extend()'::regprocedure,
                         'audit_check_removed()'::regprocedure, 'audit_check_anchor()'::regprocedure)
    loop
        execute format('alter function %s set search_path = %I, pg_temp', found.function, found.schema);
    end loop;
end
$$;
