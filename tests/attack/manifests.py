"""Manifests and lists that kontain-pack would never write: each a copy of a good bundle of which one thing is changed,
its digests made to fit again, so that nothing else is wrong with it. Each is told in a line: ROW NAME WORDS, the words
that its refusal must have, these OR those; it is in a folder of its name, files by hard links.

  manifests.py BUNDLE ROW..."""
import hashlib
import json
import os
import shutil
import sys

GOOD = sys.argv[1]
NAME = 'kontain-bundle.json'


def read(name):
    with open(os.path.join(GOOD, name), 'rb') as file:
        return file.read()


def manifest():
    return json.loads(read(NAME))


def digest(content):
    return hashlib.sha256(content).hexdigest()


def octets(text):
    return text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass')


LIB = digest(b'lib\n')  # of lib/data


def plain(path, mode='0644', size=4, kind='f', sha256=LIB, more=''):
    return octets(f'{kind}\t{mode}\t{size}\t{sha256}\t{path}{more}\n')


def soft(path, target, mode='-', size='-'):
    return octets(f'l\t{mode}\t{size}\t{target}\t{path}\n')


def component(m, name='lib'):
    return next(c for c in m['components'] if c['name'] == name)


def finish(m, **lists):
    """The manifest, and those of its lists that are others, with the digests and versions that they have."""
    files = {}
    for name, content in lists.items():
        one = component(m, name)
        one['digest'] = digest(content)
        one['version'] = 'sha-' + one['digest'][:12]
        files[name + '.files'] = content
    return {NAME: json.dumps(m), **files}


def listed(name, *lines):
    """The component's list has these lines alone."""
    return lambda: finish(manifest(), **{name: b''.join(lines)})


def lib(*lines):
    return listed('lib', *lines)


def extra(*lines):
    def make():
        m = manifest()
        m.pop('selfTest', None)
        return finish(m, extras=b''.join(lines))
    return make


def alone(name, content):
    """The list is another, and the manifest knows nothing of it."""
    return lambda: {name: content() if callable(content) else content}


def changed(change):
    def make():
        m = manifest()
        change(m)
        return {NAME: json.dumps(m)}
    return make


def text(what):
    """The document's own text, after all digests were made."""
    return lambda: {NAME: what(json.dumps(manifest()))}


def raw(content):
    return text(lambda _: content() if callable(content) else content)


def with_version(version):
    return changed(lambda m: m.update(version=version))


def size_of(number):
    return lib(plain('data', size=number))


def of_values(value, count):
    """As dense as JSON can be in what a manifest may have, refused only after it was read."""
    return raw('{"apiVersion": [' + ','.join([value] * count) + ']}')


FALSE_SIZE = 'bytes, its list says OR KiB short'  # by the room there is
LONG = '/'.join(['n' * 100] * 41)  # 4 KiB
MIB = 1 << 20
NEAR = 32 * MIB - 4096  # with the other lists, as much as there may be
LISTS = 'its lists are larger than 33554432 bytes together'
MANIFEST = 'larger than 65536 bytes'


def wide(name, megabytes):
    """So many MiB of lines that are well: a path of 900 bytes each."""
    return b''.join(soft(name + f'{i:06}/' + '/'.join(['n' * 120] * 7), 'x') for i in range(megabytes * MIB // 870))


ROWS = {
    1: {
        'up': ('has a ".." part', lib(plain('../escaped'))),
        'up-within': ('has a ".." part', lib(plain('a/../../../escaped'))),
        'up-extra': ('has a ".." part', extra(plain('../escaped'))),
        'up-alone': ('has a ".." part', lib(plain('..'))),
        'up-km': ('has a ".." part', listed('km', plain('../../escaped', mode='0755'), plain('km', mode='0755'))),
        'absolute': ('is absolute', lib(plain('/tmp/escaped'))),
        'absolute-extra': ('is absolute', extra(plain('/etc/cron.d/escaped'))),
        'dot': ('has a "." part', lib(plain('./data'))),
        'empty': ('is empty', lib(plain(''))),
        'empty-part': ('has an empty part', lib(plain('a//b'))),
        'empty-end': ('has an empty part', lib(plain('a/'))),
        'nul': ('has a NUL character', lib(plain('da\0ta'))),
        'nul-behind': ('has a NUL character', lib(plain('data'), b'\0\n')),
        'nul-link': ('has a NUL character', lib(soft('data', 'x\0/etc'))),
        'nul-manifest': ('not valid JSON', text(lambda t: t.replace('"lib"', '"l\\u0000ib"'))),
        'nul-byte-manifest': ('not valid JSON', text(lambda t: t.replace('"lib"', '"l\0ib"'))),
        'long': ('is too long', lib(plain(LONG))),
        'long-part': ('has a part that is too long', lib(plain('n' * 300))),
        'control': ('has a control character', lib(plain('a\x1b[2Jb'))),
        'tab': ('has a control character', lib(plain('a\tb'))),
        'carriage-return': ('has a control character', lib(plain('a\r'))),
        'newline': ('has not the five columns', lib(plain('a\nb'))),
        'no-utf-8': ('is not UTF-8', lib(plain('a~b').replace(b'~', b'\xff'))),
        'no-utf-8-manifest': ('not valid JSON', text(lambda t: t.encode().replace(b'"lib"', b'"l\xffib"'))),
        'component-up': ('is not a component', changed(lambda m: component(m).update(name='../lib'))),
        'version-up': ('is none', with_version('../../escaped')),
        'version-empty': ('is none', with_version('')),
        'version-long': ('is none', with_version('1' * 4096)),
        'version-absolute': ('is none', with_version('/tmp/escaped')),
        'version-dots': ('is none', with_version('..')),
        'component-version-up': ('is none', changed(lambda m: component(m).update(version='../../../escaped'))),
        'manifest-name': ('a name that the store keeps', extra(plain(NAME))),
        'list-name': ("the name of a component's list", extra(plain('LIB.files'))),
        'extra-in-component': ("lies in a component's folder", extra(plain('BIN/km'))),
        'self-test-up': ('is not a file of this bundle', changed(
            lambda m: m.update(selfTest={'argv': ['../../../bin/sh'], 'expect': 'x'}))),
    },
    2: {
        'through': ('lies below', lib(soft('d', 'e'), plain('d/file'))),
        'link-out': ('leads out of its tree', lib(soft('d', '../../../escaped'))),
        'link-out-behind-a-name': ('has a ".." behind a name', lib(soft('d', 'x/../../../escaped'))),
        'link-absolute': ('leads outside of /opt/kontain', lib(soft('d', '/etc'))),
        'link-near': ('leads outside of /opt/kontain', lib(soft('d', '/opt/kontainer/x'))),
        'link-empty': ('is empty', lib(soft('d', ''))),
        'link-for-km': ('component km has no file km', listed('km', soft('km', '/opt/kontain/bin/other'))),
        'link-to-tools': ('leads out of its tree', lib(soft('d', '../tools/d'))),
        'link-to-another-tool': ('leads out of its tree', listed('km', plain('km', mode='0755'), soft('krun',
            '../tools/other'))),
        'link-above-tools': ('leads out of its tree', listed('km', plain('km', mode='0755'), soft('krun',
            '../../tools/krun'))),
        'link-and-file': ('must have - as mode', lib(soft('d', 'e', mode='0644', size='4'))),
        'file-and-link': ('is not 64 lower-case hexadecimal digits', lib(plain('d', sha256='e'))),
        'setuid': ('is neither 0644 nor 0755', lib(plain('data', mode='4755'))),
        'writable': ('is neither 0644 nor 0755', lib(plain('data', mode='0666'))),
        'device': ('is neither f nor l', lib(plain('data', kind='c'))),
        'folder': ('is neither f nor l', lib(plain('data', kind='d'))),
        'hard-link': ('is neither f nor l', lib(plain('data', kind='h'))),
        'xattr': ('has a control character', lib(plain('data', more='\tsecurity.capability=AQAAAg=='))),
        'owner': ('is not known here', changed(lambda m: component(m).update(uid=1000))),
        'files-in-manifest': ('is not known here', changed(lambda m: component(m).update(files=[]))),
    },
    7: {
        'list-of-another-bundle': ('its SHA-256 is', alone('lib.files', lambda: plain('data',
            sha256=digest(b'other\n'), size=6))),
        'list-cut': ('its SHA-256 is', alone('lib.files', lambda: plain('aa') + read('lib.files'))),
        'list-of-another-component': ('its SHA-256 is', alone('lib.files', lambda: read('km.files'))),
        'lists-exchanged': ("in the bundle's folder but not in its list", lambda: finish(manifest(),
            lib=read('km.files'))),
        'digest-of-another': ('its SHA-256 is', changed(lambda m: component(m).update(digest=component(m,
            'km')['digest'], version='9'))),
        'content-of-another': ('DigestMismatch', lib(plain('data', sha256=digest(b'bad\n')))),
        'one-file-more': ('DigestMismatch: OR BundleInvalid: OR BundleMissing:', lib(plain('data'), plain('more'))),
    },
    8: {
        'twice': ('is there twice', lib(plain('data'), plain('data'))),
        'twice-key': ('not valid JSON', text(lambda t: t.replace('"version":', '"version": "0", "version":', 1))),
        'twice-component': ('comes twice', changed(lambda m: m['components'].insert(1, component(m, 'km')))),
        'unsorted-components': ('comes twice or out of order', changed(lambda m: m['components'].reverse())),
        'reserved': ('a name that the store keeps', lib(plain('.kontain-component'), plain('data'))),
        'reserved-list': ('a name that the store keeps', lib(plain('.files'), plain('data'))),
        'reserved-partial': ('a name that the store keeps', lib(plain('.partial-x/a'), plain('data'))),
        'reserved-list-of-another': ("the name of a component's list", lib(plain('data'), plain('km.files'))),
        'unsorted': ('is not in order', lib(plain('b'), plain('a'))),
        'files-100001': ('it has 100001 files', lib(*(soft(f'{i:06}', 'x') for i in range(100001)))),
        'files-100001-together': ('its components have 100001 files', lambda: finish(
            manifest(), lib=b''.join(soft(f'{i:06}', 'x') for i in range(60000)),
            extras=read('extras.files') + b''.join(soft(f'u{i:06}', 'x') for i in range(39999)))),
        'files-100000-twice': ('is there twice', lib(*[soft('data', 'x')] * 100000)),
        'files-100000-unsorted': ('is not in order', lib(*(soft(f'{i:06}', 'x') for i in range(99999, -1, -1)))),
        'files-100000-nested': ('lies below', lib(plain('d'), *(soft(f'd/{i:06}', 'x') for i in range(99999)))),
        'files-100000-of-none': ('BundleInvalid OR KiB short OR inodes',
            lib(*(plain(f'{i:06}') for i in range(100000)))),
        'files-a-million': ('it has 1000000 files', lib(*(soft(f'{i:07}', 'x') for i in range(1000000)))),
        'no-files': ('it is empty', lib()),
        'no-end': ('its last line has no end', lib(plain('data')[:-1])),
        'lines-empty': ('files, a bundle has 100000 at most', lib(b'\n' * NEAR)),
        'columns-alone': ('its last line has no end', lib(b'\t' * NEAR)),
        'one-line': ('has not the five columns', lib(b'x' * NEAR, b'\n')),
        'one-path': ('is too long', lib(plain('n' * (31 * MIB)))),
        'list-larger': (LISTS, lib(wide('a', 33))),
        'lists-larger-together': (LISTS, lambda: finish(manifest(), lib=wide('a', 20), extras=wide('u', 20))),
        # cut to 32 bits the last of these would be right
        'size-2g-1': (FALSE_SIZE, size_of((1 << 31) - 1)),
        'size-2g': (FALSE_SIZE, size_of(1 << 31)),
        'size-4g-1': (FALSE_SIZE, size_of((1 << 32) - 1)),
        'size-4g': (FALSE_SIZE, size_of(1 << 32)),
        'size-4g-more': (FALSE_SIZE, size_of((1 << 32) + 4)),
        'size-tera': ('is not a size in bytes', size_of((1 << 40) + 1)),
        'size-2-63': ('is not a size in bytes', size_of((1 << 63) - 1)),
        'size-2-64': ('is not a size in bytes', size_of(1 << 64)),
        'size-2-64-more': ('is not a size in bytes', size_of((1 << 64) + 4)),
        'size-negative': ('is not a size in bytes', size_of(-1)),
        'size-half': ('is not a size in bytes', size_of('4.0')),
        'size-huge': ('is not a size in bytes', size_of('1e308')),
        'size-word': ('is not a size in bytes', size_of('four')),
        'size-zero-in-front': ('is not a size in bytes', size_of('04')),
        'deep-arrays': ('not valid JSON', raw('[' * 65000)),
        'deep-arrays-larger': (MANIFEST, raw('[' * 1000000)),
        'deep-objects': ('not valid JSON', raw('{"apiVersion":' * 4600)),
        'deep-but-closed': ('not valid JSON', raw('{"apiVersion": ' + '[' * 30000 + ']' * 30000 + '}')),
        'dense-arrays': ('apiVersion must be a string', of_values('[]', 21000)),
        'dense-objects': ('apiVersion must be a string', of_values('{}', 21000)),
        'dense-numbers': ('apiVersion must be a string', of_values('0', 32000)),
        'dense-keys': ('is not known here', raw(lambda: '{' + ','.join(f'"{i:x}":0' for i in range(7200)) + '}')),
        'dense-components': ('there are 7 at most', changed(lambda m: m.update(components=[{}] * 16000))),
        'dense-larger': (MANIFEST, of_values('[]', 10 << 20)),
        'endless-string': ('not valid JSON', raw('{"apiVersion": "' + 'x' * 65000)),
        'larger': (MANIFEST, raw(' ' * (33 << 20))),
        'larger-by-one': (MANIFEST, text(lambda t: t + ' ' * (64 * 1024 + 1 - len(t)))),
    },
}

if __name__ == '__main__':
    for number in sys.argv[2:]:
        for name, (words, make) in ROWS[int(number)].items():
            shutil.copytree(GOOD, name, symlinks=True, copy_function=os.link)
            for file, content in make().items():
                os.unlink(os.path.join(name, file))
                with open(os.path.join(name, file), 'wb') as out:
                    out.write(octets(content))
            print(number, name, words)
