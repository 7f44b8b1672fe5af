// Package receiver takes in webhooks: an [http.Handler] over a registry of named
// receivers that verifies each request, stores it once and processes it once.
//
// For each POST the [Handler] checks limits, has the receiver's Verifier check the
// signature, and then has its [Inbox] store the event and the task to process it, in one
// transaction. Only then does it answer. So a sender that was answered has been heard,
// and one that was not, because a process died in between, sends again, which does no harm:
//
//   - The same delivery id of the same receiver and owner is one event, however often
//     and however concurrently it comes.
//   - An event is processed until its receiver's Func returns without an error, or has
//     failed MaxAttempts times. A process that dies in between counts as one of them. A delivery
//     that comes again after that opens as many new attempts, and so does an [Operator].
//   - The Func can run more than once, as after such a death. With the inbox of package
//     pginbox its writes can share the transaction that marks the event as done, and
//     then they take effect exactly once.
//
// A receiver that is Sync gets its first attempt within the request, and the sender
// its result. Everything behind that attempt is the same for both.
//
// # Addresses and answers
//
// Below Config.BaseURL a receiver that has Tokens is at NAME/TOKEN, any other at NAME, and
// each of its events at its address and "/ID".
//
//	POST address            202 accepted; when done 201, or what the Func answers; 500 a Sync attempt was the last
//	GET, HEAD address/ID    the same, for that event; 410 when it was deleted
//	DELETE address/ID       410: nobody processes it any more, and its payload is gone
//	GET address?echo=X      200 {"echo":"X"}: the challenge of PyWebhooks
//	OPTIONS address         200, for the handshake of CloudEvents: WebHook-Request-Origin
//
// A POST of an event that is known answers as a GET does, with two exceptions: one that has
// failed for good is tried anew, and of a deleted one the answer is 200, since senders take a
// 410 for the end of their subscription. GitHub's ping and the challenge of Riverhook are
// verified, answered and not stored, and so is the handshake of REST Hooks (X-Hook-Secret),
// which is not signed. Other answers are 400 (a body that cannot be read), 401 (a signature),
// 404 (a receiver, a token or an event that is not there, or is another's), 405, 413 (a body
// beyond MaxBody), 415 (a content type), and 503 with Retry-After when nothing could be
// stored. Errors are problems of RFC 9457. Answers about an event have X-Hub-Event (the
// receiver), X-Hub-Delivery (the event's id), X-Hub-Info (what is known of its progress) and
// Link with rel="self".
//
// # What it trusts
//
// Nothing of a request is looked at for what it says before its verification, except a secret
// that HookSecret is offered. The delivery id is taken from the one place that the Verifier
// names, and from no other header. Standard Webhooks and Stripe sign that place. The other
// formats sign the body alone, and whoever has seen a request can send it again under another
// id in the same header: take it from the body where that matters (Receiver.DeliveryID).
//
// The package links neither pgx nor River; the inbox in Postgres is package pginbox.
package receiver
