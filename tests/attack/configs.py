"""What a writer of the ConfigMap may try: each config is written into the current folder as NAME.yaml and told in a
line, NAME WORDS, the words that its refusal must have."""


def laughs(levels, width):
    """Each level names the one before it many times: read as a tree it would have width ** levels leaves."""
    lines = ['a0: &a0 [x, x]'] + [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * width)}]' for i in range(1, levels)]
    return '\n'.join(lines) + f'\nproof: {{intervalSeconds: *a{levels - 1}}}\n'


def interval(value):
    return f'proof: {{intervalSeconds: {value}}}\n'


ROWS = {
    # out of where a store may be
    'root-relative': ('expected an absolute path', 'store: {roots: [opt/kontain]}\n'),
    'root-up': ('a path without ..', 'store: {roots: [/opt/../etc]}\n'),
    'root-all': ('the root of the filesystem', 'store: {roots: [/]}\n'),
    'root-all-dots': ('the root of the filesystem', 'store: {roots: [/././/]}\n'),
    'root-nul': ('expected an absolute path', 'store: {roots: ["/opt\\0/etc"]}\n'),
    'root-newline': ('control characters', 'store: {roots: ["/opt\\n/etc"]}\n'),
    'root-long': ('too long', 'store: {roots: [/' + 'x' * 4096 + ']}\n'),
    'roots-many': ('1 to 8 paths', 'store: {roots: [' + ', '.join(f'/r{i}' for i in range(9)) + ']}\n'),
    'roots-none': ('1 to 8 paths', 'store: {roots: []}\n'),
    # what comes from the image and the arguments alone
    'bundle': ('unknown key bundle', 'bundle: /tmp/evil\n'),
    'store-bundle': ('unknown key store.bundle', 'store: {bundle: /tmp/evil}\n'),
    'host': ('unknown key host', 'host: /\n'),
    'dev': ('unknown key node.dev', 'node: {dev: /tmp}\n'),
    'state': ('unknown key state', 'state: /etc/passwd\n'),
    'keys': ('unknown key keys', 'keys: [RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3]\n'),
    'signatures': ('unknown key signatures', 'signatures: {required: false}\n'),
    'command': ('unknown key node.command', 'node: {command: [/bin/sh]}\n'),
    'self-test': ('unknown key proof.argv', 'proof: {argv: [/bin/sh]}\n'),
    'api-host': ('unknown key report.host', 'report: {host: evil.example}\n'),
    'token': ('unknown key report.token', 'report: {token: /etc/shadow}\n'),
    'merge': ('unknown key <<', '<<: {desired: absent}\n'),
    'twice': ('key desired is in line 1 already', 'desired: present\ndesired: absent\n'),
    'kind': ('expected Config', 'kind: NodeState\n'),
    # absurd
    'interval-none': ('from 5 to 3600', interval('0')),
    'interval-negative': ('from 5 to 3600', interval('-1')),
    'interval-large': ('from 5 to 3600', interval('3601')),
    'interval-2-32': ('from 5 to 3600', interval(str((1 << 32) + 60))),
    'interval-2-64': ('from 5 to 3600', interval(str((1 << 64) + 60))),
    'interval-endless': ('from 5 to 3600', interval('9' * 5000)),
    'interval-exponent': ('from 5 to 3600', interval('6e1')),
    'interval-infinite': ('from 5 to 3600', interval('.inf')),
    'timeout-none': ('from 1 to 60', 'proof: {timeoutSeconds: 0}\n'),
    'heartbeat-fast': ('from 30 to 3600', 'report: {heartbeatSeconds: 1}\n'),
    # bombs
    'laughs': ('unknown key a0', laughs(60, 10)),
    'laughs-wide': ('unknown key a0', laughs(8, 100)),
    'itself': ('invalid YAML', 'a: &a [*a]\nproof: *b\n'),
    'itself-in-a-key': ('', '&a *a : x\n'),
    'brackets': ('more than 1000 brackets', '[' * 60000),
    'braces': ('more than 1000 brackets', '{a: ' * 15000),
    'indents': ('', ''.join(' ' * i + 'a:\n' for i in range(300))),
    'anchors': ('', ''.join(f'k{i}: &a{i} x\n' for i in range(4000))),
    'larger': ('larger than 65536 bytes', 'a: ' + 'x' * (1 << 17)),
    'documents': ('expected one document', 'desired: present\n' + '---\ndesired: absent\n' * 1000),
    'no-text': ('no text in UTF-8', b'desired: \xff\xfe\n'),
    'utf-16': ('', 'desired: absent\n'.encode('utf-16')),
    'nul': ('', b'desired: absent\0\n'),
}

for name, (words, content) in ROWS.items():
    with open(f'{name}.yaml', 'wb') as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    print(name, words)
