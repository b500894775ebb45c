#!/usr/bin/env python3
"""What a forked child has to itself, by what lies there: python3 bench/cow_map.py PARENT CHILD

Each resident anonymous OS page of the child that is another one in the parent (pagemap, frame number), and not the kernel's page of
zeros, is one that either wrote to, or that the parent gave back. Bit 56 ("mapped by nobody else") would not do: Linux 6.18 judges all
of a huge page by its first OS page. On brkmap's heap it is a page of blocks, of records or of free slices; elsewhere it has its mapping's name.
"changed" is how many of these OS pages differ between the two: where they are the same, somebody wrote what was there already.
Must be allowed to read both processes' memory and frame numbers (root)."""
import array
import collections
import os
import pathlib
import re
import struct
import sys

OS_PAGE = 4096
FRAME = (1 << 55) - 1
WIRE = pathlib.Path(__file__).parent.parent / "crates/wire/src/lib.rs"


class Process:
    def __init__(self, number):
        self.number = number
        self.memory = os.open(f"/proc/{number}/mem", os.O_RDONLY)
        self.pages = os.open(f"/proc/{number}/pagemap", os.O_RDONLY)

    def read(self, address, length):
        data = os.pread(self.memory, length, address)
        if len(data) != length:
            raise OSError(f"{self.number}: only {len(data)} of {length} bytes at {address:#x}")
        return data

    def word(self, address):
        return struct.unpack("<Q", self.read(address, 8))[0]

    def maps(self):
        for line in open(f"/proc/{self.number}/maps"):
            fields = line.split(None, 5)
            start, end = (int(half, 16) for half in fields[0].split("-"))
            yield start, end, fields[1], fields[5].strip() if len(fields) > 5 else ""

    def pagemap(self, start, end):
        entries = array.array("Q")
        entries.frombytes(os.pread(self.pages, (end - start) // OS_PAGE * 8, start // OS_PAGE * 8))
        return entries


KERNEL_FLAGS = os.open("/proc/kpageflags", os.O_RDONLY)


def is_zero_page(frame):
    return struct.unpack("<Q", os.pread(KERNEL_FLAGS, 8, 8 * frame))[0] >> 24 & 1


def published(process):
    """The root of brkmap in a process, by field; nothing on another malloc."""
    text = WIRE.read_text().split("\nroot! {\n", 1)[1].split("\n}\n", 1)[0]
    names = re.findall(r"^    (\w+),$", text, re.M)
    for start, end, access, name in process.maps():
        if "w" in access and name.startswith("/") and "brkmap" in name:
            data = process.read(start, end - start)
            at = data.find(b"\x7fbrkmap\x00root\x1a\x0d\x0a\x00")
            if at >= 0:
                return dict(zip(names, struct.unpack_from(f"<{len(names)}Q", data, at + 16)))
    return {}


class Places:
    """What lies where in brkmap's memory, to the OS page."""

    def __init__(self, process, root):
        self.leaves, self.tables, self.slices, self.root = [], set(), {}, root
        sizes = process.read(root["class_sizes"], 4 * root["class_count"]) if root else b""
        self.sizes = struct.unpack(f"<{len(sizes) // 4}I", sizes)
        leaf = process.word(root["leaf_head"]) if root else 0
        while leaf:
            self.leaves.append(leaf)
            self.walk(process.read(leaf, root["leaf_bytes"]))
            leaf = process.word(leaf + root["leaf_next"])

    def walk(self, leaf):
        root, index = self.root, 0
        first = struct.unpack_from("<Q", leaf, root["leaf_first_slice"])[0]
        bit = lambda name, at: leaf[root[name] + at // 8] >> (at % 8) & 1
        field = lambda name, form: struct.unpack_from(form, leaf, root["leaf_metas"] + index * root["meta_stride"] + root[name])[0]
        while index < root["leaf_slices"]:
            count = 1
            if bit("leaf_owned", index) and bit("leaf_free", index):
                self.slices[first + index] = "free slices"
            elif field("meta_owner", "<Q") > root["owner_kept"]:
                size_class = field("meta_class", "<B")
                count = root["medium_slices"] if root["class_medium"] <= size_class < root["class_fine"] else 1
                blocks = (count << root["slice_shift"]) // self.sizes[size_class]
                states = field("meta_states", "<Q")
                self.tables.update(range(states // OS_PAGE, (states + blocks) // OS_PAGE + 1))
                self.slices.update((first + index + at, "blocks") for at in range(count))
            elif bit("leaf_owned", index):
                self.slices[first + index] = "runs"
            index += count

    def name(self, address, mapping):
        for leaf in self.leaves:
            if leaf <= address < leaf + self.root["leaf_bytes"]:
                return "page metas"
        if address // OS_PAGE in self.tables:
            return "tables of state bytes"
        of_mapping = os.path.basename(mapping) or "mappings without a name"
        return self.slices.get(address >> self.root["slice_shift"], of_mapping) if self.root else of_mapping


def main():
    parent, child = (Process(int(number)) for number in sys.argv[1:3])
    places = Places(child, published(child))
    own, changed = collections.Counter(), collections.Counter()
    for start, end, _, mapping in child.maps():
        if start >= 1 << 47 or mapping.startswith("[v"):
            continue
        of_child, of_parent = child.pagemap(start, end), parent.pagemap(start, end)
        of_parent.extend([0] * (len(of_child) - len(of_parent)))
        for index, (entry, other) in enumerate(zip(of_child, of_parent)):
            if entry >> 63 & 1 and not entry >> 61 & 1 and (entry ^ other) & FRAME and not is_zero_page(entry & FRAME):
                address = start + index * OS_PAGE
                name = places.name(address, mapping)
                own[name] += 1
                try:
                    changed[name] += parent.read(address, OS_PAGE) != child.read(address, OS_PAGE)
                except OSError:
                    changed[name] += 1
    for name, pages in own.most_common():
        print(f"{pages * 4:8} KiB, changed {changed[name] * 4:8} KiB  {name}")
    print(f"{sum(own.values()) * 4:8} KiB in all")


main()
