#!/usr/bin/env bash
# behaviour: headless chromium, which brings its own malloc, starts under the library and renders a page the same
# source: real program
# own-malloc: chromium chrome_crashpad_handler
# timeout: 120
set -eu
cat > page.html <<'HTML'
<!doctype html><title>page</title><body><ul id=list></ul><script>
const words = new Map();
for (let i = 0; i < 20000; i++) words.set('w' + (i * 7919) % 4001, 'x'.repeat(i % 40));
for (const [k, v] of [...words].sort().slice(0, 200)) {
  const item = document.createElement('li');
  item.textContent = k + ' ' + v.length;
  document.getElementById('list').append(item);
}
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 300;
canvas.getContext('2d').fillRect(10, 10, 200, 200);
document.title = 'done ' + words.size + ' ' + canvas.getContext('2d').getImageData(20, 20, 1, 1).data[3];
</script></body>
HTML
# It may fail to start on a busy machine whatever its malloc is: the run that is only compared with gets more tries.
case $LD_PRELOAD in *libbrkmap*) tries=1 ;; *) tries=3 ;; esac
until chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --disable-dev-shm-usage --user-data-dir="$PWD/profile$tries" --dump-dom "file://$PWD/page.html" > out 2> errors; do
    tries=$((tries - 1))
    test $tries -gt 0 || { cat errors >&2; exit 1; }
done
cat out
