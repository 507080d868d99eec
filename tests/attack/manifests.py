"""Manifests that kontain-pack would never write: each a copy of a good bundle whose manifest is changed in one way, its
digests made to fit again, so that nothing else is wrong with it. Each is told in a line: ROW NAME WORDS, the words that
its refusal must have, these OR those; it is in a folder of its name, files by hard links.

  manifests.py BUNDLE ROW..."""
import hashlib
import json
import os
import shutil
import sys

GOOD = sys.argv[1]
NAME = 'kontain-bundle.json'


def manifest():
    with open(os.path.join(GOOD, NAME)) as file:
        return json.load(file)


def digest(files):
    out = hashlib.sha256()
    for file in files:
        if 'link' in file:
            out.update(f"{file['path']}\0->{file['link']}\n".encode('utf-8', 'surrogatepass'))
        else:
            out.update(f"{file['path']}\0{file['mode']}\0{file['size']}\0{file['sha256']}\n".encode('utf-8', 'surrogatepass'))
    return out.hexdigest()


def plain(path, **fields):
    return {'path': path, 'mode': '0644', 'size': 4, 'sha256': hashlib.sha256(b'lib\n').hexdigest(), **fields}


def soft(path, target):
    return {'path': path, 'link': target}


def component(m, name='lib'):
    return next(c for c in m['components'] if c['name'] == name)


def finish(m):
    for one in m['components']:
        one['digest'] = digest(one['files'])
        one['version'] = 'sha-' + one['digest'][:12]
    return json.dumps(m)


def lib(*files):
    """The component lib has these files alone."""
    def make():
        m = manifest()
        component(m)['files'] = list(files)
        return finish(m)
    return make


def extra(*files):
    def make():
        m = manifest()
        m['extras'] = list(files)
        m.pop('selfTest', None)
        return finish(m)
    return make


def changed(change):
    def make():
        m = manifest()
        change(m)
        return finish(m)
    return make


def text(what):
    """The document's own text, after all digests were made."""
    return lambda: what(json.dumps(manifest()))


def with_version(version):
    return changed(lambda m: m.update(version=version))


def component_version(version):
    def make():
        m = json.loads(finish(manifest()))
        component(m)['version'] = version
        return json.dumps(m)
    return make


def size_of(number):
    return lib(plain('data', size=number))


def raw_size(digits):
    return lambda: size_of(424242)().replace('424242', digits)


def of_values(value, count):
    """As dense as JSON can be, where it is refused only after it was read."""
    return lambda: '{"apiVersion": [' + ','.join([value] * count) + ']}'


FALSE_SIZE = 'bytes that the manifest says OR KiB short'  # by the room there is
LONG = '/'.join(['n' * 100] * 41)  # 4 KiB
ROWS = {
    1: {
        'up': ('has a ".." part', lib(plain('../escaped'))),
        'up-within': ('has a ".." part', lib(plain('a/../../../escaped'))),
        'up-extra': ('has a ".." part', extra(plain('../escaped'))),
        'up-alone': ('has a ".." part', lib(plain('..'))),
        'absolute': ('is absolute', lib(plain('/tmp/escaped'))),
        'absolute-extra': ('is absolute', extra(plain('/etc/cron.d/escaped'))),
        'dot': ('has a "." part', lib(plain('./data'))),
        'empty': ('is empty', lib(plain(''))),
        'empty-part': ('has an empty part', lib(plain('a//b'))),
        'empty-end': ('has an empty part', lib(plain('a/'))),
        'nul': ('no JSON', text(lambda t: t.replace('"path": "data"', '"path": "da\\u0000ta"'))),
        'nul-byte': ('no JSON', text(lambda t: t.replace('"path": "data"', '"path": "da\0ta"'))),
        'nul-link': ('no JSON', lambda: lib(soft('data', 'x~y'))().replace('x~y', 'x\\u0000/etc')),
        'long': ('is too long', lib(plain(LONG))),
        'long-part': ('has a part that is too long', lib(plain('n' * 300))),
        'control': ('has a control character', lib(plain('a\x1b[2Jb'))),
        'newline': ('has a control character', lib(plain('a\nb'))),
        'no-utf-8': ('no JSON', lambda: lib(plain('a~b'))().encode().replace(b'a~b', b'a\xffb')),
        'component-up': ("is no component's", changed(lambda m: component(m).update(name='../lib'))),
        'version-up': ('is none', with_version('../../escaped')),
        'version-empty': ('is none', with_version('')),
        'version-long': ('is none', with_version('1' * 4096)),
        'version-absolute': ('is none', with_version('/tmp/escaped')),
        'version-dots': ('is none', with_version('..')),
        'component-version-up': ('is none', component_version('../../../escaped')),
        'manifest-name': ('a name that the store keeps', extra(plain(NAME))),
        'extra-in-component': ("in a component's folder or at the manifest's name", extra(plain('BIN/km'))),
        'self-test-up': ('is no file of this bundle', changed(
            lambda m: m.update(selfTest={'argv': ['../../../bin/sh'], 'expect': 'x'}))),
    },
    2: {
        'through': ('lies below', lib(soft('d', 'e'), plain('d/file'))),
        'link-out': ('leads out of its tree', lib(soft('d', '../../../escaped'))),
        'link-out-behind-a-name': ('has a ".." behind a name', lib(soft('d', 'x/../../../escaped'))),
        'link-absolute': ('leads outside of /opt/kontain', lib(soft('d', '/etc'))),
        'link-near': ('leads outside of /opt/kontain', lib(soft('d', '/opt/kontainer/x'))),
        'link-empty': ('is empty', lib(soft('d', ''))),
        'link-for-km': ('there is no file km', changed(
            lambda m: component(m, 'km').update(files=[soft('km', '/opt/kontain/bin/other')]))),
        'link-and-file': ('is not known here', lib(dict(plain('d'), link='e'))),
        'setuid': ('is neither 0644 nor 0755', lib(plain('data', mode='4755'))),
        'writable': ('is neither 0644 nor 0755', lib(plain('data', mode='0666'))),
        'device': ('is not known here', lib(dict(plain('data'), type='c', major=1, minor=3))),
        'xattr': ('is not known here', lib(dict(plain('data'), xattr={'security.capability': 'AQAAAg=='}))),
        'owner': ('is not known here', lib(dict(plain('data'), uid=1000))),
    },
    8: {
        'twice': ('BundleInvalid', lib(plain('data'), plain('data'))),
        'twice-key': ('no JSON', text(lambda t: t.replace('"version":', '"version": "0", "version":', 1))),
        'twice-component': ('comes twice', changed(lambda m: m['components'].append(component(m)))),
        'reserved': ('a name that the store keeps', lib(plain('.kontain-component'), plain('data'))),
        'reserved-list': ('a name that the store keeps', lib(plain('.files'), plain('data'))),
        'reserved-partial': ('a name that the store keeps', lib(plain('.partial-x/a'), plain('data'))),
        'reserved-list-of-another': ('a name that the store keeps', lib(plain('data'), plain('km.files'))),
        'unsorted': ('BundleInvalid', lib(plain('b'), plain('a'))),
        'files-100001': ('more than 100000 files', lib(*(soft(f'{i:06}', 'x') for i in range(100001)))),
        'files-a-million': ('larger than 33554432 bytes', lib(*(soft(f'{i:07}', 'x') for i in range(1000000)))),
        'no-files': ('files is empty', lib()),
        # cut to 32 bits the last of these would be right
        'size-2g-1': (FALSE_SIZE, size_of((1 << 31) - 1)),
        'size-2g': (FALSE_SIZE, size_of(1 << 31)),
        'size-4g-1': (FALSE_SIZE, size_of((1 << 32) - 1)),
        'size-4g': (FALSE_SIZE, size_of(1 << 32)),
        'size-4g-more': (FALSE_SIZE, size_of((1 << 32) + 4)),
        'size-tera': ('out of range', size_of((1 << 40) + 1)),
        'size-2-63': ('out of range', raw_size(str((1 << 63) - 1))),
        'size-2-64': ('no JSON', raw_size(str(1 << 64))),
        'size-negative': ('out of range', size_of(-1)),
        'size-half': ('size must be an integer', raw_size('4.0')),
        'size-huge': ('size must be an integer', raw_size('1e308')),
        'size-word': ('size must be an integer', size_of('4')),
        'deep-arrays': ('no JSON', lambda: '[' * 1000000),
        'deep-objects': ('no JSON', lambda: '{"apiVersion":' * 100000),
        'deep-but-closed': ('no JSON', lambda: '{"apiVersion": ' + '[' * 100000 + ']' * 100000 + '}'),
        'dense-arrays': ('too many values', of_values('[]', 10 << 20)),
        'dense-objects': ('too many values', of_values('{}', 10 << 20)),
        'dense-numbers': ('too many values', of_values('0', 15 << 20)),
        'dense-keys': ('too many values', lambda: '{' + ','.join(f'"{i:x}":0' for i in range(2 << 20)) + '}'),
        'endless-string': ('no JSON', lambda: '{"apiVersion": "' + 'x' * (30 << 20)),
        'larger': ('larger than 33554432 bytes', lambda: ' ' * (33 << 20)),
    },
}

if __name__ == '__main__':
    for number in sys.argv[2:]:
        for name, (words, make) in ROWS[int(number)].items():
            shutil.copytree(GOOD, name, symlinks=True, copy_function=os.link)
            os.unlink(os.path.join(name, NAME))
            content = make()
            with open(os.path.join(name, NAME), 'wb') as file:
                file.write(content if isinstance(content, bytes) else content.encode('utf-8', 'surrogatepass'))
            print(number, name, words)
