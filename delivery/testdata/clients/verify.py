"""Verifies requests as the sample receivers of invenio, PyWebhooks and servo-webhooks do.

Reads a JSON list of requests from stdin and writes what came of each.
"""

import hashlib
import hmac
import json
import sys


def hexdigest(algorithm, secret, body):
    return hmac.new(secret.encode("utf-8"), body, algorithm).hexdigest()


def invenio(headers, body, secret):
    return hexdigest(hashlib.sha1, secret, body) == headers["x-hub-signature"].split("=", 1)[1]


def pywebhooks(headers, body, secret):
    return hmac.compare_digest(hexdigest(hashlib.sha1, secret, body), headers["pywebhooks-signature"])


def pywebhooks_sample(headers, body, secret):
    # It verifies what Python makes of the body.
    return pywebhooks(headers, json.dumps(json.loads(body)).encode("utf-8"), secret)


def servo(headers, body, secret):
    return hmac.compare_digest(hexdigest(hashlib.sha1, secret, body), headers["x-servo-signature"])


results = []
for request in json.load(sys.stdin):
    body = request["body"].encode("utf-8")
    verified = any(globals()[request["client"]](request["headers"], body, s) for s in request["secrets"])
    results.append({"event": json.loads(body)} if verified else {"error": "not verified"})
print(json.dumps(results))
