"""Bundles that kontain-pack would never write: each a copy of a good one whose manifest or lists are changed in one way,
their digests made to fit again, so that nothing else is wrong with it. Each is told in a line: ROW NAME WORDS, the words
that its refusal must have, these OR those; it is in a folder of its name, files by hard links.

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


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode('utf-8', 'surrogatepass')


def plain(path, mode='0644', size=4):
    return f"f\t{mode}\t{size}\t{hashlib.sha256(b'lib' + bytes([10])).hexdigest()}\t{path}\n"


def soft(path, target):
    return f'l\t-\t-\t{target}\t{path}\n'


def component(m, name='lib'):
    return next(c for c in m['components'] if c['name'] == name)


def with_lists(lists):
    """The components have these lines as their lists, by the right digests."""
    def make():
        m, out = manifest(), {}
        for name, lines in lists.items():
            content = out[name + '.files'] = b''.join(as_bytes(line) for line in lines)
            one = component(m, name)
            one['digest'] = hashlib.sha256(content).hexdigest()
            one['version'] = 'sha-' + one['digest'][:12]
            if name == 'extras':
                m.pop('selfTest', None)
        return {NAME: json.dumps(m), **out}
    return make


def with_list(name, *lines):
    return with_lists({name: lines})


def lib(*lines):
    return with_list('lib', *lines)


def extra(*lines):
    return with_list('extras', *lines)


def changed(change):
    def make():
        m = manifest()
        change(m)
        return {NAME: json.dumps(m)}
    return make


def text(what):
    """The document's own text."""
    return lambda: {NAME: what(json.dumps(manifest()))}


def document(what):
    return lambda: {NAME: what()}


def with_version(version):
    return changed(lambda m: m.update(version=version))


def component_version(version):
    return changed(lambda m: component(m).update(version=version))


def size_of(number):
    return lib(plain('data', size=number))


FALSE_SIZE = 'bytes that its list says OR KiB short'  # by the room there is
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
        'nul': ('no JSON', text(lambda t: t.replace('"arch": "', '"arch": "\\u0000'))),
        'nul-byte': ('has a NUL character', lib(plain('da\0ta'))),
        'nul-link': ('has a NUL character', lib(soft('data', 'x\0/etc'))),
        'long': ('is too long', lib(plain(LONG))),
        'long-part': ('has a part that is too long', lib(plain('n' * 300))),
        'control': ('has a control character', lib(plain('a\x1b[2Jb'))),
        'newline': ('has not the five columns', lib(plain('a\nb'))),
        'tab': ('has a control character', lib(plain('a\tb'))),
        'no-utf-8': ('is not UTF-8', lib(plain('a~b').encode().replace(b'a~b', b'a\xffb'))),
        'component-up': ("is no component's", changed(lambda m: component(m).update(name='../lib'))),
        'version-up': ('is none', with_version('../../escaped')),
        'version-empty': ('is none', with_version('')),
        'version-long': ('is none', with_version('1' * 4096)),
        'version-absolute': ('is none', with_version('/tmp/escaped')),
        'version-dots': ('is none', with_version('..')),
        'component-version-up': ('is none', component_version('../../../escaped')),
        'manifest-name': ("is the manifest's name", extra(plain(NAME))),
        'list-name': ("is the name of a component's list", extra(plain('km.files'))),
        'own-list-name': ('is a name that the store keeps', lib(plain('.Files/x'))),
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
        'link-for-km': ('there is no file km', with_list('km', soft('km', '/opt/kontain/bin/other'))),
        'link-and-file': ('must have - as mode', lib(soft('d', 'e').replace('-\t-', '0644\t4'))),
        'link-to-tool-of-another': ('leads out of its tree', lib(soft('krun', '../tools/krun'))),
        'link-to-another-tool': ('leads out of its tree', with_list('km', plain('km', '0755'), soft('krun', '../tools/other'))),
        'link-past-tools': ('leads out of its tree', with_list('km', plain('km', '0755'), soft('krun', '../tools/../krun'))),
        'setuid': ('is neither 0644 nor 0755', lib(plain('data', mode='4755'))),
        'writable': ('is neither 0644 nor 0755', lib(plain('data', mode='0666'))),
        'device': ('is neither f nor l', lib(plain('data').replace('f', 'c', 1))),
        'xattr': ('has a control character', lib(plain('data\tsecurity.capability=AQAAAg=='))),
        'owner': ('is neither 0644 nor 0755', lib(plain('data', mode='0644 1000'))),
        'files-in-manifest': ('is not known here', changed(lambda m: component(m).update(files=[]))),
    },
    8: {
        'twice': ('BundleInvalid', lib(plain('data'), plain('data'))),
        'twice-key': ('no JSON', text(lambda t: t.replace('"version":', '"version": "0", "version":', 1))),
        'twice-component': ('comes twice', changed(lambda m: m['components'].append(component(m)))),
        'case-twins': ('another case', lib(plain('DATA'), plain('data'))),
        'case-twin-folders': ('another case', lib(plain('D/a'), plain('d/b'))),
        'unsorted': ('BundleInvalid', lib(plain('b'), plain('a'))),
        'files-100001': ('100000 at most', lib(*(soft(f'{i:06}', 'x') for i in range(100001)))),
        'files-a-million': ('larger than 33554432 bytes', lib(*(soft(f'{i:07}', 'x' * 40) for i in range(1000000)))),
        'no-files': ('it is empty', lib()),
        # cut to 32 bits the last of these would be right
        'size-2g-1': (FALSE_SIZE, size_of((1 << 31) - 1)),
        'size-2g': (FALSE_SIZE, size_of(1 << 31)),
        'size-4g-1': (FALSE_SIZE, size_of((1 << 32) - 1)),
        'size-4g': (FALSE_SIZE, size_of(1 << 32)),
        'size-4g-more': (FALSE_SIZE, size_of((1 << 32) + 4)),
        'size-tera': ('is not a size', size_of((1 << 40) + 1)),
        'size-2-63': ('is not a size', size_of((1 << 63) - 1)),
        'size-2-64': ('is not a size', size_of(1 << 64)),
        'size-negative': ('is not a size', size_of(-1)),
        'size-half': ('is not a size', size_of('4.0')),
        'size-huge': ('is not a size', size_of('1e308')),
        'size-word': ('is not a size', size_of('four')),
        'deep-arrays': ('no JSON', document(lambda: '[' * 60000)),
        'deep-objects': ('no JSON', document(lambda: '{"apiVersion":' * 4000)),
        'deep-but-closed': ('no JSON', document(lambda: '{"apiVersion": ' + '[' * 30000 + ']' * 30000 + '}')),
        'dense-arrays': ('apiVersion must be a string', document(lambda: '{"apiVersion": [' + ','.join(['[]'] * 20000) + ']}')),
        'dense-keys': ('is not known', document(lambda: '{' + ','.join(f'"{i:x}":0' for i in range(6000)) + '}')),
        'endless-string': ('no JSON', document(lambda: '{"apiVersion": "' + 'x' * 60000)),
        'larger': ('larger than 65536 bytes', document(lambda: ' ' * 65537)),
        'lists-larger': ('larger than 33554432 bytes', lib(' ' * (33 << 20))),
        'lists-larger-together': ('larger than 33554432 bytes together', with_lists(
            {name: [soft(f'{i:05}', '/'.join(['x' * 225] * 4)) for i in range(19000)] for name in ('lib', 'extras')})),
        'list-one-line': ('has not the five columns', lib('f' * (30 << 20), '\n')),
        'list-of-ends': ('100000 at most', lib('\n' * (20 << 20))),
        'list-of-tabs': ('BundleInvalid', lib('\t' * (20 << 20), '\n')),
    },
}

if __name__ == '__main__':
    for number in sys.argv[2:]:
        for name, (words, make) in ROWS[int(number)].items():
            shutil.copytree(GOOD, name, symlinks=True, copy_function=os.link)
            for file, content in make().items():
                os.unlink(os.path.join(name, file))
                with open(os.path.join(name, file), 'wb') as out:
                    out.write(as_bytes(content))
            print(number, name, words)
