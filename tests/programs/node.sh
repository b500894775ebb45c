#!/usr/bin/env bash
# behaviour: node runs the same: objects, zlib, worker threads, a child process
# source: real program
# programs: node
# timeout: 90
set -eu
cat > work.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), { execFileSync } = require('child_process');
if (!isMainThread) {
  const m = new Map();
  for (let i = 0; i < 50000; i++) m.set('k' + (i * workerData) % 5003, Buffer.alloc(i % 500, i));
  let sum = 0;
  for (const b of m.values()) sum += b.length;
  parentPort.postMessage([workerData, m.size, sum]);
} else {
  const text = JSON.stringify(Array.from({ length: 40000 }, (_, i) => ({ i, s: 'x'.repeat(i % 50) })));
  console.log(text.length, crypto.createHash('sha256').update(text).digest('hex'));
  for (const [c, d] of [['gzipSync', 'gunzipSync'], ['brotliCompressSync', 'brotliDecompressSync']]) {
    const packed = zlib[c](text, c[0] === 'b' ? { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } } : {});
    console.log(c, zlib[d](packed).toString() === text);
  }
  console.log(execFileSync(process.execPath, ['-e', 'console.log([1,2,3].map(x => x * 2))']).toString());
  const results = [];
  let left = 4;
  for (let k = 1; k <= 4; k++)
    new Worker(__filename, { workerData: k }).on('message', (m) => results.push(m)).on('exit', () => {
      if (!--left) console.log(JSON.stringify(results.sort((a, b) => a[0] - b[0])));
    });
  const buffers = [];
  for (let i = 0; i < 3000; i++) buffers.push(Buffer.allocUnsafeSlow(i * 11).fill(i));
  console.log(buffers.reduce((a, b) => a + b.length, 0));
}
JS
node work.js
