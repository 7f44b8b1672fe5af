// Package dialect has the wire formats of webhooks: how the message of an event
// looks, which request carries it, and how that is signed and verified.
//
// [Standard] is Standard Webhooks 1.0.0 and the default; [CloudEvents],
// [CloudEventsBinary], [Hub], [Plain], [PyWebhooks], [Servo] and [Stripe] are what
// else receivers speak. [NewCustom] builds further ones from parts: an [Envelope], a
// [Signer], headers, method and content type. A [Registry] holds those that a process
// knows by name. Package dialecttest checks a dialect against the contract.
//
// Receivers of webhooks, also in other services, call [VerifyRequest] with a
// [Verifier] such as [StandardVerifier].
//
// Everything here but VerifyRequest is pure: no clock, no I/O, no state between
// calls. Times and secrets are arguments. It depends on the standard library and
// on package signing only. What it does not own: the data (package delivery has externalizers), where requests may
// go (package egress), and when they are sent.
package dialect
