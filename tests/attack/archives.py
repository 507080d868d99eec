"""Archives that no packer makes, each the good one but for what its name says. Each is written into the current folder
and told in a line: ROW NAME WORDS, the words that its refusal must have.

  archives.py KM [ROW]...

Those of row `left-out` are packed: WORDS are then what is said of the one thing that is not."""
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import threading
import zlib

KM = open(sys.argv[1], 'rb').read()
END = bytes(1024)


# By tarfile, where a reader must take the entry for what it says it is.

def entry(tar, name, content=b'x', **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content) if fields.get('type', tarfile.REGTYPE) == tarfile.REGTYPE else 0
    info.mode = 0o755
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def folder(tar, name):
    entry(tar, name, type=tarfile.DIRTYPE)


def link(tar, name, target):
    entry(tar, name, linkname=target, type=tarfile.SYMTYPE)


def hard(tar, name, target):
    entry(tar, name, linkname=target, type=tarfile.LNKTYPE)


def build(*steps):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as tar:
        entry(tar, 'bin/km', KM)
        for step in steps:
            step(tar)
    return out.getvalue()


def of(make, *words, **fields):
    return lambda tar: make(tar, *words, **fields)


# By hand, where tarfile would not write it.

def header(name, size=0, kind=b'0', patch=None):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type = size, 0o755, kind
    block = bytearray(info.tobuf(format=tarfile.USTAR_FORMAT))
    for at, value in (patch or {}).items():
        block[at:at + len(value)] = value
    block[148:156] = b' ' * 8
    block[148:156] = b'%06o\0 ' % sum(block)
    return bytes(block)


def data(content):
    return content + bytes(-len(content) % 512)


def record(key, value):
    body = b' ' + key + b'=' + value + b'\n'
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def extended(kind, text):
    return header('pax', len(text), kind) + data(text)


def pax(key, value):
    return extended(b'x', record(key, value))


FIRST = header('bin/km', len(KM)) + data(KM)


def raw(*parts):
    return FIRST + b''.join(parts) + END


def size(octal):
    return {124: octal}


def bomb_head(size_bytes):
    info = tarfile.TarInfo('lib/bomb')
    info.size = size_bytes
    return info.tobuf(format=tarfile.GNU_FORMAT)


def gzip_bomb(head):
    """Five GiB were promised, 64 MiB are there, in 300 KiB."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode='wb', compresslevel=1) as packed:
        packed.write(FIRST + head)
        for _ in range(64):
            packed.write(bytes(1 << 20))
    return out.getvalue()


def zstd_bomb(head):
    done = subprocess.run(['zstd', '-1', '-c'], input=FIRST + head + bytes(64 << 20), capture_output=True, check=True)
    return done.stdout


def packed(*steps):
    """By gzip; a step is bytes, or bytes and how often."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode='wb', compresslevel=1) as file:
        for content, times in (step if isinstance(step, tuple) else (step, 1) for step in steps):
            for _ in range(times):
                file.write(content)
    return out.getvalue()


def zstd_zeros(size):
    with subprocess.Popen(['zstd', '-1', '-c'], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tool:
        def feed():
            with tool.stdin as file:
                file.write(FIRST + END)
                for _ in range(size >> 20):
                    file.write(bytes(1 << 20))
        thread = threading.Thread(target=feed)
        thread.start()
        out = tool.stdout.read()
        thread.join()
    return out


def xz_window():
    """A window of 1.5 GiB: its size is a byte of the block's header, which has a checksum of its own."""
    out = bytearray(lzma.compress(FIRST + END))
    end = 12 + (out[12] + 1) * 4 - 4
    at = out.index(b'\x21\x01', 12) + 2
    out[at] = 37
    out[end:end + 4] = zlib.crc32(out[12:end]).to_bytes(4, 'little')
    return bytes(out)


def zstd_window():
    """Likewise of 2 GiB: a byte behind the magic number and what it says of itself."""
    return b'\x28\xb5\x2f\xfd\0' + bytes([21 << 3]) + b'\x01\0\0' + bytes(100)


def many(count):
    """Headers alone, numbered; the checksum is the first one's and what the digits add to it."""
    first = header('examples/' + '0' * 7)
    total = int(first[148:154], 8)
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode='wb', compresslevel=1) as packed:
        packed.write(FIRST)
        for start in range(0, count, 1000):
            digits = b'%04d' % (start // 1000)
            higher = sum(digits) - sum(b'0000')
            packed.write(b''.join(first[:9] + digits + low + first[16:148] + b'%06o\0 ' %
                                  (total + higher + sum(low) - sum(b'000')) +
                                  first[156:] for low in LOW_DIGITS))
        packed.write(END)
    return out.getvalue()


LOW_DIGITS = [b'%03d' % i for i in range(1000)]
COMMENT = extended(b'g', record(b'comment', b'c' * 60000))
ACL = extended(b'x', record(b'SCHILY.acl.access', b','.join(b'user:%d:rwx' % i for i in range(40000))))
LONG = 'lib/' + '/'.join(['n' * 100] * 41)  # 4 KiB
ROWS = {
    1: {
        'up': ('".." part', lambda: build(of(entry, 'lib/../../escaped'))),
        'up-first': ('".." part', lambda: build(of(entry, '../escaped'))),
        'up-alone': ('".." part', lambda: build(of(folder, '..'))),
        'up-left-out': ('".." part', lambda: build(of(entry, 'examples/../../escaped'))),
        'absolute': ('is absolute', lambda: build(of(entry, '/tmp/escaped'))),
        'absolute-pax': ('is absolute', lambda: raw(pax(b'path', b'/tmp/escaped'), header('lib/a'))),
        'dot': ('"." part', lambda: build(of(entry, 'lib/./x'))),
        'empty': ('empty', lambda: raw(header('', patch={0: bytes(100)}))),
        'empty-pax': ('empty', lambda: raw(pax(b'path', b''), header('', patch={0: bytes(100)}))),
        'empty-part': ('an empty part', lambda: build(of(entry, 'lib//x'))),
        'nul-pax': ('a NUL in it', lambda: raw(pax(b'path', b'lib/a\0evil'), header('lib/a'))),
        'nul-link': ('a NUL in it', lambda: raw(pax(b'linkpath', b'x\0/etc'), header('lib/a', 0, b'2'))),
        'nul-gnu': ('a NUL in it', lambda: raw(header('././@LongLink', 10, b'L'), data(b'lib/a\0evil'),
            header('lib/a'))),
        'long': ('too long', lambda: build(of(entry, LONG))),
        'long-gnu': ('too long', lambda: raw(header('././@LongLink', len(LONG) + 1, b'L'), data(LONG.encode() + b'\0'),
                                             header('lib/a'))),
        'long-part': ('too long', lambda: build(of(entry, 'lib/' + 'n' * 300))),
        'control': ('control character', lambda: build(of(entry, 'lib/a\x1b[2Jb'))),
        'not-utf8': ('lib/\\xff (an entry\'s name) is not UTF-8', lambda: raw(header('lib/a', patch={4: b'\xff'}))),
        'not-utf8-pax': ('lib/\\xff is not UTF-8', lambda: raw(pax(b'path', b'lib/\xff'), header('lib/a'))),
        'not-utf8-gnu': ('is not UTF-8', lambda: raw(header('././@LongLink', 6, b'L'), data(b'lib/\xff\0'),
            header('lib/a'))),
        'not-utf8-left-out': ('examples/\\xff', lambda: raw(pax(b'path', b'examples/\xff'), header('lib/a'))),
        'not-utf8-link': ('the link lib/a has a target that is not UTF-8', lambda: raw(header('lib/a', 0, b'2',
            {157: b'\xff'}))),
        'not-utf8-link-pax': ('lib/a is damaged: Linkname can', lambda: raw(pax(b'linkpath', b'\xff'),
            header('lib/a', 0, b'2'))),
        'reserved': ('lib/.kontain-component is a name that the store keeps', lambda: build(of(entry,
            'lib/.kontain-component'))),
        'reserved-below': ('lib/lib.files/x is the name of a component\'s list', lambda: build(of(entry,
            'lib/lib.files/x'))),
    },
    2: {
        'through': ('lies below a file or link', lambda: build(of(link, 'lib/d', '../../escaped'), of(entry,
            'lib/d/file'))),
        'through-inside': ('lies below a file or link', lambda: build(
            of(entry, 'lib/real/x'), of(link, 'lib/d', 'real'), of(entry, 'lib/d/file'))),
        'through-left-out': ('lies below a file or link', lambda: build(of(link, 'evil', '/etc'), of(entry,
            'evil/passwd'))),
        'through-folder': ('is there twice', lambda: build(of(link, 'lib/d', '/opt/kontain/x'), of(folder, 'lib/d'))),
        'link-after': ('lies below a file or link', lambda: build(
            of(entry, 'lib/d/file'), of(link, 'lib/d', '/opt/kontain/x'))),
        'hard-out': ("(a hard link's target) is absolute", lambda: build(of(hard, 'lib/passwd', '/etc/passwd'))),
        'hard-up': ("(a hard link's target) has a \"..\" part", lambda: build(of(hard, 'lib/passwd',
            '../../etc/passwd'))),
        'hard-later': ('not an earlier regular file', lambda: build(of(hard, 'lib/a', 'lib/b'), of(entry, 'lib/b'))),
        'hard-to-link': ('not an earlier regular file', lambda: build(of(link, 'lib/l', 'x'), of(hard, 'lib/a',
            'lib/l'))),
        'hard-to-folder': ('not an earlier regular file', lambda: build(of(folder, 'lib/d'), of(hard, 'lib/a',
            'lib/d'))),
        'hard-to-escape': ('not an earlier regular file', lambda: build(of(link, 'lib/l', '/etc/passwd'), of(hard,
            'lib/a',
            'lib/l'))),
        'hard-to-itself': ('not an earlier regular file', lambda: build(of(hard, 'lib/a', 'lib/a'))),
        'hard-to-left-out': ('a file that no bundle takes', lambda: build(
            of(entry, 'examples/a'), of(hard, 'lib/a', 'examples/a'))),
        'device': ('is not a regular file', lambda: build(of(entry, 'lib/n', type=tarfile.CHRTYPE, devmajor=1,
            devminor=3))),
        'block-device': ('is not a regular file', lambda: build(
            of(entry, 'examples/n', type=tarfile.BLKTYPE, devmajor=8, devminor=0))),
        'fifo': ('is not a regular file', lambda: build(of(entry, 'lib/p', type=tarfile.FIFOTYPE))),
        'sparse': ('sparse', lambda: build(of(entry, 'lib/x', pax_headers={
            'GNU.sparse.major': '0', 'GNU.sparse.minor': '1', 'GNU.sparse.map': '4096,1', 'GNU.sparse.size': '4097',
            'GNU.sparse.numblocks': '1'}))),
        'sparse-gnu': ('lib/a is sparse', lambda: raw(header('lib/a', 0, b'S'))),
        'xattr': ('extended attributes', lambda: build(of(entry, 'lib/x', pax_headers={'SCHILY.xattr.user.a': 'b'}))),
        'xattr-libarchive': ('extended attributes', lambda: build(
            of(entry, 'lib/x', pax_headers={'LIBARCHIVE.xattr.security.capability': 'AQAAAg=='}))),
        'acl': ('extended attributes', lambda: build(of(entry, 'lib/x', pax_headers={
            'SCHILY.acl.access': 'user::rwx,user:lp:rwx,group::r--,mask::rwx,other::r--'}))),
        'setuid': ('is setuid', lambda: build(of(entry, 'lib/s', mode=0o4755))),
        'setgid': ('is setuid, setgid or sticky', lambda: build(of(entry, 'examples/s', mode=0o2755))),
        'below-file': ('lies below a file or link', lambda: build(of(entry, 'lib/a'), of(entry, 'lib/a/b'))),
    },
    8: {
        'twice': ('is there twice', lambda: build(of(entry, 'lib/a'), of(entry, 'lib/a'))),
        'twice-left-out': ('is there twice', lambda: build(of(entry, 'examples/a'), of(entry, 'examples/a'))),
        'entries-a-million': ('more than 200000 entries', lambda: many(1000000)),
        'bomb-gzip': ('lib/bomb is too much: the archive has more than 4096 MiB',
            lambda: gzip_bomb(bomb_head(5 << 30))),
        'bomb-zstd': ('lib/bomb is too much: the archive has more than 4096 MiB',
            lambda: zstd_bomb(bomb_head(5 << 30))),
        'bomb-in-bomb': ('compressed twice', lambda: gzip.compress(gzip_bomb(bomb_head(5 << 30)))),
        'endless-gzip': ('it goes on behind its end', lambda: gzip_bomb(END)),
        'endless-zstd': ('it goes on behind its end', lambda: zstd_bomb(END)),
        'endless': ('it goes on behind its end', lambda: FIRST + bytes(3 << 20)),
        'pax-huge': ('too large', lambda: raw(header('pax', 1 << 20, b'x'), bytes(1 << 20), header('lib/a'))),
        'pax-size': ('more than 4096 MiB', lambda: raw(pax(b'size', b'99999999999999999'), header('lib/a'))),
        'size-2g-1': ('Truncated', lambda: raw(header('lib/a', (1 << 31) - 1))),
        'size-2g': ('Truncated', lambda: raw(header('lib/a', 1 << 31))),
        'size-2g-1-more': ('Truncated', lambda: raw(header('lib/a', (1 << 31) + 1))),
        'size-4g-1': ('more than 4096 MiB', lambda: raw(header('lib/a', (1 << 32) - 1))),
        'size-4g': ('more than 4096 MiB', lambda: raw(header('lib/a', patch=size(b'%011o\0' % (1 << 32))))),
        'size-4g-1-more': ('more than 4096 MiB', lambda: raw(header('lib/a',
            patch=size(b'%011o\0' % ((1 << 32) + 1))))),
        'size-2-63': ('size overflow', lambda: raw(header('lib/a', patch=size(b'\x80\0\0\0\x7f' + b'\xff' * 7)))),
        'size-negative': ('negative size', lambda: raw(header('lib/a', patch=size(b'\xff' * 12)))),
        'size-words': ('lib/a has a size that is not a number', lambda: raw(header('lib/a',
            patch=size(b'twelve bytes')))),
    },
}

# What counts as nothing for a reader, and would fill its disk or its memory all the same.
ROWS[38] = {
    'globals': ('Too many special headers', lambda: packed(FIRST, (extended(b'g', record(b'comment', b'c')), 200000))),
    'globals-first': ('headers that are too large', lambda: packed((COMMENT, 1000), FIRST, END)),
    'globals-between': ('than 4 KiB each', lambda: packed(FIRST, *(
        part for i in range(1000) for part in (COMMENT, header(f'examples/{i}'))), END)),
    'globals-left-out': ('than 4 KiB each', lambda: packed(FIRST, (COMMENT + header('examples/'[:-1], 0, b'5'),
        1000), END)),
    'extended': ('headers that are too large', lambda: packed(FIRST, (pax(b'comment', b'c' * 60000), 1000),
        header('lib/a'), END)),
    'extended-huge': ('headers that are too large', lambda: packed(FIRST, (pax(b'comment', b'c' * 900000), 100),
        header('lib/a'), END)),
    'long-names': ('headers that are too large', lambda: packed(FIRST, (header('././@LongLink', 60000,
        b'L') + data(b'n' * 60000), 1000), END)),
    'long-links': ('headers that are too large', lambda: packed(FIRST, (header('././@LongLink', 60000,
        b'K') + data(b'n' * 60000), 1000), END)),
    'labels': ('Too many special headers', lambda: packed(FIRST, (header('label', 0, b'V'), 200000), END)),
    'acls': ('headers that are too large', lambda: packed(FIRST, (ACL, 30), header('lib/a'), END)),
    'behind-in-members': ('it goes on behind its end', lambda: gzip.compress(FIRST + END) + packed((bytes(1 << 20),
        1024))),
    'window-xz': ('(xz): it cannot be inflated', xz_window),
    'window-zstd': ('(zstd): it cannot be inflated', zstd_window),
    'behind-zstd': ('it goes on behind its end', lambda: zstd_zeros(1 << 30)),
}
ROWS['left-out'] = {
    'link-out': ('the link lib/d: it leads out of its tree', lambda: build(of(link, 'lib/d', '../../escaped'))),
    'link-out-behind-a-name': ('the link lib/d: it has a ".." behind a name', lambda: build(of(link, 'lib/d',
        'x/../../../escaped'))),
    'link-absolute': ('the link lib/d: it leads outside of /opt/kontain', lambda: build(of(link, 'lib/d', '/etc'))),
    'link-other-component': ('the link lib/d: it leads out of its tree', lambda: build(of(link, 'lib/d', '../bin/km'))),
}

if __name__ == '__main__':
    for number in sys.argv[2:]:
        for name, (words, make) in ROWS[int(number) if number.isdigit() else number].items():
            with open(f'{name}.tar', 'wb') as file:
                file.write(make())
            print(number, name, words)
