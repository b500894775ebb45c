#!/usr/bin/env bash
# behaviour: chromium with its sandbox in force (user namespaces, seccomp), which refuses to start without one, renders a page the
#   same with the library preloaded, as a user without rights
# source: chromium docs, linux/sandboxing.md
# timeout: 180
set -eu
cp "$BRKMAP_LIBRARY" libbrkmap.so
cat > page.html <<'HTML'
<!doctype html><title>page</title><p id=text></p><script>
const words = new Map();
for (let i = 0; i < 20000; i++) words.set('w' + (i * 7919) % 4001, 'x'.repeat(i % 40));
document.getElementById('text').textContent = 'done ' + words.size;
</script>
HTML
mkdir home
chmod -R a+rX .
chmod 777 home
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --); fi
render() {
    "${as_user[@]}" env -i PATH=/usr/bin:/bin HOME="$PWD/home" ${1:+LD_PRELOAD="$1"} chromium --headless --disable-gpu --disable-quic \
        --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
        --user-data-dir="$PWD/home/profile-$2" --dump-dom "file://$PWD/page.html"
}
# It may fail to start on a busy machine whatever its malloc is: the run that is only compared with gets more tries.
tries=3
until render "" plain$tries > plain 2> plain.errors && grep -q 'done 4001' plain; do
    tries=$((tries - 1))
    test $tries -gt 0 || { cat plain.errors; echo "chromium does not start here without the library either"; exit 1; }
done
render "$PWD/libbrkmap.so" preloaded > preloaded 2> preloaded.errors || { cat preloaded.errors; exit 1; }
cmp plain preloaded
