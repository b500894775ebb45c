#!/usr/bin/env bash
# behaviour: `brkmap inspect` reads the heaps of glibc 2.31 and 2.41 exactly: real programs run under each one's own loader; live
#   bytes are those of mallinfo, and a trim returns what was predicted
# source: docs/INSPECT.md; libc6 of Debian 11 and 13, from the mirror that this machine is set up for
# timeout: 600
set -eu
"$CARGO" build --quiet --release --locked -p brkmap-cli --manifest-path "$REPOSITORY/Cargo.toml"
brkmap=${CARGO_TARGET_DIR:-$REPOSITORY/target}/release/brkmap
kept=${CARGO_TARGET_DIR:-$REPOSITORY/target}/other-glibc
mkdir -p "$kept"

# Unpacks the libc6 of a release. apt works on lists of its own, so that the machine's stay as they are.
fetch() {
    local release=$1 place=$kept/$1
    if test -d "$place"; then return; fi
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(SUITE)' 'Created-By: Packages' |
        awk '$2 == "Debian" && $3 !~ /security/ { print $1; exit }')
    test -n "$mirror" || { echo "apt knows no mirror of Debian; run apt-get update" >&2; exit 1; }
    local apt=$PWD/apt-$release
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/unpacked"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" > "$apt/sources.list"
    local set=(-q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 -o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::Etc::sourcelist=$apt/sources.list"
        -o Dir::Etc::sourceparts=- -o Acquire::Languages=none -o APT::Sandbox::User=root
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${set[@]}" update
    (cd "$apt" && apt-get "${set[@]}" download "libc6/$release" "libgcc-s1/$release")
    for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$apt/unpacked"; done
    mv "$apt/unpacked" "$place"
}

cat > check.py <<'PYTHON'
import json, subprocess, sys
brkmap, version, program = sys.argv[1:]
for state in "top fast cached mixed arenas fragmented mapped foreign".split():
    target = subprocess.Popen([program, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    def ask(line):
        target.stdin.write(line + "\n")
        target.stdin.flush()
        return [int(number) for number in target.stdout.readline().split()]
    assert target.stdout.readline().startswith("ready")
    look = subprocess.run([brkmap, "inspect", str(target.pid), "--json", "--over", "0"], stdout=subprocess.PIPE, check=True)
    document = json.loads(look.stdout)
    heap = document["glibc"]
    total = heap["total"]
    live = total["live_bytes"] + total["header_bytes"] + total["cached_bytes"]
    in_use, mapped = ask("info")
    before, after = ask("trim")
    predicted, measured = document["trim"]["returns_bytes"] // 1024, max(0, before - after)
    unexplained = sum(row["bytes"] for row in document["waterfall"]["rows"] if row["key"] == "unexplained")
    print(version, state, document["verdict"]["class"], "live", live, in_use, "trim KiB", predicted, measured, flush=True)
    target.kill()
    target.wait()
    foreign = 300000 + 2 * 4096 if state == "foreign" else 0
    assert heap["version"] == version, heap["version"]
    assert 0 <= in_use - live <= (len(heap["arenas"]) - 1) * 2304 + foreign, state
    assert heap["mapped"]["bytes"] == mapped, state
    assert heap["torn"] == 0 and heap["problem"] is None, heap["problem"]
    assert abs(predicted - measured) <= max(200, measured / 50), state
    assert unexplained * 100 <= document["rss_bytes"], state
PYTHON

for pair in bullseye:2.31 trixie:2.41; do
    release=${pair%:*} version=${pair#*:}
    fetch "$release"
    folder=$(dirname "$(find "$kept/$release" -name libc.so.6 | head -n 1)")
    # Linked against that libc itself, or it would ask for symbols that an older one has not.
    libraries=(-l:libc.so.6)
    if test -e "$folder/libpthread.so.0"; then libraries+=(-l:libpthread.so.0); fi
    gcc -O1 -w -fno-stack-protector -o "sick-$version" "$REPOSITORY/crates/cli/tests/command/targets/sick.c" \
        -nodefaultlibs -L"$folder" "${libraries[@]}" -l:libgcc_s.so.1 \
        -Wl,--dynamic-linker="$folder/ld-linux-x86-64.so.2" -Wl,-rpath,"$folder"
    python3 check.py "$brkmap" "$version" "$PWD/sick-$version"
done
