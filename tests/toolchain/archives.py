#!/usr/bin/env python3
"""Archives as Alpine and container tools make them, out of a root folder, and each in a broken form.

    archives.py apk|apk-ended|apk-climbing ROOT OUT
    archives.py oci|docker ROOT OUT

apk: three gzip members, signature, control and data; the tars of the first two have no end, as abuild cuts them off.
oci, docker: two layers. The lower holds ROOT and what the upper takes away again: usr/lib/gone.so, all of
usr/lib/emptied/ but what the upper puts there, and usr/lib/turned/, a folder that becomes a file.
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

BLOCK = 512


def tar(entries, has_end=True):
    """entries: (name, bytes | None for a folder | ('->', target) | path)"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as archive:
        for name, what in entries:
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, what[1]
            else:
                info.size = len(what)
            # what apk-tools puts beside each file
            info.pax_headers = {'APK-TOOLS.checksum.SHA1': '0' * 40}
            archive.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
        end = archive.offset
    return out.getvalue() if has_end else out.getvalue()[:end]


def root_entries(root):
    entries = []
    for folder, folders, files in sorted(os.walk(root)):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, root)
            if os.path.islink(path):
                entries.append((inside, ('->', os.readlink(path))))
            elif os.path.isdir(path):
                entries.append((inside, None))
            else:
                with open(path, 'rb') as file:
                    entries.append((inside, file.read()))
    return entries


def apk(root, kind):
    data = root_entries(root)
    if kind == 'apk-climbing':
        data.append(('usr/lib/../../../etc/passwd', b'text'))
    has_end = kind == 'apk-ended'
    segments = [tar([('.SIGN.RSA.tests.rsa.pub', b'signature')], has_end), tar([('.PKGINFO', b'pkgname = x\n'),
                ('.post-install', b'#!/bin/sh\n')], has_end), tar(data)]
    return b''.join(gzip.compress(segment, mtime=0) for segment in segments)


def layers(root):
    lower = root_entries(root) + [('usr/lib/gone.so', b'gone'), ('usr/lib/emptied', None),
                                  ('usr/lib/emptied/old', b'old'), ('usr/lib/turned', None),
                                  ('usr/lib/turned/inside', b'inside'), ('usr/lib/replaced', b'old')]
    upper = [('usr/lib/.wh.gone.so', b''), ('usr/lib/emptied/.wh..wh..opq', b''), ('usr/lib/emptied/new', b'new'),
             ('usr/lib/turned', b'file'), ('usr/lib/replaced', b'new')]
    return [tar(lower), tar(upper)]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def oci(root):
    entries = [('oci-layout', b'{"imageLayoutVersion":"1.0.0"}'), ('blobs', None), ('blobs/sha256', None)]

    def blob(data):
        entries.append(('blobs/sha256/' + digest(data), data))
        return {'digest': 'sha256:' + digest(data), 'size': len(data)}

    manifest = json.dumps({'schemaVersion': 2, 'config': blob(b'{}'),
                           'layers': [blob(gzip.compress(layer, mtime=0)) for layer in layers(root)]}).encode()
    mine = dict(blob(manifest), platform={'os': 'linux', 'architecture': 'amd64'})
    other = {'digest': 'sha256:' + 64 * '0', 'size': 1, 'platform': {'os': 'linux', 'architecture': 'arm64'}}
    index = json.dumps({'schemaVersion': 2, 'manifests': [other, mine]}).encode()
    outer = json.dumps({'schemaVersion': 2, 'manifests': [blob(index)]}).encode()
    return tar(entries + [('index.json', outer)])


def docker(root):
    entries = []
    for number, layer in enumerate(layers(root)):
        entries += [(f'{number}', None), (f'{number}/layer.tar', layer)]
    document = json.dumps([{'Config': 'c.json', 'RepoTags': ['x:1'], 'Layers': ['0/layer.tar', '1/layer.tar']}])
    return tar(entries + [('c.json', b'{}'), ('manifest.json', document.encode())])


def main():
    kind, root, out = sys.argv[1:]
    made = {'oci': oci, 'docker': docker}[kind](root) if kind in ('oci', 'docker') else apk(root, kind)
    with open(out, 'wb') as file:
        file.write(made)


main()
