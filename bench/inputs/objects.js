// Strings, maps and buffers: V8's heap is its own, buffers and the engine's C++ objects come from malloc.
const zlib = require('zlib');
const words = new Map();
for (let i = 0; i < 200000; i++) words.set('word ' + (i * 7919) % 50021, [i, 'x'.repeat(i % 40)]);
const buffers = [];
for (let i = 0; i < 40000; i++) buffers[(i * 31) % 4000] = Buffer.allocUnsafeSlow(64 + (i * 37) % 4000).fill(i);
const text = JSON.stringify([...words]);
const packed = zlib.deflateSync(text, { level: 4 });
console.log(words.size, buffers.length, text.length, zlib.inflateSync(packed).toString() === text);
