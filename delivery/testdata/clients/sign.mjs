// Signs requests by the client libraries. Reads a JSON object {secret, timestamp, url?}
// from stdin. Without a url it writes the requests. With one it POSTs each to the url
// and its name, first with a byte that was not signed, and writes both statuses.
import { readFileSync } from "node:fs";
import { sign } from "@octokit/webhooks-methods";
import { CloudEvent, HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix } from "svix";

const { secret, timestamp, url } = JSON.parse(readFileSync(0, "utf8"));
const at = new Date(timestamp * 1000);
const body = '{ "name": "Zoë <&> \\u00e9", "n": 1.0, "n": 12345678901234567890 }';
const json = (headers) => ({ body, headers: { "content-type": "application/json", ...headers } });
const signed = (make) => (body) => ({
  "webhook-id": "msg_1",
  "webhook-timestamp": String(timestamp),
  "webhook-signature": make.sign("msg_1", at, body),
});
const standard = signed(new Webhook(secret));
const event = new CloudEvent({
  id: "msg_1", source: "/noaa", type: "user.created", time: at.toISOString(), subject: "user/42", data: { name: "Zoë", n: 1.5 },
});
const cloudEvent = ({ headers, body }) => ({ body, headers: { ...headers, ...standard(body) } });

const requests = {
  standardwebhooks: json(standard(body)),
  svix: json(signed(new Svix(secret))(body)),
  octokit: json({ "x-hub-signature-256": await sign(secret, body) }),
  stripe: json({ "stripe-signature": Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp }) }),
  cloudevents: cloudEvent(HTTP.structured(event)),
  "cloudevents-binary": cloudEvent(HTTP.binary(event)),
};

if (url) {
  const post = async (name, headers, body) => (await fetch(url + name, { method: "POST", headers, body })).status;
  const statuses = {};
  for (const [name, { body, headers }] of Object.entries(requests)) {
    statuses[name] = [await post(name, headers, body + " "), await post(name, headers, body)];
  }
  console.log(JSON.stringify(statuses));
} else {
  const versions = JSON.parse(readFileSync("package.json")).dependencies;
  console.log(JSON.stringify({ versions, secret, timestamp, requests }, null, 2));
}
