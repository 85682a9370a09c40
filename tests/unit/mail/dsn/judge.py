# SPDX-License-Identifier: Apache-2.0
"""Reads a notification from standard input as Python's email package sees it and prints one "key=value" a line."""
import email
import email.policy
import sys

raw = sys.stdin.buffer.read()
message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
assert not message.defects, message.defects
print("type=" + message.get_content_type())
print("report-type=" + str(message.get_param("report-type")))
for name in ("From", "To", "Subject", "Auto-Submitted", "In-Reply-To", "References", "Message-ID", "Date"):
    value = message[name]
    if value is not None:
        # Python marks every raw byte over 127 as a defect, RFC 6532 or not.
        assert not value.defects or not value.isascii(), (name, value.defects)
        print("%s=%s" % (name, value))
parts = list(message.iter_parts())
print("parts=" + ",".join(p.get_content_type() for p in parts))
for part in parts:
    assert not part.defects, part.defects
print("text-charset=" + str(parts[0].get_content_charset()))
parts[0].get_payload(decode=True).decode(parts[0].get_content_charset())

# The package takes message/delivery-status apart by itself; of the forms of RFC 6533 it leaves the text.
def blocks(part):
    if part.get_content_type() == "message/delivery-status":
        return part.get_payload()
    # email parses message/* as one message: its header is the first block, its body the rest.
    inner = part.get_payload()[0]
    rest = inner.get_payload(decode=True).decode("utf-8")
    return [inner] + [email.message_from_string(b, policy=email.policy.SMTPUTF8) for b in rest.split("\r\n\r\n") if b.strip()]

for number, block in enumerate(b for b in blocks(parts[1]) if b.keys()):
    for name, value in block.items():
        print("%d.%s=%s" % (number, name, " ".join(str(value).split())))

body = raw.split(b"\r\n")
assert all(len(line) <= 998 for line in body)
assert b"\n" not in b"".join(body) and b"\r" not in b"".join(body) and b"\0" not in raw
