#!/usr/bin/env bash
# behaviour: C++ programs with the archive and with the shared library: new, delete, exceptions, thread-local destructors
# source: C++17 [basic.stc.dynamic.allocation]: operator new of libstdc++ calls malloc by name
# timeout: 60
flags="-std=c++17 -O1 -g -Wall -Werror -fno-builtin -pthread"
g++ $flags "$SOURCES/program.cc" "$LIBRARIES/libbrkmap.a" -o archive
test "$(./archive)" = done
g++ $flags "$SOURCES/program.cc" "$LIBRARIES/libbrkmap.so" -Wl,-rpath,"$LIBRARIES" -o shared
readelf -d shared | grep -q 'NEEDED.*libbrkmap.so.0'
test "$(./shared)" = done
