-- Roles are the server's, not the database's: a server that is restored to needs them first.
SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY['torture_owner', 'torture_reader', 'Torture "odd" rôle']) role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec
