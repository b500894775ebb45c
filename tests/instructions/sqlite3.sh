#!/usr/bin/env bash
# behaviour: sqlite needs no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
cat > work.sql <<'SQL'
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, body BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<6000)
INSERT INTO t SELECT i, printf('name %d', i*7919%60001), zeroblob(i%200) FROM n;
CREATE INDEX byname ON t(name);
SELECT name, count(*) FROM t GROUP BY substr(name,1,7) ORDER BY 1 LIMIT 5;
UPDATE t SET name=name||'x' WHERE id%3=0;
PRAGMA integrity_check;
SQL
$COUNT sqlite3 :memory: < work.sql > /dev/null
