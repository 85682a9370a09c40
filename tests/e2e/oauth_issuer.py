# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens for tests: keys, tokens good and bad, and an HTTPS server that publishes the keys and answers
introspection."""
import base64
import http.server
import json
import ssl
import threading
import time
import urllib.parse

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://id.example.test/", "smtp.example.test"


def b64url(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def number(value, size=None):
    return b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    """A private key of one algorithm, by its name in tokens."""

    def __init__(self, algorithm, kid):
        self.algorithm, self.kid = algorithm, kid
        if algorithm in ("RS256", "PS256"):
            self.private = rsa.generate_private_key(65537, 2048)
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()

    def jwk(self, **more):
        public = self.private.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            made = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            numbers = public.public_numbers()
            made = {"kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)}
        else:
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            made = {"kty": "OKP", "crv": "Ed25519", "x": b64url(raw)}
        return made | {"kid": self.kid, "use": "sig"} | more

    def public(self, encoding=serialization.Encoding.PEM):
        return self.private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    def token(self, claims=None, header=None, algorithm=None, **changes):
        """A token that is good, but for what is changed; None takes a claim away."""
        now = int(time.time())
        held = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "email": "alice@example.test", "iat": now,
                "exp": now + 600, "scope": "openid mail.send"} | (claims or {}) | changes
        held = {name: value for name, value in held.items() if value is not None}
        fields = {"kid": self.kid, "typ": "at+jwt"} | (header or {})
        return jwt.encode(held, self.private, algorithm or self.algorithm, headers=fields)


def unsigned(header, claims, signature=b""):
    return f"{b64url(json.dumps(header))}.{b64url(json.dumps(claims))}.{b64url(signature)}"


class Issuer:
    """HTTPS at address:port; keys of the paths are in `answers`, as (status, body) or functions of a request's body."""

    def __init__(self, address, port, certificate, key):
        self.address, self.port, self.certificate, self.key = address, port, certificate, key
        self.answers = {}
        self.requests = []
        self.server = None

    def url(self, path):
        return f"https://{self.address}:{self.port}{path}"

    def publish(self, *jwks):
        self.answers["/jwks"] = (200, json.dumps({"keys": list(jwks)}))

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body):
                issuer.requests.append((self.path, self.headers, body))
                status, text = found(body) if callable(found := issuer.answers.get(self.path, (404, ""))) else found
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                self.answer(b"")

            def do_POST(self):
                self.answer(self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            connections = set()

            def get_request(self):
                connection, address = super().get_request()
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                self.connections.add(connection)
                return connection, address

            def handle_error(self, *_):
                pass  # a client that does not trust us, or went away

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        self.server = Server((self.address, self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def close(self):
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.connections):
            try:
                connection.shutdown(2)
            except OSError:
                pass
            connection.close()
        self.server.connections.clear()
        self.server = None


def form(body):
    return {name: values[0] for name, values in urllib.parse.parse_qs(body.decode(), strict_parsing=True).items()}
