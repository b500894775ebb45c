#!/usr/bin/env bash
# behaviour: sqlite runs the same: 60000 rows, an index, vacuum, integrity_check
# source: real program
# programs: sqlite3
# timeout: 60
set -eu
sqlite3 data.db <<'SQL'
PRAGMA journal_mode=WAL;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, body BLOB, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60000)
INSERT INTO t SELECT i, printf('name %d', i*7919%60001), zeroblob(i%300), i/7.0 FROM n;
CREATE INDEX byname ON t(name);
SELECT count(*), sum(length(body)), round(sum(value),3) FROM t;
SELECT name, count(*) FROM t GROUP BY substr(name,1,7) ORDER BY 1 LIMIT 12;
UPDATE t SET name=name||'x' WHERE id%3=0;
DELETE FROM t WHERE id%5=0;
VACUUM;
PRAGMA integrity_check;
SELECT a.name FROM t a JOIN t b ON a.id=b.id*2 WHERE b.id BETWEEN 1000 AND 1100 ORDER BY a.name DESC LIMIT 10;
SELECT group_concat(name) FROM (SELECT name FROM t ORDER BY name LIMIT 200);
SELECT json_group_array(value) FROM (SELECT value FROM t LIMIT 20);
SQL
sqlite3 data.db .dump | sha256sum
