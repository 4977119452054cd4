-- For a PostgreSQL that serves Daybook alone, as those of the compose file and the manifests: its roles have nothing to
-- do in the databases that come with it, where everybody may connect and make temporary tables. Superusers still may.
\set ON_ERROR_STOP on
revoke all on database postgres, template1 from public;
