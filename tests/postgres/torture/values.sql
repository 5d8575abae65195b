-- Each built-in type with its odd values: plain, as array (with nulls, of two dimensions, with a lower bound that is not
-- 1), inside a composite, and as a domain.
CREATE SCHEMA values_of;
CREATE PROCEDURE pg_temp.values_of(type text, VARIADIC texts text[]) LANGUAGE plpgsql AS $$
DECLARE
    kind text := format('values_of.%I', type || ' row');
    domain text := format('values_of.%I', type || ' domain');
    target text := format('values_of.%I', type);
BEGIN
    EXECUTE format('CREATE TYPE %s AS (first %s, second text, third %s[])', kind, type, type);
    EXECUTE format('CREATE DOMAIN %s AS %s', domain, type);
    EXECUTE format('CREATE TABLE %s (n int PRIMARY KEY, v %s, d %s, c %s, a %s[])', target, type, domain, kind, type);
    FOR n IN 1 .. cardinality(texts) LOOP
        EXECUTE format('INSERT INTO %s SELECT $1, v, v, ROW (v, %L, ARRAY[v, NULL])::%s, ARRAY[v] '
                       'FROM (SELECT %L::%s) AS given (v)', target, 'a "b", (c) \', kind, texts[n], type) USING n;
    END LOOP;
    EXECUTE format('INSERT INTO %s (n) VALUES (0)', target);
    EXECUTE format('INSERT INTO %s VALUES (-1, NULL, NULL, ROW (NULL, NULL, NULL)::%s, %L)', target, kind, '{}');
    EXECUTE format('INSERT INTO %1$s (n, a) SELECT -2, array_agg(v ORDER BY n) FROM %1$s', target);
    EXECUTE format('INSERT INTO %1$s (n, a) SELECT -3, array_agg(ARRAY[v, NULL] ORDER BY n) FROM %1$s WHERE n > 0', target);
    EXECUTE format('INSERT INTO %1$s (n, a) SELECT -4, (format(''[-7:%%s]=%%s'', cardinality(a) - 8, a))::%2$s[] '
                   'FROM %1$s WHERE n = -2', target, type);
END $$;

CALL pg_temp.values_of('boolean', 'true', 'false');
CALL pg_temp.values_of('smallint', '0', '-32768', '32767');
CALL pg_temp.values_of('integer', '0', '-2147483648', '2147483647');
CALL pg_temp.values_of('bigint', '0', '-9223372036854775808', '9223372036854775807', '9007199254740993');
CALL pg_temp.values_of('real', '0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-45', '1.17549435e-38', '3.4028235e38', '0.1',
                       '16777217');
CALL pg_temp.values_of('double precision', '0', '-0', 'NaN', 'Infinity', '-Infinity', '5e-324', '2.2250738585072014e-308',
                       '1.7976931348623157e308', '0.1', '0.30000000000000004', '9007199254740993', '1e15', '1e16', '123456789012345.67');
INSERT INTO values_of."double precision" VALUES (100, -'NaN'::float8);  -- a NaN of other bits, of the same text
INSERT INTO values_of."real" VALUES (100, -'NaN'::float4);
CALL pg_temp.values_of('numeric', '0', '-0', '0.00', '1.10', 'NaN', 'Infinity', '-Infinity', '1e-1000', '1e1000', '-1e131071',
                       repeat('9', 1000), '-' || repeat('1234567890', 100) || '.' || repeat('0123456789', 100), '1e-16383');
CALL pg_temp.values_of('numeric(10,2)', '0', '-99999999.99', '0.10', 'NaN');
\if :v15
CALL pg_temp.values_of('numeric(3,-2)', '12300', '-99900');
CALL pg_temp.values_of('numeric(3,5)', '0.00123', '-0.00999');
\endif
CALL pg_temp.values_of('money', '0', '-92233720368547758.08', '92233720368547758.07', '1234.50');
CALL pg_temp.values_of('text', '', ' ', 'plain', E'tab\tinside', E'back\\slash', '\N', '\.', E'line\nfeed', E'carriage\rreturn',
    E'cr\r\nlf', E'\n', E'\\n', 'single '' quote', 'double " quote', '"', '""', ',', ' lead and trail ', 'NULL', 'null', 'naïve',
    E'line\u2028separator', E'next\u0085line', '😀', E'e\u0301', E'\uFEFFbom', E'\u202Ertl', E'\u0001\u001f\u007f', E'\U0010FFFF',
    E'nonchar \uFFFE', '{a,b}', '(a,b)', '12', '1.0', 'true', repeat('long ', 3000), '表', '=1+1', '#', '--', ';', '%s', '$1');
CALL pg_temp.values_of('character varying(9)', '', 'nine char', ' x ', '😀😀😀😀😀😀😀😀😀');
CALL pg_temp.values_of('character(9)', '', 'x', ' x', '😀', E'tab\t');
CALL pg_temp.values_of('character(1)', '', 'x', ' ');
CALL pg_temp.values_of('name', '', 'x', repeat('n', 63), 'Sp ace"');
CALL pg_temp.values_of('"char"', '', 'x', E'\\', '"', ' ', E'\n', ',');
\if :v16
CALL pg_temp.values_of('pg_catalog."char"', '\200', '\377', '\001');
\endif
CALL pg_temp.values_of('bytea', '', '\x00', '\x5c', '\xff00ff', '\x0a0d09', '\x' || repeat('00ff5c22', 5000));
CALL pg_temp.values_of('date', 'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '0001-01-01', '0001-12-31 BC',
                       '1970-01-01', '2000-02-29', '10000-01-01');
CALL pg_temp.values_of('time', '00:00:00', '24:00:00', '23:59:59.999999', '12:00:00.1');
CALL pg_temp.values_of('time(0)', '24:00:00', '23:59:59');
CALL pg_temp.values_of('timetz', '00:00:00+00', '24:00:00-15:59:59', '24:00:00+15:59:59', '12:34:56.789012+05:30');
CALL pg_temp.values_of('timestamp', 'infinity', '-infinity', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999',
                       '1970-01-01', '2000-01-01 24:00:00', '1900-01-01 00:00:00.000001', '0044-03-15 12:00:00 BC');
CALL pg_temp.values_of('timestamp(3)', '2000-01-01 00:00:00.123', 'infinity');
CALL pg_temp.values_of('timestamptz', 'infinity', '-infinity', '4713-01-02 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00',
                       '1970-01-01 00:00:00+00', '1883-11-18 12:00:00-04:56:02', '2021-10-31 01:30:00+01', '0001-01-01 00:00:00+00 BC');
CALL pg_temp.values_of('interval', '0', '1 year -2 mons 3 days -04:05:06.000007', '-178000000 years', '178000000 years',
                       '2147483647 days', '-2147483648 days', '2147483647:59:59.999999', '-0.000001 s', '1 mon -1 day', '99:59:59');
\if :v17
CALL pg_temp.values_of('pg_catalog.interval', 'infinity', '-infinity');
\endif
CALL pg_temp.values_of('interval day to second(3)', '3 days 04:05:06.007', '-1 day');
CALL pg_temp.values_of('json', 'null', '{ "b" : 1,  "a": 2, "a": 3 }', '[1e400, 1.10, -0]', '"\u0000 \ud83d\ude00"', E'[\n\t1 ]', '""');
CALL pg_temp.values_of('jsonb', 'null', '{"b": 1, "a": {"x": [null, true]}}', '[1e400, 1.10, -0]', '"\\ \" \n \u00e9"', '{}', '[]',
                       '12345678901234567890.123456789');
CALL pg_temp.values_of('jsonpath', '$', 'strict $."a b"[*] ? (@.x > 1.5 && @.y like_regex "^a\\.b" flag "i")', 'lax $.**{2 to last}');
CALL pg_temp.values_of('uuid', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff');
CALL pg_temp.values_of('bit(5)', '00000', '11111', '10010');
CALL pg_temp.values_of('bit varying', '', '1', repeat('10', 500));
CALL pg_temp.values_of('bit varying(7)', '', '0000000');
CALL pg_temp.values_of('inet', '0.0.0.0', '10.1.2.3/8', '255.255.255.255/0', '::', '::ffff:1.2.3.4/96', 'fe80::1');
CALL pg_temp.values_of('cidr', '0.0.0.0/0', '10.0.0.0/8', '10.1.2.3/32', '::/0', '2001:db8::/32');
CALL pg_temp.values_of('macaddr', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff');
CALL pg_temp.values_of('macaddr8', '00:00:00:00:00:00:00:00', '08:00:2b:01:02:03:04:05');
CALL pg_temp.values_of('point', '(0,-0)', '(NaN,Infinity)', '(-5e-324,5e-324)', '(0.1,0.2)');
CALL pg_temp.values_of('line', '{1,-1,0}', '{0.1,0.2,0.30000000000000004}');
CALL pg_temp.values_of('lseg', '[(0,0),(1,1)]');
CALL pg_temp.values_of('box', '(1,1),(0,0)', '(Infinity,5),(-Infinity,-5)');
CALL pg_temp.values_of('path', '((0,0),(1,1),(2,0))', '[(0,0),(1,1)]');
CALL pg_temp.values_of('polygon', '((0,0),(1,1),(2,0))', '((-0,0.1))');
CALL pg_temp.values_of('circle', '<(0,0),0>', '<(1.5,-2),3e10>');
CALL pg_temp.values_of('tsvector', '', '''a b'':1A,2B cat:3', $$'it''s':1 'back\\slash'$$);
CALL pg_temp.values_of('tsquery', '', 'a & !b | c <-> d:*A', $$'it''s' & 'a b'$$);
CALL pg_temp.values_of('pg_lsn', '0/0', 'FFFFFFFF/FFFFFFFF');
CALL pg_temp.values_of('txid_snapshot', '10:20:10,14,15');
CALL pg_temp.values_of('pg_snapshot', '10:20:10,14,15', '18446744073709551610:18446744073709551615:');
CALL pg_temp.values_of('xid', '0', '4294967295');
CALL pg_temp.values_of('xid8', '0', '18446744073709551615');
CALL pg_temp.values_of('cid', '0', '4294967295');
CALL pg_temp.values_of('tid', '(0,1)', '(4294967295,65535)');
CALL pg_temp.values_of('oid', '0', '4294967295', '2147483648');
CALL pg_temp.values_of('refcursor', '', 'some cursor');
CALL pg_temp.values_of('aclitem', 'torture_reader=r*w/torture_owner', '=r/torture_owner');
CALL pg_temp.values_of('regclass', 'pg_class', 'information_schema.tables', '-', '4294967295', 'values_of.text');
CALL pg_temp.values_of('regtype', 'integer', 'text[]', 'values_of."text row"', '-', 'timestamp with time zone');
CALL pg_temp.values_of('regproc', 'now', '-', 'pg_catalog.version');
CALL pg_temp.values_of('regprocedure', 'abs(bigint)', '-');
CALL pg_temp.values_of('regoper', 'pg_catalog.||/', '0');
CALL pg_temp.values_of('regoperator', '+(integer,integer)', '!~~(text,text)', '0');
CALL pg_temp.values_of('regnamespace', 'values_of', 'pg_catalog', '-');
CALL pg_temp.values_of('regrole', 'torture_reader', '"Torture ""odd"" rôle"', '-');
CALL pg_temp.values_of('regcollation', '"C"', '-');
CALL pg_temp.values_of('regconfig', 'english', '-');
CALL pg_temp.values_of('regdictionary', 'simple', '-');
CALL pg_temp.values_of('int4range', 'empty', '(,)', '[1,1]', '[-2147483648,2147483647)');
CALL pg_temp.values_of('int8range', 'empty', '[9007199254740993,)');
CALL pg_temp.values_of('numrange', 'empty', '(NaN,NaN]', '[-Infinity,Infinity]', '(1.10,2.20]');
CALL pg_temp.values_of('tsrange', '(-infinity,infinity)', '["4713-01-01 00:00:00 BC",)', '(,)');
CALL pg_temp.values_of('tstzrange', '["2000-01-01 00:00:00+00","2000-01-02 00:00:00+00")', 'empty');
CALL pg_temp.values_of('daterange', '[infinity,infinity]', '[2000-01-01,)', 'empty');
CALL pg_temp.values_of('int4multirange', '{}', '{[1,2),[5,9)}', '{(,)}');
CALL pg_temp.values_of('nummultirange', '{}', '{[1.10,2.2],(3,Infinity)}');
CALL pg_temp.values_of('datemultirange', '{[2000-01-01,2000-02-01),[infinity,)}');
\if :xml
CALL pg_temp.values_of('xml', '<a b="c">d</a>', 'content <b/>', '<?xml version="1.0" standalone="yes"?><a/>', '<!-- x --><a>&#x1F600;</a>', '');
\endif
\if :contrib
CREATE SCHEMA extensions;
CREATE EXTENSION hstore WITH SCHEMA extensions;
CREATE EXTENSION citext;
CREATE EXTENSION ltree;
CREATE EXTENSION cube;
CREATE EXTENSION isn;
CREATE EXTENSION btree_gist;
CALL pg_temp.values_of('extensions.hstore', '', 'a=>NULL', '"a b"=>"c\"d", e=>"NULL"', '""=>""');
CALL pg_temp.values_of('citext', '', 'MiXed', E'tab\t"');
CALL pg_temp.values_of('ltree', '', 'Top.Science.Astronomy');
CALL pg_temp.values_of('lquery', 'Top.*{1,2}.!a@');
CALL pg_temp.values_of('cube', '(0.1,-0),(5,6)', '(1)');
CALL pg_temp.values_of('isbn13', '978-0-393-04002-9');
\endif
CREATE TABLE values_of.vectors (v int2vector, o oidvector, a int2vector[], b oidvector[]);
INSERT INTO values_of.vectors VALUES ('1 -2 3', '1 4294967295', '{"1 2",NULL}', '[0:0]={"3 4"}'), ('', '', '{}', '{""}'), (NULL, NULL, NULL, NULL);
DROP PROCEDURE pg_temp.values_of;
