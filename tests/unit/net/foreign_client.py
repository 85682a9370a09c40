# SPDX-License-Identifier: Apache-2.0
"""A client of another implementation: foreign_client.py PORT VERSION MODE CA-FILE. Prints what it saw."""
import socket
import ssl
import sys

port, version, mode, authority = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def lines(sock):
    data = b""
    while not data.endswith(b"\r\n"):
        part = sock.recv(4096)
        if not part:
            break
        data += part
    return data


context = ssl.create_default_context(cafile=authority)
wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3, "1.1": ssl.TLSVersion.TLSv1_1}[version]
context.minimum_version = context.maximum_version = wanted
if version == "1.1":
    context.set_ciphers("ALL:@SECLEVEL=0")
raw = socket.create_connection(("127.0.0.1", port), 20)
print(lines(raw).decode().strip())
if mode == "inject":
    raw.sendall(b"STARTTLS\r\nMAIL FROM:<injected@example.test>\r\n")
else:
    raw.sendall(b"STARTTLS\r\n")
print(lines(raw).decode().strip())
try:
    safe = context.wrap_socket(raw, server_hostname="other.test" if mode == "name" else "relay.test")
except ssl.SSLError as error:
    print("refused:", getattr(error, "verify_message", "") or error.reason)
    sys.exit(0)
print(safe.version())
safe.sendall(b"NOOP\r\nQUIT\r\n")
said = b""
while part := safe.recv(4096):
    said += part
print(said.decode().replace("\r", "").strip())
