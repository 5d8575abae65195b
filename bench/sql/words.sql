-- Hex digits as words of seven letters or so, with few digits, as in what people write. Inlined by the server.
CREATE FUNCTION pg_temp.words(hex text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace(replace(replace(replace(replace(replace(
        hex, '6', ' '), 'f', ' '), '0', 'o'), '1', 'l'), '2', 'z'), '5', 's'), '7', 't'), '8', 'h')
$$;
