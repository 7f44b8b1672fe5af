"""Signs requests as invenio, PyWebhooks and servo-webhooks do: by Python's hmac.

Reads a JSON object {secret, timestamp, url?} from stdin. Without a url it writes the
requests. With one it POSTs each to the url and its name, first with a byte that was
not signed, and writes both statuses.
"""

import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request

task = json.load(sys.stdin)
secret = task["secret"].encode("utf-8")
body = json.dumps({"name": "Zo\u00eb <&>", "n": [1, 2.5], "big": 12345678901234567890})
digest = hmac.new(secret, body.encode("utf-8"), hashlib.sha1).hexdigest()
JSON = "application/json"
requests = {
    "invenio": {"body": body, "headers": {"content-type": JSON, "x-hub-signature": "sha1=" + digest}},
    "pywebhooks": {"body": body, "headers": {"content-type": JSON, "event": "user.created", "pywebhooks-signature": digest}},
    "servo": {
        "body": body,
        "headers": {"content-type": "application/vnd.opsani.servo-webhooks+json", "x-servo-signature": digest},
    },
}


def post(name, headers, body):
    request = urllib.request.Request(task["url"] + name, body.encode("utf-8"), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


if task.get("url"):
    print(json.dumps({name: [post(name, r["headers"], r["body"] + " "), post(name, **r)] for name, r in requests.items()}))
else:
    print(json.dumps({"secret": task["secret"], "timestamp": task["timestamp"], "requests": requests}, indent=2))
