// Verifies requests by the client libraries of those who defined their formats.
// Reads a JSON list of requests from stdin and writes what came of each.
import { verifyWithFallback } from "@octokit/webhooks-methods";
import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix } from "svix";

// Each returns what the receiver gets of a request, or throws.
const clients = {
  standardwebhooks: ({ headers, body, secrets: [secret] }) => new Webhook(secret).verify(body, headers),
  svix: ({ headers, body, secrets: [secret] }) => new Svix(secret).verify(body, headers),
  stripe: ({ headers, body, secrets: [secret] }) => Stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret),
  octokit: async ({ headers, body, secrets: [secret, ...others] }) => {
    if (!(await verifyWithFallback(secret, body, headers["x-hub-signature-256"], others))) throw new Error("not verified");
    return JSON.parse(body);
  },
  // CloudEvents has no signature of its own: the headers of Standard Webhooks are beside it.
  cloudevents: ({ headers, body, secrets: [secret] }) => {
    new Webhook(secret).verify(body, headers);
    return HTTP.toEvent({ headers, body }).toJSON();
  },
};

let input = "";
for await (const chunk of process.stdin) input += chunk;
const results = [];
for (const request of JSON.parse(input)) {
  try {
    results.push({ event: await clients[request.client](request) });
  } catch (err) {
    results.push({ error: String(err) });
  }
}
console.log(JSON.stringify(results));
