"""Reads a trace of strace -f -y and tells what went to the host's content otherwise than it may.

  host_opens.py TRACE HOST PROGRAM"""
import re
import sys

TRACE, HOST, PROGRAM = sys.argv[1:4]
# Folders that may be opened by their whole name: each is then walked from its descriptor.
FOLDERS = {HOST, f'{HOST}/', f'{HOST}/proc', f'{HOST}/sys', f'{HOST}/dev', f'{HOST}/opt/kontain'}
# What libkmod is given: it takes names alone, reads data, and has its install commands refused.
KMOD = tuple(f'{HOST}/{place}' for place in (
    'lib/modules', 'usr/lib/modules', 'etc/modprobe.d', 'run/modprobe.d', 'usr/local/lib/modprobe.d',
        'usr/lib/modprobe.d',
    'lib/modprobe.d', 'sys/module', 'sys/kernel', 'proc/cmdline', 'proc/modules'))
OPEN = re.compile(r'(?:open|openat|openat2|execve|execveat)\((?:\w+(?:<[^>]*>)?, )?"([^"]*)", ?(.*)')
CODE = re.compile(r'mmap\([^,]*, [^,]*, ([A-Z_|]*), [^,]*, \d+<([^>]*)>')
faults, seen = [], {'beneath': 0, 'exec': 0}

with open(TRACE, errors='replace') as trace:
    for line in trace:
        call = line.split(' ', 1)[1].lstrip()
        name = call.split('(', 1)[0]
        if name in ('chroot', 'init_module', 'finit_module') and ' = 0' in call:
            faults.append(call)
        code = CODE.match(call)
        if code and 'PROT_EXEC' in code[1] and code[2].startswith(HOST):
            faults.append(call)
        match = OPEN.match(call)
        if not match:
            continue
        path, rest = match[1], match[2]
        if name.startswith('execve'):
            seen['exec'] += 1
            if path not in ('/proc/self/exe', '/opt/kontain/bin/km', PROGRAM):
                faults.append(call)
        elif name == 'openat2':
            # from a descriptor, and the kernel keeps it below that and off every link
            seen['beneath'] += path[:1] != '/'
            if path.startswith('/') or 'RESOLVE_BENEATH' not in rest or 'RESOLVE_NO_SYMLINKS' not in rest:
                faults.append(call)
        elif path.startswith(HOST):
            # O_PATH: a name for a rule of Landlock, by which nothing can be read
            is_folder = ('O_DIRECTORY' in rest or 'O_PATH' in rest) and path in FOLDERS
            if not is_folder and not path.startswith(KMOD):
                faults.append(call)

for fault in faults[:8]:
    print('      otherwise than it may:', fault.strip()[:220])
if not seen['beneath'] or seen['exec'] < 3:
    print(f'      the trace shows too little: {seen}')
    faults.append('')
sys.exit(1 if faults else 0)
