# SPDX-License-Identifier: Apache-2.0
"""A server of another implementation: foreign_server.py VERSION CERTIFICATE KEY MODE. Prints its port first."""
import socket
import ssl
import sys

version, certificate, key, mode = sys.argv[1:5]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
listener.settimeout(30)
for _ in range(2 if mode == "resume" else 1):
    raw, _ = listener.accept()
    raw.settimeout(30)
    raw.sendall(b"220 ready\r\n")
    raw.recv(100)
    raw.sendall(b"220 go ahead\r\n" + (b"250 injected\r\n" if mode == "inject" else b""))
    try:
        safe = context.wrap_socket(raw, server_side=True)
    except (ssl.SSLError, ConnectionError):
        continue
    while data := safe.recv(65536):
        safe.sendall(b"echo " + data)
    safe.close()
