// Signs requests by the client libraries, and writes them as JSON.
import { readFileSync } from "node:fs";
import { sign } from "@octokit/webhooks-methods";
import { CloudEvent, HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix } from "svix";

const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const timestamp = 1777636800;
const at = new Date(timestamp * 1000);
const body = '{ "name": "Zoë <&> \\u00e9", "n": 1.0, "n": 12345678901234567890 }';
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
  standardwebhooks: { body, headers: standard(body) },
  svix: { body, headers: signed(new Svix(secret))(body) },
  octokit: { body, headers: { "x-hub-signature-256": await sign(secret, body) } },
  stripe: { body, headers: { "stripe-signature": Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp }) } },
  "cloudevents structured": cloudEvent(HTTP.structured(event)),
  "cloudevents binary": cloudEvent(HTTP.binary(event)),
};
const versions = JSON.parse(readFileSync("package.json")).dependencies;
console.log(JSON.stringify({ versions, secret, timestamp, requests }, null, 2));
