"""kontaind in a poisoned environment, against a stand-in of the API server (../kube/daemonlib/apiserver.py says why):
what its own mounted CA vouches for is believed, whatever the environment names; nobody's proxy is asked, no key is
written, no library of another is loaded. In a network namespace of the caller's.

  daemon_env.py WORK KONTAIND DAEMONLIB"""
import os
import shutil
import socket
import subprocess
import sys

WORK, PROGRAM, LIBRARY = sys.argv[1:4]
sys.dont_write_bytecode = True
sys.path.insert(0, LIBRARY)
import apiserver  # noqa: E402
import kontaind as k  # noqa: E402

SECRETS = '/var/run/secrets/kubernetes.io/serviceaccount'
faults = []


def check(good, text):
    if not good:
        faults.append(text)
        print('FAULT', text)


def poison(trap):
    proxy = f'http://127.0.0.3:{trap.getsockname()[1]}'
    wrong = f'{WORK}/pki/wrong-ca.crt'
    named = {name: proxy for name in ('http_proxy', 'https_proxy', 'HTTPS_PROXY', 'ALL_PROXY', 'all_proxy')}
    return dict(named, SSL_CERT_FILE=wrong, SSL_CERT_DIR=f'{WORK}/pki', CURL_CA_BUNDLE=wrong, CURL_HOME=WORK, HOME=WORK,
                CURL_SSL_BACKEND='gnutls', OPENSSL_CONF=f'{WORK}/openssl.cnf', OPENSSL_MODULES=f'{WORK}/libraries',
                SSLKEYLOGFILE=f'{WORK}/keys', RES_OPTIONS='nameserver:127.0.0.3', LOCALDOMAIN='evil.example',
                HOSTALIASES=f'{WORK}/rc', GCONV_PATH=f'{WORK}/libraries', LD_PRELOAD=f'{WORK}/preload.so')


def start(server, trap):
    environment = dict(poison(trap), NODE_NAME=apiserver.NODE, KUBERNETES_SERVICE_HOST='127.0.0.1',
                       KUBERNETES_SERVICE_PORT=str(server.port))
    daemon = k.Daemon(PROGRAM, '--config', f'{WORK}/config.yaml', environment=environment)
    k.write(daemon.state_path, k.state())
    return daemon.serving()


def main():
    os.chdir(WORK)
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    subprocess.run(['mount', '-t', 'tmpfs', 'kt-attack', '/run'], check=True)  # in the mount namespace of the caller
    os.makedirs(SECRETS)
    os.mkdir('pki')
    apiserver.make_certificates('pki')
    shutil.copy('pki/ca.crt', SECRETS)
    k.write(f'{SECRETS}/token', b'a-token-of-the-test')
    with open('config.yaml', 'w') as file:
        file.write('report: {startDelaySeconds: 0}\n')
    with open('.curlrc', 'w') as file:
        file.write('insecure\nproxy = http://127.0.0.3:1\n')
    trap = socket.create_server(('127.0.0.3', 0))
    trap.setblocking(False)
    honest = apiserver.Server(f'{WORK}/pki', apiserver.honest)
    foreign = apiserver.Server(f'{WORK}/pki', apiserver.honest, certificate='foreign')  # what SSL_CERT_FILE vouches for
    good, bad = start(honest, trap), start(foreign, trap)
    done, last = good.wait_for('/readyz/report', 200, seconds=k.HEAL_S)
    check(done, f'the server that the mounted CA vouches for is not reported to: {last}')
    done, last = bad.wait_for('/readyz/report', 503, 'does not answer', seconds=k.HEAL_S)
    check(done, f'the server of another CA: {last}')
    check(k.until(lambda: foreign.connections > 0), 'the server of another CA was not even tried')
    check(not foreign.requests, f'the server of another CA got {len(foreign.requests)} requests')
    for one in (good, bad):
        with open(f'/proc/{one.process.pid}/maps') as maps:
            check('poison.so' not in maps.read(), 'a module of another was loaded')
        one.stop()
    try:
        trap.accept()
        check(False, 'a proxy of the environment was asked')
    except BlockingIOError:
        pass
    check(not os.path.exists('keys'), 'TLS keys were written')
    check(not os.path.exists('libraries/poison.so.log'), 'a provider of the environment was loaded')
    sys.stdout.flush()
    os._exit(1 if faults else 0)


main()
