"""ELF files that no linker makes, or that lead out of the tree: real ones, linked here, some with a field changed. Each
is written into OUT and told in a line: NAME WHERE REASON WORDS, its place in a bundle and what its refusal says.

  elves.py OUT KM LIBC      KM: a good static program; LIBC: musl's, executable by itself"""
import os
import struct
import subprocess
import sys

OUT, KM, LIBC = sys.argv[1:4]

# elf(5): offsets in the file's header, and in a program header
E_TYPE, E_MACHINE, E_ENTRY, E_PHOFF, E_PHENTSIZE, E_PHNUM = 16, 18, 24, 32, 54, 56
P_TYPE, P_OFFSET, P_VADDR, P_FILESZ, P_MEMSZ, P_ALIGN = 0, 8, 16, 32, 40, 48
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_RUNPATH = 0, 1, 5, 10, 29


def linked(*words):
    path = os.path.join(OUT, 'linked')
    subprocess.run(['gcc', '-x', 'c', '-', '-o', path, '-nostdlib', '-fPIC', *words], check=True,
                   input=b'int answer(void) { return 42; } void _start(void) { for (;;) answer(); }')
    with open(path, 'rb') as file:
        return bytearray(file.read())


def put(content, at, form, value):
    struct.pack_into('<' + form, content, at, value)
    return content


def segment(content, kind):
    """Where the first program header of that kind is."""
    start, size, count = (struct.unpack_from('<Q', content, E_PHOFF)[0], struct.unpack_from('<H', content,
        E_PHENTSIZE)[0],
                          struct.unpack_from('<H', content, E_PHNUM)[0])
    return next(at for at in range(start, start + size * count, size) if struct.unpack_from('<I', content,
        at)[0] == kind)


def segment_put(content, kind, field, form, value):
    return put(content, segment(content, kind) + field, form, value)


def dynamic_put(content, tag, value=None, new_tag=None):
    at = struct.unpack_from('<Q', content, segment(content, PT_DYNAMIC) + P_OFFSET)[0]
    while struct.unpack_from('<q', content, at)[0] != tag:
        at += 16
    if new_tag is not None:
        put(content, at, 'q', new_tag)
    return content if value is None else put(content, at + 8, 'Q', value)


def library(*words):
    return linked('-shared', '-Wl,-soname,libx.so', *words)


def program(interpreter, *words):
    return linked('-pie', '-Wl,-dynamic-linker,' + interpreter, '-Wl,--no-as-needed', '-Wl,--export-dynamic', *words)


def runpath(path):
    return library('-Wl,--enable-new-dtags', '-Wl,-rpath,' + path)


def read(path):
    with open(path, 'rb') as file:
        return bytearray(file.read())


def interpreter_without_end():
    content = program('/opt/kontain/runtime/libc.so')
    return segment_put(content, PT_INTERP, P_FILESZ, 'Q', len('/opt/kontain/runtime/libc.so'))


def truncated(content, size):
    return content[:size]


def overlapping():
    """The first loaded segment's place is given to the next as well."""
    content = library()
    first = segment(content, PT_LOAD)
    second = first + struct.unpack_from('<H', content, E_PHENTSIZE)[0]
    content[second:second + 56] = content[first:first + 56]
    return content


HEADERS = 64 + 56  # the file's and one program's
ROWS = (
    # out of the tree
    ('interpreter-host', 'lib/x.so', 'outside', lambda: program('/lib64/ld-linux-x86-64.so.2')),
    ('interpreter-tmp', 'lib/x.so', 'outside', lambda: program('/tmp/evil/ld.so')),
    ('interpreter-dots', 'lib/x.so', 'interpreter', lambda: program('/opt/kontain/lib/../../../tmp/evil/ld.so')),
    ('interpreter-relative', 'lib/x.so', 'interpreter', lambda: program('evil/ld.so')),
    ('interpreter-near', 'alpine-lib/x.so', 'interpreter', lambda: program('/opt/kontainer/runtime/libc.so')),
    ('interpreter-payload', 'tests/hello_test.km', 'outside', lambda: program('/tmp/evil/ld.so')),
    ('interpreter-not-brought', 'bin/km', 'bin/km', lambda: program('/opt/kontain/runtime/libc.so')),
    ('interpreter-without-end', 'lib/x.so', 'interpreter', interpreter_without_end),
    ('runpath-origin-up', 'lib/x.so', 'leaves the tree', lambda: runpath('$ORIGIN/../..')),
    ('runpath-origin-braces', 'lib/x.so', 'leaves the tree', lambda: runpath('${ORIGIN}/../../../../tmp')),
    ('runpath-dots', 'lib/x.so', 'leaves the tree', lambda: runpath('/opt/kontain/lib/../../../tmp')),
    ('runpath-second', 'lib/x.so', 'leaves the tree', lambda: runpath('/opt/kontain/lib:$ORIGIN/../../..')),
    ('runpath-relative', 'lib/x.so', 'relative', lambda: runpath('../lib')),
    ('runpath-payload', 'tests/hello_test.km', 'leaves the tree', lambda: linked(
        '-static-pie', '-Wl,-rpath,$ORIGIN/../../..')),
    ('rpath-origin-up', 'lib/x.so', 'leaves the tree', lambda: library(
        '-Wl,--disable-new-dtags', '-Wl,-rpath,$ORIGIN/../..')),
    # truncated
    ('cut-in-the-magic', 'bin/km', 'bin/km', lambda: truncated(read(KM), 3)),
    ('cut-in-the-header', 'lib/x.so', 'malformed', lambda: truncated(library(), 40)),
    ('cut-in-the-program-headers', 'lib/x.so', 'beyond the end', lambda: truncated(library(), HEADERS)),
    ('cut-in-a-segment', 'lib/x.so', 'beyond the end', lambda: truncated(library(), 4096 + 8)),
    ('cut-in-km', 'bin/km', 'beyond the end', lambda: truncated(read(KM), 8192)),
    ('cut-in-the-loader', 'runtime/libc.so', 'beyond the end', lambda: truncated(read(LIBC), 100000)),
    # overlapping
    ('headers-in-the-header', 'lib/x.so', 'overlap the file header', lambda: put(library(), E_PHOFF, 'Q', 8)),
    ('segments-overlap', 'lib/x.so', 'overlap', overlapping),
    ('segment-wraps', 'lib/x.so', 'beyond the end', lambda: segment_put(library(), PT_LOAD, P_FILESZ, 'Q',
        (1 << 64) - 8)),
    ('segment-in-no-memory', 'lib/x.so', 'larger than its memory', lambda: segment_put(library(), PT_LOAD, P_MEMSZ,
        'Q', 1)),
    ('segment-behind', 'lib/x.so', 'beyond the end', lambda: segment_put(library(), PT_LOAD, P_OFFSET, 'Q', 1 << 40)),
    ('segment-askew', 'lib/x.so', 'aligned', lambda: segment_put(library(), PT_LOAD, P_ALIGN, 'Q', 4097)),
    # counted wrong
    ('headers-beyond', 'lib/x.so', 'beyond the end', lambda: put(library(), E_PHOFF, 'Q', (1 << 64) - 56)),
    ('headers-65535', 'lib/x.so', 'too many', lambda: put(library(), E_PHNUM, 'H', 0xffff)),
    ('headers-none', 'lib/x.so', 'no program headers', lambda: put(library(), E_PHNUM, 'H', 0)),
    ('headers-of-no-size', 'lib/x.so', 'no program headers', lambda: put(library(), E_PHENTSIZE, 'H', 0)),
    # the dynamic section
    ('dynamic-elsewhere', 'lib/x.so', 'not where it is in the file', lambda: segment_put(
        library(), PT_DYNAMIC, P_VADDR, 'Q', 0)),
    ('dynamic-behind', 'lib/x.so', 'dynamic section', lambda: segment_put(library(), PT_DYNAMIC, P_OFFSET, 'Q',
        1 << 40)),
    ('dynamic-without-end', 'lib/x.so', 'no end', lambda: segment_put(library(), PT_DYNAMIC, P_FILESZ, 'Q', 16)),
    ('names-behind', 'lib/x.so', 'RUNPATH', lambda: dynamic_put(runpath('/opt/kontain/lib'), DT_RUNPATH, 1 << 32)),
    ('names-without-table', 'lib/x.so', 'RUNPATH', lambda: dynamic_put(
        runpath('/opt/kontain/lib'), DT_STRTAB, 1 << 40)),
    ('names-of-no-size', 'lib/x.so', 'RUNPATH', lambda: dynamic_put(runpath('/opt/kontain/lib'), DT_STRSZ, 1)),
    # not what its place is for
    ('km-a-library', 'bin/km', 'bin/km', lambda: put(library(), E_ENTRY, 'Q', 0)),
    ('km-a-script', 'bin/km', 'bin/km', lambda: bytearray(b'#!/bin/sh\nexec /bin/true\n')),
    ('km-entry-in-its-data', 'bin/km', 'entry point', lambda: put(read(KM), E_ENTRY, 'Q', 16)),
    ('loader-not-runnable', 'runtime/libc.so', 'runtime/libc.so', lambda: put(read(LIBC), E_ENTRY, 'Q', 0)),
    ('loader-a-program', 'runtime/libc.so', 'runtime/libc.so', lambda: put(read(LIBC), E_TYPE, 'H', 2)),
    ('machine-arm', 'bin/km', 'machine 183', lambda: put(read(KM), E_MACHINE, 'H', 183)),
    ('class-32', 'lib/x.so', 'another machine', lambda: put(library(), 4, 'B', 1)),
)
ARCH = ('machine-arm', 'class-32')

for name, where, words, make in ROWS:
    with open(os.path.join(OUT, name), 'wb') as out:
        out.write(make())
    print(name, where, 'ArchMismatch' if name in ARCH else 'ElfInvalid', words)
