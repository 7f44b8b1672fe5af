// Package filter decides by an expression of the subscriber's whether a
// subscription hears of an event. The expressions are in CEL, the Common
// Expression Language (https://cel.dev):
//
//	data.total > 100 && data.currency == "EUR"
//	type == "order.paid" || resource.kind == "invoice"
//	data.items.exists(i, i.sku.startsWith("book-"))
//	data.?customer.?tier.orValue("none") != "test"
//
// An expression must be a boolean. It sees:
//
//	type           the event type
//	site           the site of the resource
//	active_site    the site in which the operation ran; "" is none
//	resource.kind  what the event is about
//	resource.id
//	actor          the principal who caused the event; "" is none
//	channel        the intent's channel; "" is none
//	attributes     the intent's attributes, texts by name
//	data           the intent's data: any JSON; null when it has none
//
// A number of the data that is written without fraction and exponent, and fits
// into 64 bits, is an int, any other a double. Both compare with each other;
// arithmetic does not mix them: double(data.total) * 1.2. What is not there is an
// error, unless it is asked for with has() or by the optional syntax. Times are in
// UTC.
//
// Expressions come from subscribers, so what they may take is bounded when they
// are compiled and again when they run: see [Opts]. One has at most 2,048 characters. One that
// looks at data of more than 1 MiB fails; one that does not is not concerned.
//
// The package stands apart from those that producers link, because it links an
// interpreter: hierarchy is given [Check] as a function.
package filter
